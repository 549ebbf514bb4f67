// Package roster lists the failure codes of whole modules: what no check of one package can see. It finds
// numbers that two packages or services use, keeps in each module a lock of all numbers that were ever
// given, so that none is given twice, and writes the list for people.
package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/packages"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/tools/internal/failcode"
)

// A Roster is what the modules of a workspace declare, as they are built here: with this system's files
// and the build tags in GOFLAGS.
type Roster struct {
	Dir     string   // what file names are relative to
	Modules []Module // by path
	Sets    []Set    // by name and place

	// Problems are declarations that cannot be read.
	Problems []Problem
}

// A Module is one of the main modules.
type Module struct {
	Path  string
	Dir   string // absolute
	Codes []Code // by set, number and place
}

// A Set is where a set is made.
type Set struct {
	Name string
	At   string // file and line
}

// A Code is one code as it is declared and used.
type Code struct {
	failure.Description
	Name     string   `json:"name"`     // of its variable
	Declared string   `json:"declared"` // file and line
	Answered []string `json:"answered"` // the same of each place that answers with it; none for the chassis's own
}

// A Problem is something wrong at a place.
type Problem struct {
	At   string // file and line
	Text string
}

func (p Problem) String() string { return p.At + ": " + p.Text }

// needed is what is loaded of the packages; what they import comes compiled.
const needed = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule

// Load reads all packages of the workspace that dir lies in, or of its module if there is none. File
// names are relative to dir.
func Load(ctx context.Context, dir string) (*Roster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("list failure codes: %w", err)
	}
	l := &loader{roster: &Roster{Dir: dir}, fset: token.NewFileSet(), sets: map[string]string{}, modules: map[string]*Module{}}
	loaded, err := packages.Load(&packages.Config{Context: ctx, Dir: dir, Mode: needed, Fset: l.fset}, "work")
	if err != nil {
		return nil, fmt.Errorf("list failure codes: %w", err)
	}
	if len(loaded) == 0 {
		return nil, fmt.Errorf("list failure codes: %s is in no module with packages", dir)
	}
	packages.Visit(loaded, nil, func(p *packages.Package) { // those that are imported come first
		for _, e := range p.Errors {
			err = errors.Join(err, e)
		}
		if err == nil && len(p.Syntax) > 0 && p.Module != nil {
			l.read(p)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list failure codes: the packages do not build:\n%w", err)
	}
	for _, m := range l.modules {
		slices.SortFunc(m.Codes, func(a, b Code) int {
			return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Place, b.Place))
		})
		l.roster.Modules = append(l.roster.Modules, *m)
	}
	slices.SortFunc(l.roster.Modules, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(l.roster.Sets, func(a, b Set) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.At, b.At)) })
	slices.SortStableFunc(l.roster.Problems, func(a, b Problem) int { return cmp.Compare(a.At, b.At) })
	return l.roster, nil
}

// A loader is one call of Load.
type loader struct {
	roster  *Roster
	fset    *token.FileSet
	sets    map[string]string // name by variable
	modules map[string]*Module
}

// read takes in what a package declares.
func (l *loader) read(p *packages.Package) {
	m := l.modules[p.Module.Path]
	if m == nil {
		m = &Module{Path: p.Module.Path, Dir: p.Module.Dir}
		l.modules[m.Path] = m
	}
	source := &failcode.Source{Fset: p.Fset, Files: p.Syntax, Pkg: p.Types, Info: p.TypesInfo,
		Imported: func(v *types.Var) (string, bool) {
			name, ok := l.sets[failcode.Variable(v)]
			return name, ok
		}}
	contents := failcode.Read(source)
	for _, s := range contents.Sets {
		l.sets[failcode.Variable(s.Var)] = s.Name
		if s.Made && s.Name != "" {
			l.roster.Sets = append(l.roster.Sets, Set{s.Name, l.at(s.Pos)})
		}
	}
	for _, problem := range contents.Unread {
		l.roster.Problems = append(l.roster.Problems, Problem{l.at(problem.Pos), problem.Text})
	}
	for _, c := range contents.Codes {
		if c.Set == "" {
			continue // the name of the set is unread
		}
		description, err := failcode.Describe(source, c)
		if err != nil {
			l.roster.Problems = append(l.roster.Problems, Problem{l.at(c.At), err.Error()})
			continue
		}
		code := Code{Description: description, Name: c.Name, Declared: l.at(c.Pos), Answered: []string{}}
		if !source.Own() {
			for _, pos := range c.Answers {
				code.Answered = append(code.Answered, l.at(pos))
			}
		}
		m.Codes = append(m.Codes, code)
	}
}

// at is a position by file, relative to the roster's folder, and line.
func (l *loader) at(pos token.Pos) string {
	at := l.fset.Position(pos)
	return fmt.Sprintf("%s:%d", l.roster.relative(at.Filename), at.Line)
}

func (r *Roster) relative(file string) string {
	if short, err := filepath.Rel(r.Dir, file); err == nil {
		file = short
	}
	return filepath.ToSlash(file)
}

// Conflicts are numbers and names that are given twice: a set's name, and a number in one set, in all
// modules; and, unless perSet allows it, a number in two sets of one module, which people who are told
// the number alone could not tell apart.
func (r *Roster) Conflicts(perSet bool) []Problem {
	var all []Problem
	for i := 1; i < len(r.Sets); i++ {
		if a, b := r.Sets[i-1], r.Sets[i]; a.Name == b.Name {
			all = append(all, Problem{b.At, fmt.Sprintf("failure set %s is made here and at %s: answers, logs and metrics could not tell their codes apart; give one of them another name", b.Name, a.At)})
		}
	}
	type key struct {
		set    string
		number int
	}
	inSet := map[key]Code{}
	for _, m := range r.Modules {
		inModule := map[int]Code{}
		for _, c := range m.Codes {
			k := key{c.Set, c.Number}
			if other, ok := inSet[k]; ok {
				all = append(all, Problem{c.Declared, fmt.Sprintf("failure code %s %d is declared here as %s and at %s as %s: give this one a number that was never used", c.Set, c.Number, c.Name, other.Declared, other.Name)})
				continue
			}
			inSet[k] = c
			other, ok := inModule[c.Number]
			if ok && !perSet {
				all = append(all, Problem{c.Declared, fmt.Sprintf("failure code %s %d has the number of %s %d, which %s declares: whoever is told the number alone could not tell them apart; give this one a number that no set of the module has, or allow this with -per-set", c.Set, c.Number, other.Set, other.Number, other.Declared)})
			}
			if !ok {
				inModule[c.Number] = c
			}
		}
	}
	return all
}
