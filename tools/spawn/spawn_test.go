package spawn_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/spawn"
)

func put(t *testing.T, w *workspace.Workspace, name, text string) {
	t.Helper()
	path := filepath.Join(w.Root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sync runs the check and returns what it says, "" when nothing is wrong.
func sync(t *testing.T, w *workspace.Workspace, write bool) string {
	t.Helper()
	if err := spawn.Sync(t.Context(), w, write); err != nil {
		return err.Error()
	}
	return ""
}

func wantIn(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			t.Errorf("got %q, want %q in it", got, text)
		}
	}
}

func TestANewSiteIsRefusedUntilItsBoundAndItsReasonAreWritten(t *testing.T) {
	w := repository(t, map[string]string{"a/a.go": "package a\n\nfunc f() {\n\tgo g()\n}\n"})
	wantIn(t, sync(t, w, false), "a: f: go g (a/a.go:4) is not listed: run go run ./tools/cmd/house spawn -w, then write its bound and why in docs/concurrency.txt")
	wantIn(t, sync(t, w, true), "a: f: go g (a/a.go:4) has no bound: write in docs/concurrency.txt how many there can be")
	list := treetest.Read(t, w.Root, spawn.File)
	wantIn(t, list, "\n\na\n\tf: go g\n\t\tbound:\n\t\twhy:\n")

	list = strings.Replace(list, "bound:", "bound: one", 1)
	put(t, w, spawn.File, list)
	wantIn(t, sync(t, w, false), "a: f: go g (a/a.go:4) has no reason: write in docs/concurrency.txt, after why:, what it is for and what ends it")

	list = strings.Replace(list, "why:", "why: it is waited for", 1)
	put(t, w, spawn.File, list)
	if got := sync(t, w, false); got != "" {
		t.Errorf("with a bound and a reason: %s", got)
	}
}

const listed = "\n\na\n\tf: go g\n\t\tbound: one\n\t\twhy: it is waited for\n"

// accepted is a repository whose list is complete.
func accepted(t *testing.T) *workspace.Workspace {
	t.Helper()
	w := repository(t, map[string]string{"a/a.go": "package a\n\nfunc f() { go g() }\n", spawn.File: listed})
	if got := sync(t, w, true); got != "" {
		t.Fatal(got)
	}
	return w
}

func TestCodeThatMovesChangesNothing(t *testing.T) {
	w := accepted(t)
	if err := os.Remove(filepath.Join(w.Root, "a/a.go")); err != nil {
		t.Fatal(err)
	}
	put(t, w, "a/b.go", "package a\n\n// f does it.\nfunc f() {\n\tx := 1\n\tif x > 0 {\n\t\tgo g(x)\n\t}\n}\n")
	if got := sync(t, w, false); got != "" {
		t.Error(got)
	}
}

func TestASiteThatIsGoneIsRemovedAndOthersKeepWhatIsWritten(t *testing.T) {
	w := accepted(t)
	put(t, w, spawn.File, treetest.Read(t, w.Root, spawn.File)+"\nb\n\th: go old\n\t\tbound: two\n\t\twhy: it was needed\n")
	wantIn(t, sync(t, w, false), "b: h: go old is listed and gone: run go run ./tools/cmd/house spawn -w")
	if got := sync(t, w, true); got != "" {
		t.Fatal(got)
	}
	if list := treetest.Read(t, w.Root, spawn.File); !strings.HasSuffix(list, listed) || strings.Contains(list, "old") {
		t.Errorf("list:\n%s", list)
	}
}

func TestASiteThatBecomesMoreFrequentIsAPersonsToCount(t *testing.T) {
	w := accepted(t)
	put(t, w, "a/a.go", "package a\n\nfunc f() {\n\tgo g()\n\tgo g()\n}\n")
	want := "a: f: go g is there 2 times (a/a.go:4, a/a.go:5) and listed 1 times: see that its bound and why in docs/concurrency.txt hold for all, and write ×2"
	wantIn(t, sync(t, w, false), want)
	wantIn(t, sync(t, w, true), want)
	put(t, w, spawn.File, strings.Replace(treetest.Read(t, w.Root, spawn.File), "go g\n", "go g ×2\n", 1))
	if got := sync(t, w, false); got != "" {
		t.Error(got)
	}
	put(t, w, "a/a.go", "package a\n\nfunc f() { go g() }\n")
	wantIn(t, sync(t, w, false), "a: f: go g is there 1 times (a/a.go:3) and listed 2 times: run go run ./tools/cmd/house spawn -w")
	if got := sync(t, w, true); got != "" {
		t.Fatal(got)
	}
	if list := treetest.Read(t, w.Root, spawn.File); !strings.HasSuffix(list, listed) {
		t.Errorf("list:\n%s", list)
	}
}

func TestAListInAnotherFormIsOutOfDate(t *testing.T) {
	w := accepted(t)
	put(t, w, spawn.File, listed)
	err := spawn.Sync(t.Context(), w, false)
	if _, stale := errors.AsType[*golden.StaleError](err); !stale {
		t.Errorf("without its heading: %v", err)
	}
}

func TestSyncSaysWhatIsWrong(t *testing.T) {
	w := accepted(t)
	put(t, w, spawn.File, "\n\na\n\twhat\n")
	wantIn(t, sync(t, w, false), `parse docs/concurrency.txt: line 4: "what": want FUNCTION: CODE`)
	put(t, w, "a/a.go", "pack a")
	wantIn(t, sync(t, w, false), "parse Go file")
	folder := repository(t, map[string]string{spawn.File + "/x": ""})
	wantIn(t, sync(t, folder, false), "read list of sites")
}

func ExampleCheck() {
	site := spawn.Site{Package: "shop", Function: "(*Till).Open", Start: "go t.run"}
	entry := spawn.Entry{Site: site, Count: 1, Bound: "one for each till"}
	fmt.Println(spawn.Check([]spawn.Entry{entry}, []spawn.Found{{Site: site, Places: []string{"shop/till.go:12"}}}))
	// Output: shop: (*Till).Open: go t.run (shop/till.go:12) has no reason: write in docs/concurrency.txt, after why:, what it is for and what ends it
}
