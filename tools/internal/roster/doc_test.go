package roster_test

import (
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/tools/internal/roster"
)

func TestTablesInDocumentationAreWritten(t *testing.T) {
	dir := repository(t, map[string]string{
		"shop/shop.go":       shop("shop", errSold, errBank),
		"failure_codes.lock": "shop 1003 retired \"closed\"\n",
	})
	r := load(t, dir)
	const page = "# Codes\n\n<!-- failures: shop -->\n<!-- end of failures -->\n\nbehind\n"
	const want = `# Codes

<!-- failures: shop -->
| number | message | class | HTTP | gRPC | retry | alert |
|---|---|---|---|---|---|---|
| 1001 | sold out | caller | 409 | ` + "`" + `FAILED_PRECONDITION` + "`" + ` | no | silent |
| 1002 | the bank \| does\_not answer | dependency | 503 | ` + "`" + `UNAVAILABLE` + "`" + ` | after 2s | [page](https://example.com/bank) |
| 1003 | closed | retired | | | | |
<!-- end of failures -->

behind
`
	got, err := r.Document([]byte(page))
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if again, err := r.Document(got); err != nil || string(again) != want {
		t.Errorf("the second time: %v\n%s", err, again)
	}
	for page, want := range map[string]string{
		"nothing\n":                                          "there is no table of failures: begin one with <!-- failures: SET --> and end it with <!-- end of failures -->",
		"<!-- failures: shop -->\n":                          "line 1: the table of failures does not end: write <!-- end of failures --> behind it",
		"\n<!-- end of failures -->\n":                       "line 2: a table of failures ends that did not begin: begin it with <!-- failures: SET -->",
		"<!-- failures: bank -->\n" + end:                    "line 1: there is no failure set bank; there is: chassis, shop",
		"<!-- failures: shop\n" + end:                        `line 1: want <!-- failures: SET -->, got "<!-- failures: shop"`,
		strings.Repeat(begin, 2) + end:                       "line 2: a table of failures begins in the one that line 1 began: end that with <!-- end of failures -->",
		begin + end + "<!-- failures: none -->" + "\n" + end: "line 3: there is no failure set none",
	} {
		if _, err := r.Document([]byte(page)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", page, err, want)
		}
	}
}

const (
	begin = "<!-- failures: shop -->\n"
	end   = "<!-- end of failures -->\n"
)

func FuzzAPageIsWrittenTheSameTheSecondTime(f *testing.F) {
	f.Add("# Codes\n" + begin + end)
	f.Add(begin + "| 1 |\r\n" + end + begin + end + "behind")
	r := &roster.Roster{Modules: []roster.Module{{Dir: f.TempDir(), Codes: []roster.Code{{Description: failure.Description{Set: "shop", Number: 1001, Message: "sold out"}}}}}}
	f.Fuzz(func(t *testing.T, page string) {
		once, err := r.Document([]byte(page))
		if err != nil {
			return
		}
		if twice, err := r.Document(once); err != nil || string(twice) != string(once) {
			t.Errorf("%q is written as %q, then as %q, %v", page, once, twice, err)
		}
	})
}
