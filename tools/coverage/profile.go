package coverage

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Package is a package and how many of its statements tests have run.
type Package struct {
	Path       string // import path
	Statements int
	Covered    int
}

// Percent is the share of statements covered, from 0 to 100; 100 for a package without statements.
func (p Package) Percent() float64 {
	if p.Statements == 0 {
		return 100
	}
	return 100 * float64(p.Covered) / float64(p.Statements)
}

// block is a run of statements as the cover tool names it: a file and a range of positions in it.
type block struct{ file, position string }

type count struct {
	statements int
	covered    bool
}

// Profiles gathers the profiles that "go test -coverprofile" writes. Several may tell of the same
// blocks, as -coverpkg makes them: a block is covered when any of them covers it. The zero value is
// empty and ready; it is not safe for concurrent use.
type Profiles struct {
	blocks map[block]count
}

// generated are the endings of files that no person writes; their statements are not counted.
var generated = []string{".pb.go", ".pb.gw.go"}

// Read adds one profile. The error names the line that is not as the cover tool writes it.
func (p *Profiles) Read(r io.Reader) error {
	if p.blocks == nil {
		p.blocks = map[block]count{}
	}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.HasPrefix(line, "mode: ") {
			continue
		}
		if err := p.add(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// add reads "import/path/file.go:12.5,14.2 3 1": position, statements, times run.
func (p *Profiles) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return fmt.Errorf("%q: want FILE:RANGE STATEMENTS COUNT", line)
	}
	file, position, ok := strings.Cut(fields[0], ".go:")
	if !ok {
		return fmt.Errorf("%q: no .go file before a colon", line)
	}
	statements, err := strconv.Atoi(fields[1])
	if err != nil {
		return fmt.Errorf("%q: number of statements: %w", line, err)
	}
	runs, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%q: count: %w", line, err)
	}
	file += ".go"
	if slices.ContainsFunc(generated, func(ending string) bool { return strings.HasSuffix(file, ending) }) {
		return nil
	}
	at := block{file, position}
	p.blocks[at] = count{statements, p.blocks[at].covered || runs > 0}
	return nil
}

// Packages sums up what was read, sorted by path.
func (p *Profiles) Packages() []Package {
	sums := map[string]Package{}
	for at, c := range p.blocks {
		name := path.Dir(at.file)
		sum := sums[name]
		sum.Path = name
		sum.Statements += c.statements
		if c.covered {
			sum.Covered += c.statements
		}
		sums[name] = sum
	}
	packages := make([]Package, 0, len(sums))
	for _, sum := range sums {
		packages = append(packages, sum)
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return packages
}
