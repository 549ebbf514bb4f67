package faketest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/fake"
)

// NoHandlers fails the test when the Go package in dir, without its tests, answers calls
// itself rather than leave that to the service it fakes: when it imports what handlers are
// made of (package net/http or gRPC's), registers handlers, has a ServeHTTP method, describes
// a service of its own, or uses more of the service's implementation than its Spec, its
// configuration and its failure codes. Each finding names file and line.
func NoHandlers(tb fake.TB, dir string) {
	tb.Helper()
	findings, err := inspect(dir)
	if err != nil {
		tb.Fatalf("faketest: %v", err)
		return
	}
	for _, finding := range findings {
		tb.Errorf("faketest: %s: a fake runs the service's own handlers and has none", finding)
	}
}

// library is the path of the module that package fake belongs to.
var library = path.Dir(reflect.TypeFor[fake.Fake]().PkgPath())

// servers are packages that handlers are made of, with all that lies below them.
var servers = []string{
	"net", "google.golang.org/grpc", "google.golang.org/protobuf", "github.com/grpc-ecosystem",
	library + "/chassis/grpcserver", library + "/chassis/journal", library + "/chassis/queue",
}

// inspect lists what a fake must not do, with places.
func inspect(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the fake's package: %w", err)
	}
	i := &inspection{files: token.NewFileSet(), dir: dir}
	parsed := 0
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(i.files, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read the fake's package: %w", err)
		}
		parsed++
		i.file(file)
	}
	if parsed == 0 {
		return nil, fmt.Errorf("read the fake's package: %w", &fs.PathError{Op: "find Go files in", Path: dir, Err: errNoFiles})
	}
	return i.findings, nil
}

var errNoFiles = errors.New("there are none")

// inspection goes through a package file by file.
type inspection struct {
	files    *token.FileSet
	dir      string
	findings []string
}

func (i *inspection) find(at token.Pos, format string, args ...any) {
	p := i.files.Position(at)
	i.findings = append(i.findings, fmt.Sprintf("%s:%d: ", filepath.Base(p.Filename), p.Line)+fmt.Sprintf(format, args...))
}

func (i *inspection) file(file *ast.File) {
	foreign := map[string]string{} // name in the file to path, of the service's packages
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		if serves(imported) {
			i.find(spec.Pos(), "imports %s", imported)
			continue
		}
		if !ofService(imported) {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			i.find(spec.Pos(), "imports %s without its name, so that nobody sees what is used of it", imported)
		}
		foreign[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil && n.Name.Name == "ServeHTTP" {
				i.find(n.Pos(), "has a handler")
			}
		case *ast.CallExpr:
			if name := calledName(n.Fun); registers(name) {
				i.find(n.Pos(), "registers handlers: %s", name)
			}
		case *ast.CompositeLit:
			if name := calledName(n.Type); name == "Spec" {
				i.find(n.Pos(), "describes a service of its own")
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if ok && foreign[pkg.Name] != "" && !may(n.Sel.Name) {
				i.find(n.Pos(), "reaches into the service: %s.%s", pkg.Name, n.Sel.Name)
			}
			if n.Sel.Name == "Setup" {
				i.find(n.Pos(), "changes how the service is set up")
			}
		}
		return true
	})
}

// serves reports whether a package is one that handlers are made of.
func serves(imported string) bool {
	for _, s := range servers {
		if imported == s || strings.HasPrefix(imported, s+"/") {
			return true
		}
	}
	return false
}

// ofService reports whether a package is neither the standard library's, nor the chassis's, nor
// a fake, which is held to the same by its own test.
func ofService(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || strings.HasSuffix(imported, "fake") {
		return false
	}
	for _, own := range []string{"/chassis", "/fake"} {
		if imported == library+own || strings.HasPrefix(imported, library+own+"/") {
			return false
		}
	}
	return true
}

// may reports whether a fake may use this name of the service's package: its Spec, the types
// of its configuration, its failure codes.
func may(name string) bool {
	return name == "Spec" || strings.HasSuffix(name, "Config") || strings.HasPrefix(name, "Code")
}

// registers reports whether a function of this name is one that registers handlers.
func registers(name string) bool {
	switch name {
	case "Handle", "HandleFunc", "HandleContext", "Mount", "RegisterService", "RegisterName":
		return true
	}
	return strings.HasPrefix(name, "Register") && (strings.HasSuffix(name, "Server") || strings.Contains(name, "Handler"))
}

// calledName is the last part of the name of a function or type.
func calledName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr: // a type with one argument
		return calledName(e.X)
	case *ast.IndexListExpr:
		return calledName(e.X)
	}
	return ""
}
