package spawn_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/spawn"
)

var entries = []spawn.Entry{
	{Site: spawn.Site{Package: "a", Function: "(*T).f", Start: "go func"}, Count: 2, Bound: "two: one each way", Why: "copies; ends with the connection"},
	{Site: spawn.Site{Package: "a", Function: "f", Start: "make(chan map[string]int, 3)"}, Count: 1},
	{Site: spawn.Site{Package: "b/c", Function: "var v", Start: "wg.Go"}, Count: 1, Why: "because"},
}

func TestAListIsReadAsItWasWritten(t *testing.T) {
	text := string(spawn.List([]spawn.Entry{entries[2], entries[0], entries[1]}))
	want := "\n\na\n" +
		"\t(*T).f: go func ×2\n\t\tbound: two: one each way\n\t\twhy: copies; ends with the connection\n" +
		"\tf: make(chan map[string]int, 3)\n\t\tbound:\n\t\twhy:\n" +
		"\nb/c\n\tvar v: wg.Go\n\t\tbound:\n\t\twhy: because\n"
	if !strings.HasSuffix(text, want) {
		t.Errorf("got\n%s", text)
	}
	got, err := spawn.Parse(text)
	if err != nil || !reflect.DeepEqual(got, entries) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestALineThatIsNotOfAListIsReportedWithItsNumber(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"a site before a package":      {"\tf: go g\n", `line 3: "f: go g": want FUNCTION: CODE below the line of a package`},
		"a site without code":          {"a\n\tf\n", `line 4: "f": want FUNCTION: CODE`},
		"a site that is listed twice":  {"a\n\tf: go g\n\tf: go g\n", "line 5: a: f: go g is listed twice"},
		"a count that is no number":    {"a\n\tf: go g ×many\n", `line 4: "f: go g ×many": want a number above 1 after ×`},
		"a count of one":               {"a\n\tf: go g ×1\n", "want a number above 1"},
		"a bound before a site":        {"a\n\t\tbound: one\n", `line 4: "bound: one": want it below the line of a site`},
		"a bound of the package above": {"a\n\tf: go g\nb\n\t\tbound: one\n", "line 6: "},
		"another field":                {"a\n\tf: go g\n\t\tlimit: one\n", `line 5: "limit: one": want "bound:" or "why:" before it`},
		"a second bound":               {"a\n\tf: go g\n\t\tbound: one\n\n\t\tbound: two\n", `line 7: a: f: go g has a second "bound:"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := spawn.Parse("heading\n\n" + c.body)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatStandsBeforeTheFirstEmptyLineIsNotRead(t *testing.T) {
	for _, text := range []string{"", "\tf: go g\n", "heading\n\tf: go g\n\n"} {
		if got, err := spawn.Parse(text); err != nil || len(got) != 0 {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func FuzzWhatParseReadsListWrites(f *testing.F) {
	f.Add(string(spawn.List(entries)))
	f.Add("\n\na\n\tf: go g ×3\n\t\tbound: x\n\t\twhy: y\n")
	f.Add("\n\na\n\n\tf: go g ×2 ×3\n")
	f.Add("\n\na\r\n\t f: : \n\t\tbound:\n")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := spawn.Parse(text)
		if err != nil {
			return
		}
		written := string(spawn.List(read))
		again, err := spawn.Parse(written)
		if err != nil {
			t.Fatalf("%q was read and written as %q, which is refused: %v", text, written, err)
		}
		if len(again) != len(read) || string(spawn.List(again)) != written {
			t.Errorf("%q was read as %+v, written and read as %+v", text, read, again)
		}
	})
}

func ExampleList() {
	text := string(spawn.List([]spawn.Entry{{
		Site:  spawn.Site{Package: "shop", Function: "New", Start: "make(chan order, 16)"},
		Count: 1, Bound: "16 orders; one more is refused", Why: "orders on their way to the till; Close reads what is left",
	}}))
	_, body, _ := strings.Cut(text, "\n\n")
	fmt.Print(body)
	// Output:
	// shop
	// 	New: make(chan order, 16)
	// 		bound: 16 orders; one more is refused
	// 		why: orders on their way to the till; Close reads what is left
}
