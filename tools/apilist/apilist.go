// Package apilist lists the exported API of packages, a line per name, so that a change to what users
// call is seen when it is made.
//
// The form is that of the files in the api folder of the Go distribution: a struct has a line per
// exported field and an interface one per method, so that a difference shows just what has changed.
package apilist

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// Folder is where the lists are checked in, relative to the root of the repository: a package's list
// is at its path, with .txt added.
const Folder = "docs/api"

// Sync compares the checked-in lists with the packages of the workspace's root module, internal ones
// and commands apart; with write it makes them so and removes those of packages that are gone. All
// differences are reported together.
func Sync(ctx context.Context, w *workspace.Workspace, write bool) error {
	root, err := w.RootModule()
	if err != nil {
		return err
	}
	packages, err := Load(ctx, root.Dir)
	if err != nil {
		return err
	}
	folder := filepath.Join(w.Root, filepath.FromSlash(Folder))
	var errs []error
	current := map[string]bool{}
	for _, p := range packages {
		relative := strings.TrimPrefix(strings.TrimPrefix(p.Path(), root.Path), "/")
		if relative == "" {
			relative = p.Name()
		}
		file := filepath.Join(folder, filepath.FromSlash(relative)+".txt")
		current[file] = true
		errs = append(errs, golden.Sync(file, []byte(strings.Join(List(p), "\n")+"\n"), write))
	}
	return errors.Join(append(errs, dropOthers(folder, current, write))...)
}

// dropOthers removes, or reports, lists of packages that are gone.
func dropOthers(folder string, current map[string]bool, write bool) error {
	var errs []error
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == folder:
			return nil // nothing was ever listed
		case err != nil:
			return err
		case entry.IsDir() || current[path]:
			return nil
		case write:
			return os.Remove(path)
		}
		errs = append(errs, fmt.Errorf("%s lists a package that is gone", path))
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// Load type-checks the importable packages of the module in dir, sorted by path: all but commands and
// internal ones. It compiles them, for Linux without cgo, and reads what the compiler wrote.
func Load(ctx context.Context, dir string) ([]*types.Package, error) {
	env := []string{"GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0"}
	out, err := workspace.Output(ctx, dir, env, "go", "list", "-deps", "-export", "-json=ImportPath,Name,Export,Module", "./...")
	if err != nil {
		return nil, fmt.Errorf("compile packages: %w", err)
	}
	exports := map[string]string{}
	var paths []string
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Name, Export string
			Module                   *struct{ Main bool }
		}
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if p.Module != nil && p.Module.Main && p.Name != "main" && !slices.Contains(strings.Split(p.ImportPath, "/"), "internal") {
			paths = append(paths, p.ImportPath)
		}
	}
	slices.Sort(paths)
	compiled := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	var packages []*types.Package
	for _, path := range paths {
		p, err := compiled.Import(path)
		if err != nil {
			return nil, fmt.Errorf("read compiled package %s: %w", path, err)
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// List returns a line for each exported name of a package, sorted by kind and name: constants with
// their values, functions, methods, types with a line per exported field or method, variables.
func List(p *types.Package) []string {
	l := lister{qualifier: func(other *types.Package) string {
		if other == p {
			return ""
		}
		return other.Name()
	}}
	for _, name := range p.Scope().Names() {
		if object := p.Scope().Lookup(name); object.Exported() {
			l.object(object)
		}
	}
	slices.Sort(l.lines)
	return l.lines
}

type lister struct {
	qualifier types.Qualifier
	lines     []string
}

func (l *lister) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *lister) typeString(t types.Type) string { return types.TypeString(t, l.qualifier) }

func (l *lister) object(object types.Object) {
	switch o := object.(type) {
	case *types.Const:
		l.add("const %s %s = %s", o.Name(), l.typeString(o.Type()), o.Val().ExactString())
	case *types.Var:
		l.add("var %s %s", o.Name(), l.typeString(o.Type()))
	case *types.Func:
		l.add("func %s%s", o.Name(), strings.TrimPrefix(l.typeString(o.Type()), "func"))
	case *types.TypeName:
		l.typeName(o)
	}
}

func (l *lister) typeName(o *types.TypeName) {
	if o.IsAlias() {
		l.add("type %s = %s", o.Name(), l.typeString(types.Unalias(o.Type())))
		return
	}
	named, ok := o.Type().(*types.Named)
	if !ok {
		return
	}
	name := o.Name() + l.typeParameters(named.TypeParams())
	switch under := named.Underlying().(type) {
	case *types.Struct:
		l.structure(name, under)
	case *types.Interface:
		l.face(name, under)
	default:
		l.add("type %s %s", name, l.typeString(under))
	}
	for method := range named.Methods() {
		if method.Exported() {
			l.method(method)
		}
	}
}

func (l *lister) typeParameters(list *types.TypeParamList) string {
	if list.Len() == 0 {
		return ""
	}
	var names []string
	for parameter := range list.TypeParams() {
		names = append(names, parameter.Obj().Name()+" "+l.typeString(parameter.Constraint()))
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func (l *lister) structure(name string, s *types.Struct) {
	l.add("type %s struct", name)
	for i := range s.NumFields() {
		field := s.Field(i)
		if !field.Exported() {
			continue
		}
		if field.Embedded() {
			l.add("type %s struct, embeds %s", name, l.typeString(field.Type()))
			continue
		}
		l.add("type %s struct, %s %s", name, field.Name(), l.typeString(field.Type()))
	}
}

func (l *lister) face(name string, face *types.Interface) {
	l.add("type %s interface", name)
	for embedded := range face.EmbeddedTypes() {
		l.add("type %s interface, embeds %s", name, l.typeString(embedded))
	}
	hidden := false
	for method := range face.ExplicitMethods() {
		if !method.Exported() {
			hidden = true
			continue
		}
		l.add("type %s interface, %s%s", name, method.Name(), strings.TrimPrefix(l.typeString(method.Type()), "func"))
	}
	if hidden {
		l.add("type %s interface, unexported methods", name)
	}
}

func (l *lister) method(m *types.Func) {
	signature := m.Signature()
	l.add("method (%s) %s%s", l.typeString(signature.Recv().Type()), m.Name(), strings.TrimPrefix(l.typeString(signature), "func"))
}
