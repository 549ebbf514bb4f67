package config_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// flagged is an Everything with its flags, which have parsed args.
func flagged(t *testing.T, args ...string) (*Everything, *config.Set, string, error) {
	t.Helper()
	e := everything()
	set := mustNew(t, "s", &e)
	var out bytes.Buffer
	flags := flag.NewFlagSet("sd", flag.ContinueOnError)
	flags.SetOutput(&out)
	if err := set.Flags(flags); err != nil {
		t.Fatal(err)
	}
	err := flags.Parse(args)
	return &e, set, out.String(), err
}

func TestFlagsOverrideEverything(t *testing.T) {
	e, set, _, err := flagged(t, "-yes=false", "-i", "3", "-hosts=x,y", "-wait", "1s", "-wait", "2s", "-deep.deeper.key=", "-labels", "a=b")
	if err != nil {
		t.Fatal(err)
	}
	if !e.Yes || e.I != -5 {
		t.Error("parsing the flags wrote to the struct before Load")
	}
	err = set.Load(config.Sources{Env: []string{"S_YES=true", "S_I=4", "S_I8=4", "S_HOSTS=z"}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Yes || e.I != 3 || e.I8 != 4 || len(e.Hosts) != 2 || e.Wait.Seconds() != 2 || e.Deep.Deeper.Key != "" || e.Labels["a"] != "b" {
		t.Errorf("loaded %+v", e)
	}
	for key, want := range map[string]string{"yes": "flag -yes", "i8": "env S_I8", "u": "default", "deep.deeper.key": "flag -deep.deeper.key"} {
		if f, _ := set.Lookup(key); f.Source.String() != want {
			t.Errorf("%s comes from %s, want %s", key, f.Source, want)
		}
	}
}

func TestABoolFlagStandsAlone(t *testing.T) {
	c := struct{ Loud bool }{}
	set := mustNew(t, "s", &c)
	flags := flag.NewFlagSet("sd", flag.ContinueOnError)
	if err := errors.Join(set.Flags(flags), flags.Parse([]string{"-loud", "rest"}), set.Load(config.Sources{})); err != nil {
		t.Fatal(err)
	}
	if !c.Loud || flags.Arg(0) != "rest" {
		t.Errorf("loud is %v and the rest %q", c.Loud, flags.Args())
	}
}

func TestAWrongFlagIsRefusedWhenParsed(t *testing.T) {
	for arg, want := range map[string]string{
		"-wait=soon":  `invalid value "soon" for flag -wait: want a duration such as 30s`,
		"-i8=300":     `invalid value "300" for flag -i8: want a whole number from -128 to 127: value out of range`,
		"-waits=1s,x": `invalid value "1s,x" for flag -waits: item 2: want a duration such as 30s, got "x"`,
		"-yes=maybe":  `invalid boolean value "maybe" for -yes: want true or false`,
	} {
		if _, _, _, err := flagged(t, arg); err == nil || err.Error() != want {
			t.Errorf("%s gives %v, want %s", arg, err, want)
		}
	}
}

func TestTheNearestFlagIsWhatWasMeant(t *testing.T) {
	_, set, _, err := flagged(t)
	if err != nil {
		t.Fatal(err)
	}
	flags := flag.NewFlagSet("sd", flag.ContinueOnError)
	flags.Bool("check", false, "")
	if err := set.Flags(flags); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"deep.deeper.kye": "deep.deeper.key", "wiat": "wait", "chek": "check", "nothing-like-it": ""} {
		if got := config.NearestFlag(flags, name); got != want {
			t.Errorf("-%s is taken for %q, want %q", name, got, want)
		}
	}
}

func TestAFlagAfterLoadIsRefused(t *testing.T) {
	c := Base{}
	set := mustNew(t, "s", &c)
	flags := flag.NewFlagSet("sd", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if err := errors.Join(set.Flags(flags), set.Load(config.Sources{})); err != nil {
		t.Fatal(err)
	}
	const want = `invalid value "x" for flag -name: the configuration is loaded already`
	if err := flags.Parse([]string{"-name", "x"}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFlagsThatAreTakenAreAnError(t *testing.T) {
	set := mustNew(t, "s", &Base{}, &struct{ Config, Other string }{})
	flags := flag.NewFlagSet("sd", flag.ContinueOnError)
	flags.String("config", "", "")
	flags.String("name", "", "")
	err := set.Flags(flags)
	const want = "config: key \"name\" (config_test.Base.Name): the flag -name is taken\nconfig: key \"config\" (struct.Config): the flag -config is taken"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if flags.Lookup("other") != nil {
		t.Error("a flag was added all the same")
	}
}

func TestPackageFlagShowsTypeDocAndDefault(t *testing.T) {
	c := gameDefaults()
	c.Token = config.NewSecret("hunter2")
	set := mustNew(t, "game", &c)
	var out strings.Builder
	flags := flag.NewFlagSet("gamed", flag.ContinueOnError)
	flags.SetOutput(&out)
	if err := set.Flags(flags); err != nil {
		t.Fatal(err)
	}
	flags.PrintDefaults()
	check(t, out.String(), `  -http.addr string
    	address to listen on (string) (default 127.0.0.1:8080)
  -http.h2c
    	serve HTTP/2 without TLS (default false)
  -http.idle duration
    	how long an idle connection is kept (duration) (default 2m)
  -http.max_body size
    	largest request body (size) (default 1MiB)
  -journal string
    	where games are kept: mem: or file:PATH (string) (default mem:)
  -token secret
    	what callers must show (secret) (default [redacted])
`)
}

func TestAFlagTellsItsValueButNoSecret(t *testing.T) {
	c := gameDefaults()
	set := mustNew(t, "game", &c)
	flags := flag.NewFlagSet("gamed", flag.ContinueOnError)
	if err := errors.Join(set.Flags(flags), flags.Parse([]string{"-token", "hunter2", "-journal", "file:x"})); err != nil {
		t.Fatal(err)
	}
	if j, token := flags.Lookup("journal").Value.String(), flags.Lookup("token").Value.String(); j != "file:x" || token != "[redacted]" {
		t.Errorf("flags tell %q and %q", j, token)
	}
	if err := set.Load(config.Sources{}); err != nil || c.Token.Reveal() != "hunter2" {
		t.Errorf("loaded %q, %v", c.Token.Reveal(), err)
	}
	check(t, strings.Join(set.Warnings(), "\n"), "flag -token: everybody on the machine can read a secret on the command line; give it as file:/path")
}

func TestUsageGroupsAndAligns(t *testing.T) {
	c := struct {
		Short                                string `doc:"first"`
		AVeryLongNameThatWouldPushAllTheDocs string `doc:"second"`
		Plain                                bool
		Section                              struct {
			Inner struct{ Deep []string } `doc:"the inner one"`
		}
		Last struct{ Key string }
	}{Short: "x"}
	var out strings.Builder
	if err := mustNew(t, "s", &c).Usage(&out); err != nil {
		t.Fatal(err)
	}
	check(t, out.String(), `  -short string                       first
                                      default x, env S_SHORT
  -a_very_long_name_that_would_push_all_the_docs string
                                      second
                                      no default, env S_A_VERY_LONG_NAME_THAT_WOULD_PUSH_ALL_THE_DOCS
  -plain                              default false, env S_PLAIN

section.inner: the inner one
  -section.inner.deep list of string  no default, env S_SECTION_INNER_DEEP

last:
  -last.key string                    no default, env S_LAST_KEY
`)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWritersErrorsAreReturned(t *testing.T) {
	set := mustNew(t, "s", &Base{})
	if err := set.Usage(broken{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Usage: %v", err)
	}
	if err := set.Print(broken{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Print: %v", err)
	}
}
