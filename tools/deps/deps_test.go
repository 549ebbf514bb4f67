package deps_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/deps"
	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

var house = map[string]string{
	"go.work":                     "go 1.26.0\nuse .\n",
	"go.mod":                      "module example.com/house\n\ngo 1.26.0\n",
	"chassis/clock/clock.go":      "package clock\n\nimport \"errors\"\n\nvar Err = errors.New(\"late\")\n",
	"chassis/clock/clock_test.go": "package clock_test\n\nimport _ \"net/http\"\n",
	"chassis/chassis.go":          "package chassis\n\nimport _ \"example.com/house/chassis/clock\"\n",
}

func TestLoadCountsWhatAPackageLinksAndNotWhatItsTestsDo(t *testing.T) {
	packages, err := deps.Load(t.Context(), treetest.Write(t, house))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) != 2 || packages[0].Path != "chassis" || packages[1].Path != "chassis/clock" {
		t.Fatalf("packages %+v", packages)
	}
	if want := []string{"chassis/clock"}; !slices.Equal(packages[0].Imports, want) || !slices.Equal(packages[0].Own, want) {
		t.Errorf("chassis %+v", packages[0])
	}
	if n := packages[1].Standard; n < 1 || n > 10 { // errors and the little it needs; net/http is over 100
		t.Errorf("clock reaches %d standard packages", n)
	}
}

func TestLoadNamesThePackageInTheModulesOwnFolderByADot(t *testing.T) {
	packages, err := deps.Load(t.Context(), treetest.Write(t, map[string]string{"go.mod": "module m\n\ngo 1.26.0\n", "m.go": "package m\n"}))
	if err != nil || len(packages) != 1 || packages[0].Path != "." {
		t.Errorf("got %+v, %v", packages, err)
	}
}

func TestLoadReportsPackagesThatCannotBeListed(t *testing.T) {
	if _, err := deps.Load(t.Context(), t.TempDir()); err == nil {
		t.Error("no error for a folder without a module")
	}
}

func TestSyncWritesTheListAndThenAcceptsIt(t *testing.T) {
	w, err := workspace.Load(treetest.Write(t, house))
	if err != nil {
		t.Fatal(err)
	}
	err = deps.Sync(t.Context(), w, false)
	if _, stale := errors.AsType[*golden.StaleError](err); !stale {
		t.Errorf("a missing list gave %v", err)
	}
	if err := deps.Sync(t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	if err := deps.Sync(t.Context(), w, false); err != nil {
		t.Errorf("the list just written is not accepted: %v", err)
	}
	if list := treetest.Read(t, w.Root, deps.File); !strings.Contains(list, "\nchassis\n\tchassis/clock\n\tstandard library ") {
		t.Errorf("list:\n%s", list)
	}
}

func TestSyncNeedsARootModule(t *testing.T) {
	w, err := workspace.Load(treetest.Write(t, map[string]string{"go.work": "go 1.26.0\nuse ./a\n", "a/go.mod": "module a\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := deps.Sync(t.Context(), w, false); err == nil {
		t.Error("no error")
	}
}

func TestSyncReportsAModuleThatCannotBeListed(t *testing.T) {
	w, err := workspace.Load(treetest.Write(t, map[string]string{"go.work": "go 1.26.0\nuse .\n", "go.mod": "module a\n", "a.go": "pack a"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := deps.Sync(t.Context(), w, false); err == nil || !strings.Contains(err.Error(), "list packages") {
		t.Errorf("got %v", err)
	}
}

func TestCheckEnforcesFloorsAndReservations(t *testing.T) {
	floors := []deps.Floor{{Package: "a", Level: deps.Ground}, {Package: "a/heavy", Level: 1}, {Package: "b", Level: 2}}
	reservations := []deps.Reservation{{Module: "example.org/db", For: []string{"a/heavy"}, Why: "it is heavy"}}
	for name, c := range map[string]struct {
		p    deps.Package
		want string // "" when allowed
	}{
		"same floor":                  {deps.Package{Path: "a", Imports: []string{"a/x"}}, ""},
		"lower floor":                 {deps.Package{Path: "b", Imports: []string{"a", "a/heavy"}}, ""},
		"higher floor":                {deps.Package{Path: "a/x", Imports: []string{"a/heavy"}}, "a/x (floor 0) imports a/heavy (floor 1)"},
		"no floor":                    {deps.Package{Path: "ab"}, "ab has no floor"},
		"ground with a module":        {deps.Package{Path: "a", Modules: map[string]int{"example.org/x": 1}}, "a reaches example.org/x: floor 0"},
		"module above the ground":     {deps.Package{Path: "b", Modules: map[string]int{"example.org/x": 1}}, ""},
		"reserved module in its room": {deps.Package{Path: "a/heavy/in", Modules: map[string]int{"example.org/db": 3}}, ""},
		"reserved module elsewhere":   {deps.Package{Path: "b", Modules: map[string]int{"example.org/db": 3}}, "b reaches example.org/db, reserved for a/heavy: it is heavy"},
	} {
		t.Run(name, func(t *testing.T) {
			err := deps.Check([]deps.Package{c.p}, floors, reservations)
			if c.want == "" && err != nil {
				t.Errorf("got %v, want no violation", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheChassisMayReachNeitherGRPCNorADatabase(t *testing.T) {
	for _, module := range []string{"google.golang.org/grpc", "modernc.org/sqlite", "zombiezen.com/go/sqlite"} {
		p := deps.Package{Path: "chassis", Modules: map[string]int{module: 1}}
		if err := deps.Check([]deps.Package{p}, deps.Floors, deps.Reservations); err == nil {
			t.Errorf("chassis may reach %s", module)
		}
	}
}

func ExampleList() {
	fmt.Printf("%s", deps.List([]deps.Package{{
		Path: "chassis/kpi", Own: []string{"chassis/clock"}, Modules: map[string]int{"github.com/prometheus/client_golang": 2}, Standard: 90,
	}}))
	// Output:
	// What each package of the root module links, tests apart: packages of its own module, other
	// modules with the number of their packages, and the number of public standard packages.
	// Linux, without cgo. Written by: go run ./tools/cmd/house deps -w
	//
	// chassis/kpi
	// 	chassis/clock
	// 	github.com/prometheus/client_golang 2
	// 	standard library 90
}
