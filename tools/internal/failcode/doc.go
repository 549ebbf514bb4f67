// Package failcode reads the failure codes of a package out of its source: which sets it makes, which
// codes it declares in them, and where it answers with each.
//
// What belongs to package chassis/failure is recognised by import path and types, so that another
// name for the import, a dot import, a type alias or an embedded set makes no difference. Test files
// are left out: their codes are no service's, and what they do with a code is no answer.
//
// It only reads. What is allowed is for tools/faillint to say, package by package, and for
// tools/internal/roster, over a whole module.
package failcode

import (
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"
	"strings"
)

// Package is the import path of the package that declares what codes and sets are, and the codes of
// the chassis itself.
const Package = "github.com/seed-754044b3/roadworthy/chassis/failure"

// fakes is where the chassis's network fakes are: a code that is handed to one is not answered with.
const fakes = "github.com/seed-754044b3/roadworthy/fake"

// A Source is a package that passed the type checker.
type Source struct {
	Fset  *token.FileSet
	Files []*ast.File
	Pkg   *types.Package
	Info  *types.Info

	// Imported finds the name of a set whose variable another package declares; nil finds none.
	Imported func(*types.Var) (name string, ok bool)
}

// Path is the import path.
func (s *Source) Path() string { return bare(s.Pkg.Path()) }

// Own reports whether the source is package failure. Its codes are the exception to what holds for
// others: they are exported, because every room of the chassis and every service answers with them.
func (s *Source) Own() bool { return s.Path() == Package }

// Place is a position as failure.Code.Place tells it: import path, file and line.
func (s *Source) Place(pos token.Pos) string {
	at := s.Fset.Position(pos)
	return s.Path() + "/" + filepath.Base(at.Filename) + ":" + strconv.Itoa(at.Line)
}

// Variable is a package-level variable by import path and name.
func Variable(v *types.Var) string { return bare(v.Pkg().Path()) + "." + v.Name() }

// bare is an import path without what the go command adds to it for a test's variant.
func bare(path string) string {
	path, _, _ = strings.Cut(path, " ")
	return path
}

// Generated reports whether pos is in a file that a program wrote.
func (s *Source) Generated(pos token.Pos) bool {
	for _, f := range s.Files {
		if f.FileStart <= pos && pos < f.FileEnd {
			return ast.IsGenerated(f)
		}
	}
	return false
}

// sources are the files that are not tests.
func (s *Source) sources() []*ast.File {
	var files []*ast.File
	for _, f := range s.Files {
		// The name on disk: a //line comment must not make a test of a file, nor the reverse.
		if !strings.HasSuffix(s.Fset.File(f.FileStart).Name(), "_test.go") {
			files = append(files, f)
		}
	}
	return files
}

// Contents are what was read of a package.
type Contents struct {
	Sets  []Set  // by position
	Codes []Code // by position

	// Unread are declarations that cannot be read as they are written, each with what would be right.
	Unread []Problem
}

// A Set is a package-level variable that holds a set of codes.
type Set struct {
	Var  *types.Var
	Name string // empty if it is no constant, which is in Unread
	Pos  token.Pos
	Made bool // the set is made there; false for another name of it
}

// A Code is a declaration.
type Code struct {
	Var     *types.Var // its package-level variable; nil if that is blank
	Name    string     // of the variable
	Set     string     // name of its set
	Number  int
	Message string
	Class   string     // the method of Set that declares it: Caller, Service, Dependency, NotProblem
	Options []ast.Expr // as written
	Pos     token.Pos  // of the variable
	At      token.Pos  // of the number

	Answers []token.Pos // where the package answers with it, by position; see [Read]
	Copied  []token.Pos // where a package-level variable gets it or an answer made of it
	Changed []token.Pos // where its variable is assigned to, or its address taken
}

// A Problem is something wrong at a place.
type Problem struct {
	Pos  token.Pos
	Text string
}
