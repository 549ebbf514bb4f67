// Package faillint is a go/analysis analyzer that holds a service to how failure codes are declared and
// used, so that the number in an alarm, a log or a user's complaint names one line of code.
//
//	go vet -vettool=$(which faillint) ./...
//
// The command is tools/cmd/faillint. The rules, for all files but tests:
//
//   - A code is declared in a package-level variable of its own, by a call on a set that is a package-level
//     variable as well: var errFull = codes.Caller(1042, "the column is full").
//   - Number and message are literals; the name of the set is a constant.
//   - The variable is unexported, never changes, and no other package-level variable has the same code
//     or an answer made of it.
//   - Its number is declared once in the set, and the set's name is made once: in the package and in all
//     that it imports.
//   - The package answers with it in exactly one place. What is an answer, and what only looks at a code,
//     is told at [failcode.Read]. Two places that fail alike are two codes, or one function that both call.
//
// Code that a program generated is held to the same: an alarm does not care who wrote the line.
//
// The chassis's own codes are the documented exception: they are exported and every room of the chassis
// and every service answers with them. They are known by where they are declared, package
// chassis/failure itself; there the rules about names and uses do not hold, the others do.
//
// The analyzer sees one package and what that imports, in the build that is vetted: packages that do not
// import each other, and numbers that were given up, are for "roadworthy failures check". Values are not
// followed, so a helper that is handed an error and answers with it is the caller's one place.
package faillint

import (
	"fmt"
	"go/token"
	"path/filepath"

	"golang.org/x/tools/go/analysis"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode"
)

// Analyzer is the analyzer faillint.
var Analyzer = &analysis.Analyzer{
	Name:      "faillint",
	Doc:       "hold failure codes to one declaration and one place of use\n\nAn alarm for a failure code names a line of code only if the code is declared once, by literal number and message, and answered in exactly one place.",
	URL:       "https://github.com/seed-754044b3/roadworthy/blob/main/docs/failure-codes.md",
	Run:       run,
	FactTypes: []analysis.Fact{(*declared)(nil)},
}

// run checks one package.
func run(pass *analysis.Pass) (any, error) {
	known := imported(pass)
	l := &linter{pass: pass, source: failcode.Source{
		Fset: pass.Fset, Files: pass.Files, Pkg: pass.Pkg, Info: pass.TypesInfo, Imported: known.set,
	}}
	// A package that has codes imports package failure, or one with a set to declare them in.
	if !l.source.Own() && !importsFailure(pass) && len(known.sets) == 0 {
		return nil, nil
	}
	contents := failcode.Read(&l.source)
	for _, p := range contents.Unread {
		l.report(p.Pos, "%s", p.Text)
	}
	if !l.source.Own() {
		for _, code := range contents.Codes {
			l.name(code)
			l.uses(code)
		}
	}
	l.unique(known, contents)
	return nil, nil
}

func importsFailure(pass *analysis.Pass) bool {
	for _, p := range pass.Pkg.Imports() {
		if p.Path() == failcode.Package {
			return true
		}
	}
	return false
}

// A linter is the check of one package.
type linter struct {
	pass   *analysis.Pass
	source failcode.Source
}

func (l *linter) report(pos token.Pos, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.source.Generated(pos) {
		text += " (the file is generated: change what generates it)"
	}
	l.pass.Report(analysis.Diagnostic{Pos: pos, Message: text})
}

// name holds the variable to being seen by its package only.
func (l *linter) name(code failcode.Code) {
	if code.Name == "_" {
		l.report(code.Pos, "failure code %s has no name, so nothing can answer with it: name it, or delete the declaration (%s)", title(code), retires)
	} else if token.IsExported(code.Name) {
		l.report(code.Pos, "failure code %s (%s) is exported, so its place of use is not decided by its own package: begin its name with a small letter; other packages ask for it by its number, or with errors.Is through a function of this one", code.Name, title(code))
	}
	for _, pos := range code.Changed {
		l.report(pos, "failure code %s (%s) is assigned to or its address taken, but a code never changes: hand the value on, or declare another code", code.Name, title(code))
	}
	for _, pos := range code.Copied {
		l.report(pos, "failure code %s (%s) is kept in another package-level variable, by which it can be answered anywhere: answer with %s itself, in the one place where it occurs", code.Name, title(code), code.Name)
	}
}

const retires = `"roadworthy failures check -w" then retires its number`

// uses holds a code to exactly one answer.
func (l *linter) uses(code failcode.Code) {
	if len(code.Answers) > 1 {
		for _, pos := range code.Answers[1:] {
			l.report(pos, "failure code %s (%s) is answered here and at %s: an alarm for it must name one place; declare a code of its own for this one, or answer in one function that both call", code.Name, title(code), l.near(code.Answers[0]))
		}
	}
	// Of an exported one, and of one that another variable has, the answers may be elsewhere.
	if len(code.Answers) == 0 && code.Name != "_" && !token.IsExported(code.Name) && len(code.Copied) == 0 {
		l.report(code.Pos, "failure code %s (%s) is never answered: answer with it where it occurs, or delete the declaration (%s)", code.Name, title(code), retires)
	}
}

// near is a position in this package: file and line.
func (l *linter) near(pos token.Pos) string {
	at := l.pass.Fset.Position(pos)
	return fmt.Sprintf("%s:%d", filepath.Base(at.Filename), at.Line)
}

// title is set and number; a set whose name cannot be told has none.
func title(code failcode.Code) string {
	if code.Set == "" {
		return fmt.Sprint(code.Number)
	}
	return fmt.Sprintf("%s %d", code.Set, code.Number)
}
