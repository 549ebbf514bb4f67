package config_test

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

type level string

// Everything has a field of each kind that can be configured.
type Everything struct {
	Text     string
	Level    level
	Yes      bool
	I        int
	I8       int8
	U        uint
	U16      uint16
	F        float64
	F32      float32
	Wait     time.Duration
	Limit    config.Size
	Password config.Secret
	Net      netip.Prefix
	Log      slog.Level
	At       time.Time
	Hosts    []string
	Ports    []uint16
	Waits    []time.Duration
	Nets     []netip.Prefix
	Labels   map[string]string
	Deep     struct {
		Deeper struct {
			Key string
		}
	}
}

func everything() Everything {
	e := Everything{
		Text: "a b", Level: "low", Yes: true, I: -5, I8: 127, U: math.MaxUint, U16: 9, F: 1e6, F32: 0.1,
		Wait: 90 * time.Minute, Limit: 64 * config.KiB, Net: netip.MustParsePrefix("10.0.0.0/8"), Log: slog.LevelWarn,
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Hosts: []string{"a", "b"}, Ports: []uint16{80},
		Waits: []time.Duration{time.Hour, 0}, Nets: []netip.Prefix{netip.MustParsePrefix("::/0")},
		Labels: map[string]string{"z": "1", "a": "x:y"},
	}
	e.Deep.Deeper.Key = "bottom"
	return e
}

func mustNew(t testing.TB, service string, dst ...any) *config.Set {
	t.Helper()
	set, err := config.New(service, dst...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return set
}

// check compares what came with a golden text, line by line where they differ.
func check(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, a, b)
		}
	}
}

func TestFieldsTellKeyTypeDefaultAndVariableOfEveryKind(t *testing.T) {
	e := everything()
	var b strings.Builder
	for _, f := range mustNew(t, "web-front", &e).Fields() {
		if f.Value != f.Default || f.Source.String() != "default" {
			t.Errorf("%s is %q from %s before Load, want the default %q", f.Key, f.Value, f.Source, f.Default)
		}
		fmt.Fprintln(&b, f.Key, f.Env, f.Type, f.Default)
	}
	check(t, b.String(), `text WEB_FRONT_TEXT string a b
level WEB_FRONT_LEVEL string low
yes WEB_FRONT_YES bool true
i WEB_FRONT_I int -5
i8 WEB_FRONT_I8 int 127
u WEB_FRONT_U uint 18446744073709551615
u16 WEB_FRONT_U16 uint 9
f WEB_FRONT_F float 1e+06
f32 WEB_FRONT_F32 float 0.1
wait WEB_FRONT_WAIT duration 1h30m
limit WEB_FRONT_LIMIT size 64KiB
password WEB_FRONT_PASSWORD secret 
net WEB_FRONT_NET prefix 10.0.0.0/8
log WEB_FRONT_LOG level WARN
at WEB_FRONT_AT time 2026-01-02T03:04:05Z
hosts WEB_FRONT_HOSTS list of string a,b
ports WEB_FRONT_PORTS list of uint 80
waits WEB_FRONT_WAITS list of duration 1h,0s
nets WEB_FRONT_NETS list of prefix ::/0
labels WEB_FRONT_LABELS map a=x:y,z=1
deep.deeper.key WEB_FRONT_DEEP_DEEPER_KEY string bottom
`)
}

func TestKeysAreGoNamesSplitAtCaseBoundaries(t *testing.T) {
	var c struct {
		//lint:ignore ST1003 the underscore is what is tested
		MaxBodyBytes, HTTPAddr, MaxH2Streams, H2C, Sha256Sum, ID_Token, X int
		unexported                                                        int
	}
	_ = c.unexported
	var keys []string
	for _, f := range mustNew(t, "s", &c).Fields() {
		keys = append(keys, f.Key)
	}
	want := []string{"max_body_bytes", "http_addr", "max_h2_streams", "h2c", "sha256_sum", "id_token", "x"}
	if !slices.Equal(keys, want) {
		t.Errorf("keys are %q, want %q", keys, want)
	}
}

type Base struct{ Name string }

type hidden struct{ Depth int }

type Named struct{ Size config.Size }

func TestTagsNameSkipAndInline(t *testing.T) {
	var c struct {
		Base
		hidden
		Named   `config:"named"`
		Inner   struct{ Port int } `config:",inline"`
		Other   string             `config:"renamed" doc:"two\nlines"`
		Skipped chan int           `config:"-"`
		Empty   struct{}
	}
	var more struct {
		Named struct{ Count int } `doc:"shared"`
	}
	set := mustNew(t, "s", &c, &more)
	var keys []string
	for _, f := range set.Fields() {
		keys = append(keys, f.Key)
	}
	want := []string{"name", "depth", "port", "renamed", "named.size", "named.count"}
	if !slices.Equal(keys, want) {
		t.Errorf("keys are %q, want %q", keys, want)
	}
	if f, ok := set.Lookup("renamed"); !ok || f.Doc != "two lines" || f.Env != "S_RENAMED" {
		t.Errorf("Lookup(renamed) = %+v, %v", f, ok)
	}
	if f, ok := set.Lookup("named"); ok {
		t.Errorf("Lookup of a section gives %+v", f)
	}
	err := set.Load(config.Sources{Env: []string{"S_NAME=n", "S_DEPTH=3", "S_PORT=80", "S_NAMED_SIZE=1k", "S_NAMED_COUNT=2"}})
	if err != nil || c.Name != "n" || c.Depth != 3 || c.Inner.Port != 80 || c.Named.Size != config.KiB || more.Named.Count != 2 {
		t.Errorf("loaded %+v %+v, %v", c, more, err)
	}
}

type mute int

func (*mute) UnmarshalText([]byte) error { return nil }

type Opaque struct{ text string }

func (o *Opaque) UnmarshalText(b []byte) error { o.text = string(b); return nil }
func (o *Opaque) String() string               { return o.text }

type opaque struct{ text string }

func (o *opaque) UnmarshalText(b []byte) error { o.text = string(b); return nil }
func (o *opaque) String() string               { return o.text }

func TestNewRefusesWhatItCannotConfigure(t *testing.T) {
	type Clash struct{ Addr string }
	late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	const cannot = ` cannot be configured; use a string, bool, number, time.Duration, config.Size, config.Secret, an encoding.TextUnmarshaler that can be printed, a list of those, map[string]string or a struct, or tag the field config:"-"`
	for name, c := range map[string]struct {
		dst  []any
		want string
	}{
		"a struct that is no pointer": {[]any{Base{}}, "config: destination 1 is a config_test.Base: want a pointer to a struct that holds the defaults"},
		"a nil pointer":               {[]any{&Base{}, (*Named)(nil)}, "config: destination 2 is a *config_test.Named: want a pointer to a struct that holds the defaults"},
		"nothing":                     {[]any{nil}, "config: destination 1 is a <nil>: want a pointer to a struct that holds the defaults"},
		"a function":                  {[]any{&struct{ Dial func() }{}}, "config: field struct.Dial: a func()" + cannot},
		"a pointer":                   {[]any{&struct{ P *int }{}}, "config: field struct.P: a *int" + cannot},
		"bytes":                       {[]any{&struct{ B []byte }{}}, "config: field struct.B: a []uint8" + cannot},
		"a list of secrets":           {[]any{&struct{ S []config.Secret }{}}, "config: field struct.S: a []config.Secret" + cannot},
		"a map of numbers":            {[]any{&struct{ M map[string]int }{}}, "config: field struct.M: a map[string]int" + cannot},
		"an opaque struct":            {[]any{&struct{ Mu *sync.Mutex }{}, &struct{ M sync.Mutex }{}}, "config: field struct.Mu: a *sync.Mutex" + cannot + "\nconfig: field struct.M: a sync.Mutex" + cannot},
		"a type that does not print":  {[]any{&struct{ M mute }{}}, "config: field struct.M: a config_test.mute" + cannot},
		"an embedded private leaf":    {[]any{&struct{ opaque }{}}, "config: field struct.opaque: a config_test.opaque" + cannot},
		"a tag on a private field": {[]any{&struct {
			p int `config:"p"`
		}{}}, "config: field struct.p: has a config tag but is not exported"},
		"an unknown option": {[]any{&struct {
			P int `config:"p,omitempty"`
		}{}}, `config: field struct.P: tag config:"p,omitempty": the option "omitempty" is unknown; there is only inline`},
		"a named inline": {[]any{&struct {
			P Base `config:"p,inline"`
		}{}}, `config: field struct.P: tag config:"p,inline": what is inlined has no name`},
		"an inline number": {[]any{&struct {
			P int `config:",inline"`
		}{}}, `config: field struct.P: a int cannot be inlined; only a struct can`},
		"a name with a hyphen": {[]any{&struct {
			P int `config:"max-body"`
		}{}}, `config: field struct.P: key "max-body": want a lower-case letter, then lower-case letters, digits or _; name it with a config tag`},
		"a key used twice": {[]any{&Base{}, &Base{}}, `config: field config_test.Base.Name: the key "name" is also that of config_test.Base.Name`},
		"a key that is a section": {[]any{&struct{ HTTP Clash }{}, &struct{ HTTP string }{}},
			`config: field struct.HTTP: the key "http" is also the name of a section`},
		"a section that is a key": {[]any{&struct{ HTTP string }{}, &struct{ HTTP Clash }{}},
			`config: field struct.HTTP: the section "http" is also the key of struct.HTTP`},
		"two keys of one variable": {[]any{&struct {
			HTTPAddr string
			HTTP     Clash
		}{}}, `config: field struct.HTTP.Addr: the environment variable S_HTTP_ADDR of key "http.addr" is also that of "http_addr" (struct.HTTPAddr)`},
		"a default that does not print": {[]any{&struct{ At time.Time }{late}},
			"config: field struct.At: print its default: Time.MarshalText: year outside of range [0,9999]"},
		"an infinite default":      {[]any{&struct{ F float64 }{math.Inf(1)}}, "config: field struct.F: print its default: it must be finite"},
		"a negative size":          {[]any{&struct{ S config.Size }{-1}}, "config: field struct.S: print its default: a size cannot be negative"},
		"a default that is binary": {[]any{&struct{ S string }{"\xff"}}, "config: field struct.S: print its default: want UTF-8 text"},
		"a binary item":            {[]any{&struct{ S []string }{[]string{"", "\xff"}}}, "config: field struct.S: print its default: item 2: want UTF-8 text"},
		"a binary map":             {[]any{&struct{ M map[string]string }{map[string]string{"\xff": ""}}}, "config: field struct.M: print its default: want UTF-8 text"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.New("s", c.dst...)
			if err == nil {
				t.Fatal("New accepted it")
			}
			check(t, err.Error(), c.want)
		})
	}
}

func TestNewRefusesAServiceNameThatIsNoPrefix(t *testing.T) {
	for _, name := range []string{"", "1st", "a b", "ü"} {
		_, err := config.New(name)
		want := fmt.Sprintf("config: service name %q: want a letter, then letters, digits, - or _", name)
		if err == nil || err.Error() != want {
			t.Errorf("New(%q): %v, want %s", name, err, want)
		}
	}
}

func TestATypeWithStringAloneIsShownByIt(t *testing.T) {
	c := struct {
		O Opaque
		T struct{ time.Time }
	}{O: Opaque{"dark"}}
	set := mustNew(t, "s", &c)
	if f, _ := set.Lookup("o"); f.Default != "dark" || f.Type != "opaque" {
		t.Errorf("field is %+v", f)
	}
	if f, _ := set.Lookup("t"); f.Default != "0001-01-01T00:00:00Z" || f.Type != "text" {
		t.Errorf("field is %+v", f)
	}
}
