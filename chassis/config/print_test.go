package config_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

func printed(t testing.TB, set *config.Set) string {
	t.Helper()
	var b strings.Builder
	if err := set.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrintWritesEveryKindWithItsSource(t *testing.T) {
	e := everything()
	set := mustNew(t, "s", &e)
	err := set.Load(config.Sources{
		File: "etc/\nf.yaml",
		Open: fstest.MapFS{"etc/\nf.yaml": {Data: []byte("text: \"a # b\"\nhosts: [a, 'b, c', '']\n")}}.Open,
		Env:  []string{"S_PASSWORD=hunter2", "S_LABELS=no=yes,long=" + strings.Repeat("x", 60)},
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, printed(t, set), `# The configuration of s, and where each value came from.
text: "a # b"               # etc/?f.yaml:1:7
level: low                  # default
yes: true                   # default
i: -5                       # default
i8: 127                     # default
u: 18446744073709551615     # default
u16: 9                      # default
f: 1e+06                    # default
f32: 0.1                    # default
wait: 1h30m                 # default
limit: 64KiB                # default
password: "[redacted]"      # env S_PASSWORD
net: 10.0.0.0/8             # default
log: WARN                   # default
at: "2026-01-02T03:04:05Z"  # default
hosts: [a, "b, c", ""]      # etc/?f.yaml:2:8
ports: [80]                 # default
waits: [1h, 0s]             # default
nets: ["::/0"]              # default
labels: {long: `+strings.Repeat("x", 60)+`, "no": "yes"}  # env S_LABELS
deep:
  deeper:
    key: bottom             # default
`)
}

func TestWhatIsPrintedLoadsToTheSameValues(t *testing.T) {
	for _, text := range []string{
		"", " ", "a", "a b", "a: b", "a #b", "#a", "- a", "-", "---", "...", "?", ":", "a:", ":80", "[a]", "{a}", "a,b", "*a", "&a", "!a", "%a", "@a", "`a",
		"true", "False", "null", "~", "Null", "no", "On", "y", "1", "0x1f", "0o7", "1e3", ".5", ".inf", ".nan", "2026-01-01", "12:30:45", "<<", "=", "'", `"`, `\`, `\n`,
		"a\nb", "a\n", "\n", "\t", "a\tb", "\r", "\x00", "\x1b", "\x7f", "\u0085", "\u00a0", "\u2028", "\ufeff", "\ufffd", "\ufffe", "ü", "日本", "😀", "[redacted]", "a|b", ">", "|",
		strings.Repeat("long ", 500), "http://host:80/a?b=c#d", "mem:", "/a/b", "a=b", "+1", "1_000",
	} {
		type C struct {
			Text  string
			List  []string
			Table map[string]string
			Deep  struct{ Text string }
		}
		first := C{Text: text, List: []string{text, text}, Table: map[string]string{"x": text}}
		if len(text) < 256 {
			first.Table[text] = "y"
		}
		first.Deep.Text = text
		out := printed(t, mustNew(t, "s", &first))
		var second C
		err := mustNew(t, "s", &second).Load(config.Sources{File: "p.yaml", Open: fstest.MapFS{"p.yaml": {Data: []byte(out)}}.Open})
		if err != nil {
			t.Errorf("%q: %v in\n%s", text, err, out)
			continue
		}
		if one, two := fmt.Sprintf("%q", first), fmt.Sprintf("%q", second); one != two {
			t.Errorf("%s became %s by\n%s", one, two, out)
		}
		var plain struct {
			Text string
			List []any
		}
		if err := yaml.Unmarshal([]byte(out), &plain); err != nil || plain.Text != text || plain.List[0] != text {
			t.Errorf("a YAML reader takes %q for %q, %v", text, plain, err)
		}
	}
}

func TestEveryKindSurvivesPrintAndLoad(t *testing.T) {
	first := everything()
	out := printed(t, mustNew(t, "s", &first))
	var second Everything
	err := mustNew(t, "s", &second).Load(config.Sources{File: "p.yaml", Open: fstest.MapFS{"p.yaml": {Data: []byte(out)}}.Open})
	if err != nil {
		t.Fatal(err)
	}
	if one, two := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", second); one != two {
		t.Errorf("%s became\n%s by\n%s", one, two, out)
	}
}

func FuzzEveryTextSurvivesPrintAndLoad(f *testing.F) {
	f.Add("a", "b: c")
	f.Fuzz(func(t *testing.T, name, text string) {
		type C struct {
			Text  string
			Table map[string]string
			List  []string
		}
		first := C{text, map[string]string{name: text}, []string{text, name}}
		set, err := config.New("s", &first)
		if err != nil || len(name) > 256 {
			return // not UTF-8
		}
		out := printed(t, set)
		if len(out) > 1<<20 {
			return
		}
		var second C
		err = mustNew(t, "s", &second).Load(config.Sources{File: "p.yaml", Open: fstest.MapFS{"p.yaml": {Data: []byte(out)}}.Open})
		if one, two := fmt.Sprintf("%q", first), fmt.Sprintf("%q", second); err != nil || one != two {
			t.Fatalf("%s became\n%s, %v, by\n%s", one, two, err, out)
		}
	})
}
