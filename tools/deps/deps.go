// Package deps shows and bounds what each package of the root module links.
//
// Weight is kept down only by being seen: [List] is the checked-in list that a change to the imports
// changes as well, and [Check] enforces the floors of the house and the modules reserved for a few of
// its rooms (rule.go). Tests are not counted: they weigh nothing in a service.
package deps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// File is where the list is checked in, relative to the root of the repository.
const File = "docs/dependencies.txt"

// A Package is a package of the root module and what it links, on Linux without cgo.
type Package struct {
	Path     string         // import path relative to the module; "." is the module's own
	Imports  []string       // packages of its own module that it imports itself, relative and sorted
	Own      []string       // packages of its own module that it reaches, relative and sorted
	Modules  map[string]int // other modules that it reaches, with the number of their packages
	Standard int            // public packages of the standard library that it reaches
}

// Sync compares the checked-in list of the workspace's root module, or writes it, and checks the
// rules. All violations and a stale list are reported together.
func Sync(ctx context.Context, w *workspace.Workspace, write bool) error {
	root, err := w.RootModule()
	if err != nil {
		return err
	}
	packages, err := Load(ctx, root.Dir)
	if err != nil {
		return err
	}
	return errors.Join(
		Check(packages, Floors, Reservations),
		golden.Sync(filepath.Join(w.Root, filepath.FromSlash(File)), List(packages), write))
}

// listed is what is read of "go list -json".
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct {
		Path string
		Main bool
	}
}

// Load reads the packages of the module in dir, sorted by path.
func Load(ctx context.Context, dir string) ([]Package, error) {
	// One platform, whatever the developer's: the list must be the same for all.
	env := []string{"GOWORK=off", "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0"}
	out, err := workspace.Output(ctx, dir, env, "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", "./...")
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	all := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		all[p.ImportPath] = p
	}
	var packages []Package
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if p := all[path]; p.isOwn() {
			packages = append(packages, summarize(p, all))
		}
	}
	return packages, nil
}

func (p listed) isOwn() bool { return p.Module != nil && p.Module.Main }

// relative is the path within the package's module.
func (p listed) relative() string {
	if p.ImportPath == p.Module.Path {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, p.Module.Path+"/")
}

func summarize(p listed, all map[string]listed) Package {
	sum := Package{Path: p.relative(), Modules: map[string]int{}}
	for _, path := range p.Imports {
		if dep := all[path]; dep.isOwn() {
			sum.Imports = append(sum.Imports, dep.relative())
		}
	}
	for _, path := range p.Deps {
		dep := all[path]
		switch {
		case dep.isOwn():
			sum.Own = append(sum.Own, dep.relative())
		case dep.Module != nil:
			sum.Modules[dep.Module.Path]++
		case dep.Standard && isPublic(path):
			sum.Standard++
		}
	}
	slices.Sort(sum.Imports)
	slices.Sort(sum.Own)
	return sum
}

// isPublic leaves out what differs from one patch release of Go to the next.
func isPublic(path string) bool {
	return !strings.HasPrefix(path, "vendor/") && !slices.Contains(strings.Split(path, "/"), "internal")
}

// List writes packages as text: each with what it reaches, a line per module.
func List(packages []Package) []byte {
	var b bytes.Buffer
	b.WriteString("What each package of the root module links, tests apart: packages of its own module, other\n" +
		"modules with the number of their packages, and the number of public standard packages.\n" +
		"Linux, without cgo. Written by: go run ./tools/cmd/house deps -w\n")
	for _, p := range packages {
		fmt.Fprintf(&b, "\n%s\n", p.Path)
		for _, own := range p.Own {
			fmt.Fprintf(&b, "\t%s\n", own)
		}
		for _, path := range slices.Sorted(maps.Keys(p.Modules)) {
			fmt.Fprintf(&b, "\t%s %d\n", path, p.Modules[path])
		}
		fmt.Fprintf(&b, "\tstandard library %d\n", p.Standard)
	}
	return b.Bytes()
}

// Check returns all violations of the rules, joined, or nil.
func Check(packages []Package, floors []Floor, reservations []Reservation) error {
	var found []error
	for _, p := range packages {
		level, ok := levelOf(p.Path, floors)
		if !ok {
			found = append(found, fmt.Errorf("%s has no floor: give it one in tools/deps/rule.go", p.Path))
			continue
		}
		for _, path := range p.Imports {
			if below, ok := levelOf(path, floors); ok && below > level {
				found = append(found, fmt.Errorf("%s (floor %d) imports %s (floor %d): a package imports only its own floor and lower ones", p.Path, level, path, below))
			}
		}
		for _, path := range slices.Sorted(maps.Keys(p.Modules)) {
			if level == Ground {
				found = append(found, fmt.Errorf("%s reaches %s: floor %d has only the standard library", p.Path, path, Ground))
			}
			for _, r := range reservations {
				if r.Module == path && !within(p.Path, r.For) {
					found = append(found, fmt.Errorf("%s reaches %s, reserved for %s: %s", p.Path, path, strings.Join(r.For, ", "), r.Why))
				}
			}
		}
	}
	return errors.Join(found...)
}

func levelOf(path string, floors []Floor) (int, bool) {
	best, level := "", 0
	for _, f := range floors {
		if within(path, []string{f.Package}) && len(f.Package) > len(best) {
			best, level = f.Package, f.Level
		}
	}
	return level, best != ""
}

func within(path string, parents []string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool {
		return path == parent || strings.HasPrefix(path, parent+"/")
	})
}
