// Package coverage turns what "go test -coverprofile" measured into the checked-in table of statement
// coverage by package, and fails where a library package has too little.
//
// Which statements run differs a little from run to run, as goroutines meet in another order. So the
// check accepts a table whose figures are within [Tolerance] of those measured.
package coverage

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

const (
	// File is where the table is checked in, relative to the root of the repository.
	File = "docs/coverage.md"
	// Least is the percentage of statements that the tests of a library package cover at least.
	Least = 95.0
	// LeastOfChecker is the same for a package that tests implementations (journaltest): half of it
	// are reports of what went wrong besides the promise at hand, which no broken implementation
	// reaches all of.
	LeastOfChecker = 90.0
	// Tolerance is how far, in percentage points, a figure in the table may be from the one measured:
	// which branches race tests take varies.
	Tolerance = 2.0
)

// libraries are the folders of the root module that others import.
var libraries = []string{"chassis", "fake"}

// Sync reads the profiles, compares them with the checked-in table, or writes that, and checks that
// every library package of the workspace's root module has the coverage it must have.
func Sync(w *workspace.Workspace, profiles []string, write bool) error {
	if len(profiles) == 0 {
		return errors.New("no coverage profile given: name the files that go test -coverprofile wrote")
	}
	root, err := w.RootModule()
	if err != nil {
		return err
	}
	var all Profiles
	for _, name := range profiles {
		if err := readFile(&all, name); err != nil {
			return err
		}
	}
	packages := all.Packages()
	for i := range packages {
		packages[i].Path = strings.TrimPrefix(packages[i].Path, root.Path+"/")
	}

	path := filepath.Join(w.Root, filepath.FromSlash(File))
	table := Table(packages)
	if have, err := os.ReadFile(path); err == nil && agree(have, table) && !write {
		return Check(packages)
	}
	return errors.Join(Check(packages), golden.Sync(path, table, write))
}

func readFile(all *Profiles, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read coverage profile: %w", err)
	}
	defer f.Close()
	if err := all.Read(f); err != nil {
		return fmt.Errorf("read coverage profile %s: %w", name, err)
	}
	return nil
}

// Check returns an error for each library package with less than [Least] or [LeastOfChecker] percent,
// joined, or nil.
// Paths are relative to the root module.
func Check(packages []Package) error {
	var low []error
	for _, p := range packages {
		folders := strings.Split(p.Path, "/")
		if !slices.Contains(libraries, folders[0]) || slices.Contains(folders, "cmd") {
			continue
		}
		least := Least
		if strings.HasSuffix(p.Path, "test") {
			least = LeastOfChecker
		}
		if p.Percent() < least {
			low = append(low, fmt.Errorf("%s: tests cover %.1f %% of its statements, want at least %.0f %%", p.Path, p.Percent(), least))
		}
	}
	return errors.Join(low...)
}

// Table writes packages as a Markdown page, a row each and a last one for all of them.
func Table(packages []Package) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Statement coverage

Statements that the tests run, by package; generated protobuf code is left out. Packages under
`+"`chassis` and `fake`"+` need %.0f %%, checkers (`+"`…test`"+`) %.0f %%. `+"`.ci/run`"+` measures it and fails when a figure here is more
than %.0f points off; `+"`.ci/coverage -w`"+` writes this page anew.

| package | statements | covered |
|---|---:|---:|
`, Least, LeastOfChecker, Tolerance)
	total := Package{Path: "all"}
	for _, p := range packages {
		fmt.Fprintln(&b, row("`"+p.Path+"`", p))
		total.Statements += p.Statements
		total.Covered += p.Covered
	}
	fmt.Fprintln(&b, row("all", total))
	return b.Bytes()
}

func row(name string, p Package) string {
	return fmt.Sprintf("| %s | %d | %.1f %% |", name, p.Statements, p.Percent())
}

// agree tells whether two tables have the same rows, their percentages apart by no more than
// Tolerance. The number of statements may differ: it changes with every edit.
func agree(have, want []byte) bool {
	a, b := percentages(have), percentages(want)
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || math.Abs(x-y) > Tolerance {
			return false
		}
	}
	return true
}

func percentages(table []byte) map[string]float64 {
	found := map[string]float64{}
	for line := range strings.Lines(string(table)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 3 {
			continue
		}
		if x, err := strconv.ParseFloat(strings.TrimSuffix(cells[2], " %"), 64); err == nil {
			found[cells[0]] = x
		}
	}
	return found
}
