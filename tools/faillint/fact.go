package faillint

import (
	"cmp"
	"fmt"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode"
)

// declared is the fact about a package: what it declares and what all packages declare that it imports,
// also indirectly, because whoever imports it may not be told of those. It holds no maps: their
// encoding differs from time to time, which the checkers refuse.
type declared struct {
	Sets  []set  // sorted by variable
	Codes []code // sorted by set, number and place
}

// A set is a variable that holds one.
type set struct {
	Var   string // import path and name
	Name  string
	Place string
	Made  bool // false for another name of a set
}

// A code is a declaration.
type code struct {
	Set    string
	Number int
	Name   string // of the variable
	Place  string
}

func (*declared) AFact() {}

// String lists the codes, in tests of the analyzer.
func (d *declared) String() string {
	var all []string
	for _, c := range d.Codes {
		all = append(all, fmt.Sprintf("%s %d", c.Set, c.Number))
	}
	return strings.Join(all, ", ")
}

// A knowledge is what the imports of a package declare.
type knowledge struct {
	packages []*declared // of each package that is known
	sets     []set       // of all of them, each once
	codes    []code
}

func imported(pass *analysis.Pass) knowledge {
	var k knowledge
	for _, fact := range pass.AllPackageFacts() {
		d := fact.Fact.(*declared)
		k.packages = append(k.packages, d)
		k.sets = append(k.sets, d.Sets...)
		k.codes = append(k.codes, d.Codes...)
	}
	k.sets, k.codes = sorted(k.sets, compareSets), sorted(k.codes, compareCodes)
	return k
}

func compareSets(a, b set) int { return cmp.Compare(a.Var, b.Var) }

func compareCodes(a, b code) int {
	return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Place, b.Place))
}

// sorted is the list in order, each element once.
func sorted[T comparable](list []T, compare func(T, T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

// set finds the name of the set that a variable of another package holds.
func (k knowledge) set(v *types.Var) (name string, ok bool) {
	i, ok := slices.BinarySearchFunc(k.sets, set{Var: failcode.Variable(v)}, compareSets)
	if !ok {
		return "", false
	}
	return k.sets[i].Name, true
}

// unique compares what the package declares with itself and with its imports, and these with each other,
// and exports the fact of it all.
func (l *linter) unique(known knowledge, contents failcode.Contents) {
	here := &declared{}
	for _, s := range contents.Sets {
		if s.Name == "" || s.Var == nil {
			continue
		}
		made := set{failcode.Variable(s.Var), s.Name, l.source.Place(s.Pos), s.Made}
		if other, ok := find(slices.Concat(known.sets, here.Sets), func(o set) bool { return made.Made && o.Made && o.Name == made.Name }); ok {
			l.report(s.Pos, "failure set %s is made here and at %s: answers, logs and metrics could not tell their codes apart; declare the codes in the one that is there, or give this one another name", made.Name, other.Place)
		}
		here.Sets = append(here.Sets, made)
	}
	for _, c := range contents.Codes {
		if c.Set == "" {
			continue
		}
		d := code{c.Set, c.Number, c.Name, l.source.Place(c.Pos)}
		if other, ok := find(slices.Concat(known.codes, here.Codes), func(o code) bool { return o.Set == d.Set && o.Number == d.Number }); ok {
			l.report(c.At, "failure code %s is declared here as %s and at %s as %s: give this one a number that was never used, by %q", title(c), d.Name, other.Place, other.Name, "roadworthy failures list")
		}
		here.Codes = append(here.Codes, d)
	}
	l.strangers(known)
	// Nobody imports a command; and every package that uses the chassis would carry the chassis's codes,
	// which no other can declare.
	if l.pass.Pkg.Name() == "main" || l.source.Own() || len(known.sets)+len(here.Sets) == 0 {
		return
	}
	l.pass.ExportPackageFact(&declared{
		Sets:  sorted(append(here.Sets, known.sets...), compareSets),
		Codes: sorted(append(here.Codes, known.codes...), compareCodes),
	})
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	var none T
	return none, false
}

// strangers reports what imports declare twice and none of them could see, each where the two meet first.
func (l *linter) strangers(known knowledge) {
	at := l.pass.Files[0].Name.Pos()
	for i, a := range known.sets {
		for _, b := range known.sets[i+1:] {
			if a.Made && b.Made && a.Name == b.Name && !known.meet(func(d *declared) bool {
				return slices.Contains(d.Sets, a) && slices.Contains(d.Sets, b)
			}) {
				l.report(at, "two packages that this one imports make the failure set %s, at %s and at %s: answers, logs and metrics could not tell their codes apart; give one of them another name", a.Name, a.Place, b.Place)
			}
		}
	}
	for i := 1; i < len(known.codes); i++ {
		a, b := known.codes[i-1], known.codes[i]
		if a.Set == b.Set && a.Number == b.Number && !known.meet(func(d *declared) bool {
			return slices.Contains(d.Codes, a) && slices.Contains(d.Codes, b)
		}) {
			l.report(at, "two packages that this one imports declare the failure code %s %d, at %s as %s and at %s as %s: give one of them a number that was never used", a.Set, a.Number, a.Place, a.Name, b.Place, b.Name)
		}
	}
}

// meet reports whether one of the imports knows both.
func (k knowledge) meet(both func(*declared) bool) bool {
	return slices.ContainsFunc(k.packages, both)
}
