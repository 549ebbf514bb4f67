package spawn

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// A Site is where code starts work or hands it on. It has no line number, so that it stays the same
// when code around it changes; equal ones in one function are counted.
type Site struct {
	Package  string // folder relative to the root of the repository, "." for the root itself
	Function string // "f", "(T).f", "(*T).f", or "var x" for what initialises a package variable
	Start    string // the code: "go f", "go func" for a literal, "make(chan T, 3)", "wg.Go"
}

func (s Site) String() string { return s.Package + ": " + s.Function + ": " + s.Start }

func (s Site) compare(other Site) int {
	return cmp.Or(
		strings.Compare(s.Package, other.Package),
		strings.Compare(s.Function, other.Function),
		strings.Compare(s.Start, other.Start))
}

// Found is a Site and the places where it is today, as "file.go:12" relative to the repository.
type Found struct {
	Site
	Places []string
}

// calls are the methods and functions that start goroutines or keep work for later, by their last
// name alone: whatever else is called so is listed as well, and says that it starts nothing.
var calls = map[string]bool{
	"Go": true, "TryGo": true, // sync.WaitGroup, errgroup.Group, chassis.Service
	"AfterFunc": true,                                                                                         // time, context, clock.Clock
	"Serve":     true, "ServeTLS": true, "ListenAndServe": true, "ListenAndServeTLS": true, "ServeConn": true, // a goroutine for each connection
	"MakeChan": true,                    // reflect
	"PushBack": true, "PushFront": true, // container/list
}

// Find returns the sites in the Go files that git keeps or would keep in the modules of the workspace,
// sorted. Tests, testdata, and modules that the workspace does not use are left out. Files for all
// systems count. It reads syntax alone, so it errs towards listing too much: a type given to make by
// its name, which may be a channel's, is listed.
func Find(ctx context.Context, w *workspace.Workspace) ([]Found, error) {
	files, err := workspace.Files(ctx, w.Root, "*.go", "*go.mod")
	if err != nil {
		return nil, fmt.Errorf("list Go files: %w", err)
	}
	modules := map[string]bool{} // folders with a go.mod; whether the workspace uses the module
	for _, file := range files {
		if path.Base(file) == "go.mod" {
			modules[path.Dir(file)] = false
		}
	}
	for _, m := range w.Modules {
		if dir, err := filepath.Rel(w.Root, m.Dir); err == nil {
			modules[filepath.ToSlash(dir)] = true
		}
	}
	finder := finder{places: map[Site][]string{}}
	var errs []error
	for _, file := range files {
		if isCounted(file) && modules[moduleOf(file, modules)] {
			errs = append(errs, finder.file(w.Root, file))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return finder.found(), nil
}

// isCounted says whether the go tool builds the file, given the right system, into what is not a test.
func isCounted(file string) bool {
	if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
		return false
	}
	return !slices.ContainsFunc(strings.Split(file, "/"), func(name string) bool {
		return name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
	})
}

// moduleOf is the folder of the module that a file belongs to.
func moduleOf(file string, modules map[string]bool) string {
	dir := path.Dir(file)
	for dir != "." {
		if _, ok := modules[dir]; ok {
			break
		}
		dir = path.Dir(dir)
	}
	return dir
}

// finder gathers sites.
type finder struct {
	set    *token.FileSet // of the file it is in
	path   string         // of that file, relative to the repository
	at     Site           // the function it is in
	places map[Site][]string
}

func (f *finder) found() []Found {
	var all []Found
	for site, places := range f.places {
		all = append(all, Found{site, places})
	}
	slices.SortFunc(all, func(a, b Found) int { return a.compare(b.Site) })
	return all
}

func (f *finder) file(root, name string) error {
	f.set, f.path = token.NewFileSet(), name
	file, err := parser.ParseFile(f.set, filepath.Join(root, filepath.FromSlash(name)), nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse Go file: %w", err)
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			f.in(name, functionName(d), d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					f.in(name, "var "+v.Names[0].Name, v)
				}
			}
		}
	}
	return nil
}

func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	star := ""
	receiver := ast.Unparen(d.Recv.List[0].Type)
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		star, receiver = "*", ast.Unparen(pointer.X)
	}
	switch generic := receiver.(type) {
	case *ast.IndexExpr:
		receiver = generic.X
	case *ast.IndexListExpr:
		receiver = generic.X
	}
	return fmt.Sprintf("(%s%s).%s", star, receiver, d.Name.Name)
}

func (f *finder) in(file, function string, tree ast.Node) {
	f.at = Site{Package: path.Dir(file), Function: function}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			f.add(n, "go "+f.text(n.Call.Fun))
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok && (calls[name.Name] || name.Name == "make" && mayMakeChannel(n)) {
				f.call(n, name)
			}
		case *ast.SelectorExpr: // called or not: a method value starts work as well
			if text := f.text(n); calls[n.Sel.Name] || text == "heap.Push" {
				f.add(n, text)
			}
		case *ast.AssignStmt:
			f.assign(n)
		}
		return true
	})
}

func (f *finder) call(n *ast.CallExpr, name *ast.Ident) {
	if name.Name == "make" {
		f.add(n, f.text(n))
		return
	}
	f.add(n, name.Name)
}

func mayMakeChannel(call *ast.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	switch ast.Unparen(call.Args[0]).(type) {
	case *ast.ArrayType, *ast.MapType:
		return false
	}
	return true
}

// assign finds a slice that outlives the function, in a field or an element, and loses its first
// elements: it is used as a queue.
func (f *finder) assign(n *ast.AssignStmt) {
	if len(n.Lhs) != len(n.Rhs) {
		return
	}
	for i, left := range n.Lhs {
		rest, ok := n.Rhs[i].(*ast.SliceExpr)
		if !ok || rest.Low == nil || f.text(rest.X) != f.text(left) {
			continue
		}
		if _, local := left.(*ast.Ident); !local {
			f.add(n, f.text(left)+" = "+f.text(rest))
		}
	}
}

func (f *finder) add(n ast.Node, start string) {
	site := f.at
	site.Start = start
	f.places[site] = append(f.places[site], fmt.Sprintf("%s:%d", f.path, f.set.Position(n.Pos()).Line))
}

// text is an expression on one line.
func (f *finder) text(x ast.Expr) string {
	if _, ok := ast.Unparen(x).(*ast.FuncLit); ok {
		return "func"
	}
	var b bytes.Buffer
	_ = printer.Fprint(&b, f.set, x) // of what was parsed, into what does not fail
	return strings.Join(strings.Fields(b.String()), " ")
}
