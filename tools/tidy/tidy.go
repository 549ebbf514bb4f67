// Package tidy keeps the go.mod and go.sum of every module of the workspace tidy before the modules
// are released.
//
// Nested modules require the root module at a version that does not exist until it is tagged, and
// "go mod tidy" does not read go.work. So each required sibling is packed from the working tree into
// a file proxy (package modproxy), at just the version that is required, and the modules are tidied
// against that, siblings first.
//
// The checksums of siblings change with every commit until the release and are therefore left out of
// the checked-in go.sum; inside the workspace nobody needs them.
package tidy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/modproxy"
)

// A Module is a module of the workspace with the two files that "go mod tidy" makes of it.
type Module struct {
	workspace.Module
	GoMod []byte // go.mod
	GoSum []byte // go.sum, with the checksums of required siblings as packed; empty when nothing is required
}

// Sync compares go.mod and go.sum of every module in the workspace with their tidied form; with write
// it writes that. The developer's module cache is left as it is but for downloads that were missing.
// All files that differ are reported together, each as a difference of lines.
func Sync(ctx context.Context, w *workspace.Workspace, write bool) error {
	scratch, err := os.MkdirTemp("", "tidy-*")
	if err != nil {
		return fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	modules, err := Modules(ctx, w, modproxy.Proxy{Dir: filepath.Join(scratch, "proxy")}, filepath.Join(scratch, "cache"))
	if err != nil {
		return err
	}
	var stale []error
	for _, m := range modules {
		stale = append(stale,
			golden.Sync(filepath.Join(m.Dir, "go.mod"), m.GoMod, write),
			syncSum(w, m, write))
	}
	return errors.Join(stale...)
}

func syncSum(w *workspace.Workspace, m Module, write bool) error {
	path := filepath.Join(m.Dir, "go.sum")
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read checksums: %w", err)
	}
	want := withoutSiblings(w, m.GoSum)
	if string(withoutSiblings(w, have)) == string(want) {
		return nil
	}
	return golden.Sync(path, want, write)
}

// Modules tidies the modules of the workspace with the given paths, all of them without any, and the
// siblings they require, without writing to the workspace. It returns them, each after the siblings it
// requires. Those siblings are left in the proxy, at the versions they are required at. cache becomes
// the module cache of the go commands that run; the caller removes it.
func Modules(ctx context.Context, w *workspace.Workspace, proxy modproxy.Proxy, cache string, paths ...string) ([]Module, error) {
	t, err := start(ctx, w, proxy, cache, paths)
	if err != nil {
		return nil, err
	}
	return t.done, nil
}

// Pack packs modules of the workspace into the proxy as a release of the given version would hold
// them: tidy, with the checksums of the siblings they require, which are packed as well. Without paths
// it packs every module. cache is used as [Modules] does.
func Pack(ctx context.Context, w *workspace.Workspace, proxy modproxy.Proxy, cache, version string, paths ...string) error {
	t, err := start(ctx, w, proxy, cache, paths)
	if err != nil {
		return err
	}
	for _, m := range t.done {
		if err := t.pack(ctx, m, version); err != nil {
			return err
		}
	}
	return nil
}

// overlay is what stands in for the module's files on disk when it is packed.
func (m Module) overlay() map[string][]byte {
	return map[string][]byte{"go.mod": m.GoMod, "go.sum": m.GoSum}
}

// A tidier holds what it has tidied so far, each module after the siblings it requires, and which of
// them, at which versions, it has packed.
type tidier struct {
	workspace *workspace.Workspace
	proxy     modproxy.Proxy
	env       []string
	done      []Module
	packed    map[module.Version]bool
}

func start(ctx context.Context, w *workspace.Workspace, proxy modproxy.Proxy, cache string, paths []string) (*tidier, error) {
	root, err := w.RootModule()
	if err != nil {
		return nil, err
	}
	env, err := proxy.Environment(ctx, root.Path, cache, "-mod=mod")
	if err != nil {
		return nil, err
	}
	wanted := w.Modules
	if len(paths) > 0 {
		wanted = nil
	}
	for _, path := range paths {
		m, ok := w.Module(path)
		if !ok {
			return nil, fmt.Errorf("tidy modules: the workspace has no module %s", path)
		}
		wanted = append(wanted, m)
	}
	t := &tidier{workspace: w, proxy: proxy, env: env, packed: map[module.Version]bool{}}
	for _, m := range wanted {
		if _, err := t.tidy(ctx, m, nil); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// pack packs m at a version once: should the tree change while this runs, a second time would not
// match the checksum that was taken of the first.
func (t *tidier) pack(ctx context.Context, m Module, version string) error {
	at := module.Version{Path: m.Path, Version: version}
	if t.packed[at] {
		return nil
	}
	if _, err := t.proxy.Pack(ctx, m.Dir, version, m.overlay()); err != nil {
		return err
	}
	t.packed[at] = true
	return nil
}

// tidy returns m tidied, after it has done so with the siblings that m requires and packed them.
// path holds the modules that wait for m.
func (t *tidier) tidy(ctx context.Context, m workspace.Module, path []string) (Module, error) {
	for _, done := range t.done {
		if done.Path == m.Path {
			return done, nil
		}
	}
	if slices.Contains(path, m.Path) {
		return Module{}, fmt.Errorf("tidy modules: %s → %s: siblings require each other in a circle", strings.Join(path, " → "), m.Path)
	}
	for _, require := range m.Mod.Require {
		sibling, ok := t.workspace.Module(require.Mod.Path)
		if !ok {
			continue
		}
		tidied, err := t.tidy(ctx, sibling, append(path, m.Path))
		if err != nil {
			return Module{}, err
		}
		if err := t.pack(ctx, tidied, require.Mod.Version); err != nil {
			return Module{}, err
		}
	}
	tidied, err := t.run(ctx, m)
	if err != nil {
		return Module{}, err
	}
	t.done = append(t.done, tidied)
	return tidied, nil
}

// run tidies copies of go.mod and go.sum, which -modfile lets stand elsewhere than the packages.
func (t *tidier) run(ctx context.Context, m workspace.Module) (Module, error) {
	scratch, err := os.MkdirTemp("", "tidy-module-*")
	if err != nil {
		return Module{}, fmt.Errorf("make scratch folder: %w", err)
	}
	defer os.RemoveAll(scratch)
	modFile, sumFile := filepath.Join(scratch, "go.mod"), filepath.Join(scratch, "go.sum")

	mod, err := os.ReadFile(filepath.Join(m.Dir, "go.mod"))
	if err != nil {
		return Module{}, fmt.Errorf("read module: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(m.Dir, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Module{}, fmt.Errorf("read checksums: %w", err)
	}
	// A checksum of a released sibling would contradict the sibling as it was packed.
	if err := errors.Join(os.WriteFile(modFile, mod, 0o644), os.WriteFile(sumFile, withoutSiblings(t.workspace, sum), 0o644)); err != nil {
		return Module{}, fmt.Errorf("copy go.mod and go.sum: %w", err)
	}

	if _, err := workspace.Output(ctx, m.Dir, t.env, "go", "mod", "tidy", "-modfile="+modFile); err != nil {
		return Module{}, err
	}

	tidied := Module{Module: m}
	if tidied.GoMod, err = os.ReadFile(modFile); err != nil {
		return Module{}, fmt.Errorf("read tidied module: %w", err)
	}
	if tidied.GoSum, err = os.ReadFile(sumFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Module{}, fmt.Errorf("read tidied checksums: %w", err)
	}
	return tidied, nil
}

// withoutSiblings returns the lines of a go.sum that are not about modules of the workspace.
func withoutSiblings(w *workspace.Workspace, sum []byte) []byte {
	var kept []byte
	for line := range strings.Lines(string(sum)) {
		path, _, _ := strings.Cut(line, " ")
		if _, sibling := w.Module(path); !sibling {
			kept = append(kept, line...)
		}
	}
	return kept
}
