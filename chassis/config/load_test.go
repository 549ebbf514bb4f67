package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// load reads one file, f.yaml, into an Everything.
func load(t testing.TB, yaml string, env ...string) (Everything, *config.Set, error) {
	t.Helper()
	e := everything()
	set := mustNew(t, "s", &e)
	err := set.Load(config.Sources{File: "f.yaml", Open: fstest.MapFS{"f.yaml": {Data: []byte(yaml)}}.Open, Env: env})
	return e, set, err
}

func TestAFileSetsEveryKind(t *testing.T) {
	e, _, err := load(t, `---
text: 1.10
level: "high"
yes: False
i: 0x10
i8: -1
u: 1_000
u16: 0
f: 2.5
f32: 3
wait: 0
limit: "2MiB"
password: 1234
net: 192.168.0.0/16
log: ERROR
at: 2030-01-01T00:00:00Z
hosts:
  - c # with a comment
  - "d, e"
ports: []
waits: [1s, 2m]
nets: [10.1.0.0/16]
labels:
  team: platform
  cost centre: 12
deep:
  deeper:
    key: >-
      folded
      text
...
`)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(e.Text, e.Level, e.Yes, e.I, e.I8, e.U, e.U16, e.F, e.F32, e.Wait, e.Limit, e.Password.Reveal(),
		e.Net, e.Log, e.At, e.Hosts, len(e.Hosts), e.Ports, e.Waits, e.Nets, e.Labels, e.Deep.Deeper.Key)
	want := `1.10 high false 16 -1 1000 0 2.5 3 0s 2MiB 1234 192.168.0.0/16 ERROR 2030-01-01 00:00:00 +0000 UTC [c d, e] 2 [] [1s 2m0s] [10.1.0.0/16] map[cost centre:12 team:platform] folded text
`
	check(t, got, want)
}

func TestVariablesSetEveryKind(t *testing.T) {
	e, _, err := load(t, "", "S_TEXT=", "S_LEVEL=a=b", "S_YES=0", "S_I=-7", "S_I8=1", "S_U=1", "S_U16=65535", "S_F=1e-3", "S_F32=2",
		"S_WAIT=1m30s", "S_LIMIT=5", "S_PASSWORD=p", "S_NET=fe80::/10", "S_LOG=debug", "S_HOSTS=x, y", "S_PORTS=", "S_WAITS=1s",
		"S_NETS= ", "S_LABELS=a=1, b = c=d ,e=", "S_DEEP_DEEPER_KEY=k", "OTHER=1", "S_TEXT", "S_I=8")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%q %s %v %d %d %d %d %g %g %s %s %s %s %s %q %v %v %v %q %s", e.Text, e.Level, e.Yes, e.I, e.I8, e.U, e.U16, e.F, e.F32, e.Wait, e.Limit,
		e.Password.Reveal(), e.Net, e.Log, e.Hosts, e.Ports, e.Waits, e.Nets, e.Labels, e.Deep.Deeper.Key)
	check(t, got, `"" a=b false 8 1 1 65535 0.001 2 1m30s 5B p fe80::/10 DEBUG ["x" "y"] [] [1s] [] map["a":"1" "b":"c=d" "e":""] k`)
}

func TestMistakesInAFileAreLocatedAndExplained(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key near another":     {"texd: x", `f.yaml:1:1: key "texd" is unknown; did you mean "text"?`},
		"unknown key with a swap":      {"deep:\n  deeper:\n    kye: x", `f.yaml:3:5: key "deep.deeper.kye" is unknown; did you mean "deep.deeper.key"?`},
		"unknown key near nothing":     {"deep: {elephant: 1}", `f.yaml:1:8: key "deep.elephant" is unknown; known here: deeper`},
		"single letter":                {"deep: {k: 1}", `f.yaml:1:8: key "deep.k" is unknown; known here: deeper`},
		"key in the wrong section":     {"key: x", `f.yaml:1:1: key "key" is unknown; did you mean "deep.deeper.key"?`},
		"unknown section":              {"deap:\n  deeper: {key: x}", `f.yaml:1:1: key "deap" is unknown; did you mean "deep"?`},
		"map under a wrong name":       {"lables: {a: b}", `f.yaml:1:1: key "lables" is unknown; did you mean "labels"?`},
		"unknown key at the top":       {"elephant: 1", `f.yaml:1:1: key "elephant" is unknown; known here: text, level, yes, i, i8, u, u16, f, f32, wait, limit, password and 9 more`},
		"dotted key":                   {"deep.deeper: {key: x}", `f.yaml:1:1: key "deep.deeper" is unknown: a dot does not lead into a section; write "deeper" below "deep"`},
		"unknown dotted key":           {"a.b.c.d.e: 1", `f.yaml:1:1: key "a.b.c.d.e" is unknown; known here: text, level, yes, i, i8, u, u16, f, f32, wait, limit, password and 9 more`},
		"key given twice":              {"i: 1\ntext: x\ni: 2", `f.yaml:3:1: key "i" is given twice; it is already on line 1`},
		"section given twice":          {"deep: {}\ndeep: {}", `f.yaml:2:1: key "deep" is given twice; it is already on line 1`},
		"key without a value":          {"i:\ntext: x", `f.yaml:1:1: key "i": want a whole number, got no value; leave the key out for its default`},
		"text without a value":         {"text: ~", `f.yaml:1:1: key "text": want text, got no value; write "" if empty is meant, or leave the key out for its default`},
		"list for text":                {"text: [x]", `f.yaml:1:7: key "text": want text, got a list`},
		"mapping for a number":         {"i: {a: b}", `f.yaml:1:4: key "i": want a whole number, got a mapping`},
		"quoted number":                {"i: '1'", `f.yaml:1:4: key "i": want a whole number, got the text "1"; write it without quotes`},
		"word for a number":            {"i: one", `f.yaml:1:4: key "i": want a whole number, got "one"`},
		"fraction for a whole number":  {"i: 1.5", `f.yaml:1:4: key "i": want a whole number, got "1.5"`},
		"number that is too large":     {"i8: 128", `f.yaml:1:5: key "i8": want a whole number from -128 to 127, got "128": value out of range`},
		"negative number":              {"u: -1", `f.yaml:1:4: key "u": want a whole number, 0 or more, got "-1"`},
		"port that is too large":       {"u16: 65536", `f.yaml:1:6: key "u16": want a whole number from 0 to 65535, got "65536": value out of range`},
		"infinite number":              {"f: .inf", `f.yaml:1:4: key "f": want a number, got ".inf"`},
		"infinity by name":             {"f: inf", `f.yaml:1:4: key "f": want a number, got "inf": it must be finite`},
		"yes for true":                 {"yes: yes", `f.yaml:1:6: key "yes": want true or false, got "yes"`},
		"1 for true":                   {"yes: 1", `f.yaml:1:6: key "yes": want true or false, got "1"`},
		"bad duration":                 {"wait: soon", `f.yaml:1:7: key "wait": want a duration such as 30s, got "soon"`},
		"duration without a unit":      {"wait: 30", `f.yaml:1:7: key "wait": want a duration such as 30s, got "30"`},
		"bad size":                     {"limit: 1 PiB", `f.yaml:1:8: key "limit": want a size such as 64KiB or 1MiB, got "1 PiB"`},
		"negative size":                {"limit: -1", `f.yaml:1:8: key "limit": want a size such as 64KiB or 1MiB, got "-1"`},
		"bad prefix":                   {"net: 10.0.0.0", `f.yaml:1:6: key "net": want a prefix, got "10.0.0.0": netip.ParsePrefix("10.0.0.0"): no '/'`},
		"long value":                   {"net: " + strings.Repeat("x", 100), `f.yaml:1:6: key "net": want a prefix, got "` + strings.Repeat("x", 60) + `…": netip.ParsePrefix("` + strings.Repeat("x", 100) + `"): no '/'`},
		"list as text":                 {"hosts: a,b", `f.yaml:1:8: key "hosts": want a list such as [a, b], got "a,b"`},
		"list without a value":         {"hosts:", `f.yaml:1:1: key "hosts": want a list such as [a, b], got no value`},
		"bad item":                     {"waits:\n  - 1s\n  - x", `f.yaml:3:5: key "waits": item 2: want a duration such as 30s, got "x"`},
		"nested list":                  {"hosts: [[a]]", `f.yaml:1:9: key "hosts": item 1: want text, got a list`},
		"mapping as text":              {"labels: a=b", `f.yaml:1:9: key "labels": want a mapping such as {name: value}, got "a=b"`},
		"list in a mapping":            {"labels:\n  a: [1]", `f.yaml:2:6: key "labels": "a": want text, got a list`},
		"name given twice in a map":    {"labels: {a: 1, a: 2}", `f.yaml:1:16: key "labels": "a" is given twice`},
		"list as a name":               {"labels: {[a]: 1}", `f.yaml:1:10: key "labels": want a name, got a list`},
		"long name":                    {"labels: {" + strings.Repeat("n", 257) + ": 1}", `f.yaml:1:10: key "labels": the name "` + strings.Repeat("n", 60) + `…" is longer than 256 bytes`},
		"list for a secret":            {"password: [x]", `f.yaml:1:11: key "password": want a secret as text or file:/path, got a list`},
		"no secret":                    {"password:", `f.yaml:1:1: key "password": want a secret as text or file:/path, got no value`},
		"value for a section":          {"deep: x", `f.yaml:1:7: key "deep": want a mapping of keys to values, got "x"`},
		"list for a section":           {"deep: [x]", `f.yaml:1:7: key "deep": want a mapping of keys to values, got a list`},
		"list for a key":               {"[a]: x", `f.yaml:1:1: want a name as key, got a list`},
		"mapping for a key":            {"deep: {{a: b}: x}", `f.yaml:1:8: key "deep": want a name as key, got a mapping`},
		"empty key":                    {"\"\": x", `f.yaml:1:1: want a name as key, got ""`},
		"empty key in a section":       {"deep: {'': {deeper: {key: x}}}", `f.yaml:1:8: key "deep": want a name as key, got ""`},
		"list for a file":              {"- a", `f.yaml:1:1: want a mapping of keys to values, got a list`},
		"text for a file":              {"just text", `f.yaml:1:1: want a mapping of keys to values, got "just text"`},
		"two documents":                {"i: 1\n---\ni: 2\n", `f.yaml:2:1: a second document begins here; a configuration file holds one`},
		"alias of a value":             {"text: &t x\nlevel: *t", "f.yaml:1:7: key \"text\": anchors are refused; leave \"&t\" out\nf.yaml:2:8: key \"level\": aliases are refused; write the value of \"*t\" out"},
		"anchor on a section":          {"deep: &d {}", `f.yaml:1:7: key "deep": anchors are refused; leave "&d" out`},
		"anchor on the whole":          {"&a\ni: 1", `f.yaml:1:1: anchors are refused; leave "&a" out`},
		"anchor on a key":              {"deep: {&d deeper: {}}", `f.yaml:1:8: key "deep": anchors are refused; leave "&d" out`},
		"tag on a value":               {"i: !!str 1", `f.yaml:1:4: key "i": tags are refused; leave "!!str" out`},
		"tag on an item":               {"hosts: [!x a]", `f.yaml:1:9: key "hosts": item 1: tags are refused; leave "!x" out`},
		"tag on a name":                {"labels: {!x a: b}", `f.yaml:1:10: key "labels": tags are refused; leave "!x" out`},
		"tag on a mapped value":        {"labels: {a: !x b}", `f.yaml:1:13: key "labels": "a": tags are refused; leave "!x" out`},
		"merge key":                    {"deep:\n  <<: {deeper: {}}", `f.yaml:2:3: merge keys (<<) are refused; write the values out`},
		"unclosed quote":               {"i: 1\ntext: \"abc\nwait: 3s\n", `f.yaml:2: not valid YAML: found unexpected end of stream`},
		"unclosed list on line 1":      {"hosts: [a\ni: 1\n", `f.yaml:1: not valid YAML: did not find expected ',' or ']'`},
		"unclosed list further down":   {"i: 1\nyes: true\nhosts: [a\nwait: 1\n", `f.yaml:3: not valid YAML: did not find expected ',' or ']'`},
		"bad indentation":              {"deep:\n  deeper: {}\n deeper: {}\ni: 1\n", `f.yaml:3: not valid YAML: did not find expected key`},
		"nested value on one line":     {"i: 1\ntext: a: b\n", `f.yaml:2: not valid YAML: mapping values are not allowed in this context`},
		"tab":                          {"deep:\n\tdeeper: {}\n", `f.yaml:2: not valid YAML: found character that cannot start any token; indent with spaces, not with tabs`},
		"unknown alias":                {"i: 1\ntext: *nobody\n", `f.yaml:2: not valid YAML: unknown anchor 'nobody' referenced`},
		"control character":            {"i: 1\ntext: a\x01b\nyes: true\n", `f.yaml:2: not valid YAML: control characters are not allowed`},
		"syntax in the second":         {"i: 1\n---\ntext: [\n", `f.yaml:3: not valid YAML: did not find expected node content`},
		"Latin-1":                      {"i: 1\ntext: M\xfcller\n", `f.yaml:2: want UTF-8 text`},
		"mistakes in order of lines":   {"yes: 2\ndeep: {deeper: {key: []}, x: 1}\ni: x\nyes: 3", "f.yaml:1:6: key \"yes\": want true or false, got \"2\"\nf.yaml:2:22: key \"deep.deeper.key\": want text, got a list\nf.yaml:2:27: key \"deep.x\" is unknown; known here: deeper\nf.yaml:3:4: key \"i\": want a whole number, got \"x\"\nf.yaml:4:1: key \"yes\" is given twice; it is already on line 1"},
		"columns count characters":     {`{text: "äöü", i: x}`, `f.yaml:1:18: key "i": want a whole number, got "x"`},
		"a file of another program":    {lines("xxxxxx%02d: 1", 22), lines("f.yaml:%[1]d:1: key \"xxxxxx%02[1]d\" is unknown; known here: text, level, yes, i, i8, u, u16, f, f32, wait, limit, password and 9 more", 20) + "f.yaml:21:1: 2 more mistakes follow"},
		"one more mistake than listed": {lines("yyyyyy%02d: 1", 21), lines("f.yaml:%[1]d:1: key \"yyyyyy%02[1]d\" is unknown; known here: text, level, yes, i, i8, u, u16, f, f32, wait, limit, password and 9 more", 20) + "f.yaml:21:1: 1 more mistakes follow"},
	} {
		t.Run(name, func(t *testing.T) {
			e, _, err := load(t, c.yaml)
			if err == nil {
				t.Fatal("the file was accepted")
			}
			check(t, err.Error(), c.want)
			if !reflect.DeepEqual(e, everything()) {
				t.Errorf("the defaults became %+v", e)
			}
		})
	}
}

func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i+1)
	}
	return b.String()
}

func TestFilesThatSayNothingAreFine(t *testing.T) {
	for name, yaml := range map[string]string{
		"empty": "", "blank": "\n \n", "comments": "# nothing\n", "a marker": "---\n", "an empty mapping": "{}", "null": "null",
		"an empty section": "deep:\n", "nested empty sections": "deep:\n  deeper: {}\n", "a byte order mark": "\ufeff",
	} {
		t.Run(name, func(t *testing.T) {
			e, set, err := load(t, yaml)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(e, everything()) {
				t.Errorf("the defaults became %+v", e)
			}
			for _, f := range set.Fields() {
				if f.Source != (config.Source{}) {
					t.Errorf("%s comes from %s", f.Key, f.Source)
				}
			}
		})
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "no.yaml")
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", 1<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, want string
		is         error
	}{
		"missing":   {missing, "configuration file: open " + missing + ": no such file or directory", fs.ErrNotExist},
		"directory": {dir, "configuration file: " + dir + " is a directory", nil},
		"too large": {big, "configuration file: " + big + " is larger than 1MiB", nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := mustNew(t, "s", &Base{}).Load(config.Sources{File: c.file})
			if err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is no %v", err, c.is)
			}
		})
	}
}

// A failing file is one whose methods fail.
type failing struct{ fs.File }

var errDisk = errors.New("the disk is on fire")

func (f failing) Stat() (fs.FileInfo, error) {
	if f.File == nil {
		return nil, errDisk
	}
	return f.File.Stat()
}
func (f failing) Read([]byte) (int, error) { return 0, errDisk }
func (f failing) Close() error             { return nil }

func TestAFailingDiskIsAnError(t *testing.T) {
	real, err := fstest.MapFS{"f": {}}.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []failing{{}, {real}} {
		err := mustNew(t, "s", &Base{}).Load(config.Sources{File: "f", Open: func(string) (fs.File, error) { return f, nil }})
		if !errors.Is(err, errDisk) {
			t.Errorf("got %v, want %v", err, errDisk)
		}
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	_, set, err := load(t, "i: x", "S_WAIT=soon", "S_WAITS=1s,2", "S_LABELS=a", "S_TEXT=\xff", "S_U16=tcp://10.0.0.1:80", "S_PASSWORD=\xff", "S_NETS=x",
		"S_HOSTS=a,\xff", "S_YES=yes", "S_DEEP_DEEPER_KEY=fine", "S_U=99999999999999999999")
	if err == nil {
		t.Fatal("the environment was accepted")
	}
	check(t, err.Error(), `f.yaml:1:4: key "i": want a whole number, got "x"
env S_TEXT: key "text": want UTF-8 text
env S_YES: key "yes": want true or false, got "yes"
env S_U: key "u": want a whole number, 0 or more, got "99999999999999999999": value out of range
env S_U16: key "u16": want a whole number from 0 to 65535, got "tcp://10.0.0.1:80"; Kubernetes sets such a variable for a service called s: set enableServiceLinks: false in the pod
env S_WAIT: key "wait": want a duration such as 30s, got "soon"
env S_PASSWORD: key "password": want UTF-8 text
env S_HOSTS: key "hosts": item 2: want UTF-8 text
env S_WAITS: key "waits": item 2: want a duration such as 30s, got "2"
env S_NETS: key "nets": item 1: want a prefix, got "x": netip.ParsePrefix("x"): no '/'
env S_LABELS: key "labels": want pairs such as name=value,name=value, got "a"`)
	if f, _ := set.Lookup("deep.deeper.key"); f.Value != "fine" || f.Source.String() != "env S_DEEP_DEEPER_KEY" {
		t.Errorf("what could be read is %+v", f)
	}
	for env, want := range map[string]string{
		"S_HOSTS=a,b,":     `env S_HOSTS: key "hosts": item 3: want text, got ""`,
		"S_NETS=,::/0":     `env S_NETS: key "nets": item 1: want a prefix, got ""`,
		"S_LABELS=a=1,a=2": `env S_LABELS: key "labels": "a" is given twice`,
		"S_LABELS==1":      `env S_LABELS: key "labels": want pairs such as name=value,name=value, got "=1"`,
		"S_LABELS=\xff=1":  `env S_LABELS: key "labels": want UTF-8 text`,
	} {
		if _, _, err := load(t, "", env); err == nil || err.Error() != want {
			t.Errorf("%q gives %v, want %s", env, err, want)
		}
	}
}

func TestVariablesThatNearlySpellAKeyAreWarnings(t *testing.T) {
	_, set, err := load(t, "", "S_WIAT=3s", "S_TEXTS=x", "S_SERVICE_HOST=10.0.0.1", "S_DEEP_DEEPER_KY=", "S_PORT_8080_TCP_ADDR=1", "TEXT=1")
	if err != nil {
		t.Fatal(err)
	}
	check(t, strings.Join(set.Warnings(), "\n"), `environment variable S_DEEP_DEEPER_KY sets nothing; did you mean S_DEEP_DEEPER_KEY?
environment variable S_TEXTS sets nothing; did you mean S_TEXT?
environment variable S_WIAT sets nothing; did you mean S_WAIT?`)
}

func TestASetLoadsOnce(t *testing.T) {
	set := mustNew(t, "s", &Base{})
	if err := set.Load(config.Sources{}); err != nil {
		t.Fatal(err)
	}
	if err := set.Load(config.Sources{}); err == nil || err.Error() != "config: this Set is loaded already; a new one starts from the defaults" {
		t.Errorf("second Load: %v", err)
	}
}

func TestAKeyInASectionThatHasNoneIsUnknown(t *testing.T) {
	var c struct{ Empty struct{} }
	err := mustNew(t, "s", &c).Load(config.Sources{File: "f.yaml", Open: fstest.MapFS{"f.yaml": {Data: []byte("empty:\n  x: 1")}}.Open})
	if err == nil || err.Error() != `f.yaml:2:3: key "empty.x" is unknown; known here: none` {
		t.Errorf("got %v", err)
	}
}

type moody struct{ text string }

func (m *moody) UnmarshalText(b []byte) error { m.text = string(b); return nil }
func (m *moody) MarshalText() ([]byte, error) {
	if m.text == "secretive" {
		return nil, errors.New("won't say")
	}
	return []byte(m.text), nil
}

func TestAValueThatCannotBePrintedIsAnError(t *testing.T) {
	var c struct{ Mood moody }
	err := mustNew(t, "s", &c).Load(config.Sources{Env: []string{"S_MOOD=secretive"}})
	if err == nil || err.Error() != `env S_MOOD: key "mood": print the value: won't say` {
		t.Errorf("got %v", err)
	}
}

func TestLaterLayersReplaceListsAndMapsWhole(t *testing.T) {
	e, set, err := load(t, "labels: {only: this}\nhosts: [x]", "S_HOSTS=y")
	if err != nil || len(e.Labels) != 1 || len(e.Hosts) != 1 || e.Hosts[0] != "y" {
		t.Errorf("got %v %v, %v", e.Labels, e.Hosts, err)
	}
	if d := everything(); len(d.Labels) != 2 {
		t.Error("the defaults changed")
	}
	f, _ := set.Lookup("labels")
	if f.Value != "only=this" || f.Source != (config.Source{Layer: config.FromFile, Name: "f.yaml", Line: 1, Column: 9}) {
		t.Errorf("labels is %+v", f)
	}
}

func TestLargeBrokenFilesAreLocatedInTime(t *testing.T) {
	var b strings.Builder
	for b.Len() < 1<<20-100 {
		b.WriteString("- a: [b, c]\n")
	}
	n := strings.Count(b.String(), "\n")
	b.WriteString("- a: [b\n")
	start := time.Now()
	_, _, err := load(t, b.String())
	want := fmt.Sprintf("f.yaml:%d: not valid YAML: did not find expected ',' or ']'", n+1)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	t.Logf("took %v", time.Since(start))
}

func FuzzAnyFileIsAcceptedOrRefusedWithAPlace(f *testing.F) {
	for _, seed := range []string{
		"", "i: 1", "deep: {deeper: {key: x}}", "a: &a [*a]", "hosts: [a, b]\nlabels: {a: b}", "\"", "? - :", "<<: {i: 1}", "i: 1\n---\ni: 2",
		"!!binary aGk=: x", "%YAML 1.1\n---\n{", "text: |+\n  a\n\n", "- - - -", "\r: \x85", "#\n- a:\n#b\n", "password: file:x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := everything()
		set := mustNew(t, "s", &e)
		err := set.Load(config.Sources{File: "f.yaml", Open: func(name string) (fs.File, error) {
			return fstest.MapFS{"f.yaml": {Data: data}}.Open("f.yaml")
		}})
		if err != nil {
			var line int
			if _, scan := fmt.Sscanf(err.Error(), "f.yaml:%d:", &line); scan != nil || line < 1 {
				t.Fatalf("no place in: %v", err)
			}
			return
		}
		again := everything()
		var b strings.Builder
		if err := set.Print(&b); err != nil {
			t.Fatal(err)
		}
		if e.Password.Reveal() != "" {
			return
		}
		err = mustNew(t, "s", &again).Load(config.Sources{File: "p.yaml", Open: fstest.MapFS{"p.yaml": {Data: []byte(b.String())}}.Open})
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if one, two := fmt.Sprintf("%+v", e), fmt.Sprintf("%+v", again); one != two {
			t.Fatalf("printed and read again\n%s became\n%s by\n%s", one, two, b.String())
		}
	})
}
