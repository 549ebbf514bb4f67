package coverage_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/coverage"
	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

func read(t *testing.T, profiles ...string) []coverage.Package {
	t.Helper()
	var all coverage.Profiles
	for _, text := range profiles {
		if err := all.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return all.Packages()
}

func TestABlockIsCoveredWhenAnyProfileCoversIt(t *testing.T) {
	packages := read(t,
		"mode: atomic\nm/b/x.go:1.1,2.2 3 0\nm/b/x.go:3.1,4.2 1 7\nm/a/y.go:1.1,2.2 5 1\n",
		"mode: set\nm/b/x.go:1.1,2.2 3 1\nm/b/x.go:3.1,4.2 1 0\n")
	want := []coverage.Package{{Path: "m/a", Statements: 5, Covered: 5}, {Path: "m/b", Statements: 4, Covered: 4}}
	if fmt.Sprint(packages) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", packages, want)
	}
}

func TestGeneratedFilesAreNotCounted(t *testing.T) {
	packages := read(t, "mode: set\nm/a/x.pb.go:1.1,2.2 100 0\nm/a/x.pb.gw.go:1.1,2.2 100 0\nm/a/x.go:1.1,2.2 1 1\n")
	if len(packages) != 1 || packages[0].Statements != 1 {
		t.Errorf("got %v", packages)
	}
}

func TestAPackageWithoutStatementsIsFullyCovered(t *testing.T) {
	if got := (coverage.Package{}).Percent(); got != 100 {
		t.Errorf("got %v", got)
	}
}

func TestAMalformedProfileIsReportedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"too few fields": {"m/a/x.go:1.1,2.2 3", "want FILE:RANGE"},
		"no Go file":     {"m/a/x.c:1.1,2.2 3 1", "no .go file"},
		"statements":     {"m/a/x.go:1.1,2.2 many 1", "number of statements"},
		"count":          {"m/a/x.go:1.1,2.2 3 -1", "count"},
	} {
		t.Run(name, func(t *testing.T) {
			var all coverage.Profiles
			err := all.Read(strings.NewReader("mode: set\n" + c.line + "\n"))
			if err == nil || !strings.Contains(err.Error(), "line 2: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want line 2 and %q", err, c.want)
			}
		})
	}
}

func TestOnlyLibraryPackagesMustBeCovered(t *testing.T) {
	for path, fails := range map[string]bool{
		"chassis": true, "chassis/queue": true, "fake": true,
		"chassis/cmd/tool": false, "examples/game": false, "tools/deps": false, "fakery": false,
	} {
		err := coverage.Check([]coverage.Package{{Path: path, Statements: 1000, Covered: 949}})
		if (err != nil) != fails {
			t.Errorf("%s: got %v", path, err)
		}
	}
	for path, least := range map[string]int{"chassis": 950, "fake/faketest": 900} {
		if err := coverage.Check([]coverage.Package{{Path: path, Statements: 1000, Covered: least}}); err != nil {
			t.Errorf("%d of 1000 is refused: %v", least, err)
		}
		if err := coverage.Check([]coverage.Package{{Path: path, Statements: 1000, Covered: least - 1}}); err == nil {
			t.Errorf("%s: %d of 1000 is accepted", path, least-1)
		}
	}
}

func load(t *testing.T, files map[string]string) *workspace.Workspace {
	t.Helper()
	files["go.work"] = "go 1.26.0\nuse .\n"
	files["go.mod"] = "module example.com/m\n"
	w, err := workspace.Load(treetest.Write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestSyncAcceptsATableThatIsTwoPointsOffAndNotMore(t *testing.T) {
	const line = "example.com/m/chassis/x.go:%d.1,%d.2 %d %d\n"
	profile := func(covered int) string {
		return "mode: set\n" + fmt.Sprintf(line, 1, 2, covered, 1) + fmt.Sprintf(line, 3, 4, 1000-covered, 0)
	}
	w := load(t, map[string]string{"a.out": profile(980), "b.out": profile(961), "c.out": profile(959), "low.out": profile(940)})
	at := func(name string) []string { return []string{filepath.Join(w.Root, name)} }

	err := coverage.Sync(w, at("a.out"), false)
	if _, stale := errors.AsType[*golden.StaleError](err); !stale {
		t.Errorf("a missing table gave %v", err)
	}
	if err := coverage.Sync(w, at("a.out"), true); err != nil {
		t.Fatal(err)
	}
	if table := treetest.Read(t, w.Root, coverage.File); !strings.Contains(table, "| `chassis` | 1000 | 98.0 % |\n| all | 1000 | 98.0 % |\n") {
		t.Errorf("table:\n%s", table)
	}
	if err := coverage.Sync(w, at("b.out"), false); err != nil {
		t.Errorf("0.9 points off: %v", err)
	}
	err = coverage.Sync(w, at("c.out"), false)
	if _, stale := errors.AsType[*golden.StaleError](err); !stale {
		t.Errorf("1.1 points off gave %v", err)
	}
	if err := coverage.Sync(w, at("low.out"), true); err == nil || !strings.Contains(err.Error(), "chassis: tests cover 94.0 %") {
		t.Errorf("too little coverage gave %v", err)
	}
}

func TestSyncWantsTheSamePackagesInTheTable(t *testing.T) {
	row := "example.com/m/%s/x.go:1.1,2.2 3 1\n"
	w := load(t, map[string]string{"a": fmt.Sprintf(row, "chassis"), "b": fmt.Sprintf(row, "fake"), "ab": fmt.Sprintf(row+row, "chassis", "fake")})
	if err := coverage.Sync(w, []string{filepath.Join(w.Root, "a")}, true); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"b", "ab"} {
		if err := coverage.Sync(w, []string{filepath.Join(w.Root, other)}, false); err == nil {
			t.Errorf("profile %s agrees with a table of other packages", other)
		}
	}
}

func TestSyncSaysWhatIsWrong(t *testing.T) {
	w := load(t, map[string]string{"bad.out": "what\n"})
	for name, c := range map[string]struct {
		profiles []string
		want     string
	}{
		"no profile":        {nil, "no coverage profile given"},
		"missing profile":   {[]string{"/no/such/file"}, "read coverage profile"},
		"malformed profile": {[]string{filepath.Join(w.Root, "bad.out")}, "bad.out: line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := coverage.Sync(w, c.profiles, false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	rootless := &workspace.Workspace{Root: t.TempDir()}
	if err := coverage.Sync(rootless, []string{"x"}, false); err == nil {
		t.Error("a workspace without a root module passed")
	}
}

func FuzzReadNeverPanicsAndCountsNoMoreThanItRead(f *testing.F) {
	f.Add("mode: set\nm/a/x.go:1.1,2.2 3 1\n")
	f.Add("m/a/x.go:1.1,2.2 3")
	f.Fuzz(func(t *testing.T, text string) {
		var all coverage.Profiles
		if all.Read(strings.NewReader(text)) != nil {
			return
		}
		if n := len(all.Packages()); n > strings.Count(text, "\n")+1 {
			t.Errorf("%d packages of %q", n, text)
		}
	})
}

func ExampleProfiles() {
	var all coverage.Profiles
	err := all.Read(strings.NewReader("mode: set\nexample.com/m/queue.go:1.1,9.2 4 1\nexample.com/m/queue.go:10.1,12.2 1 0\n"))
	if err != nil {
		panic(err)
	}
	for _, p := range all.Packages() {
		fmt.Printf("%s %.0f %%\n", p.Path, p.Percent())
	}
	// Output: example.com/m 80 %
}
