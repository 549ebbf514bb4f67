// Package workspace reads the shape of the repository: the modules that go.work names, and the
// files that git keeps or would keep.
package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/mod/modfile"
)

// A Workspace is a folder with a go.work and the modules it uses.
type Workspace struct {
	Root    string   // absolute path of the folder that holds go.work
	Modules []Module // in the order of their paths, so that the root module comes first
}

// A Module is one module of a workspace.
type Module struct {
	Path string        // its module path
	Dir  string        // absolute path of its folder
	Mod  *modfile.File // its parsed go.mod
}

// Load finds the workspace that dir lies in and reads it.
func Load(dir string) (*Workspace, error) {
	root, err := findRoot(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(root, "go.work")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read workspace: %w", err)
	}
	work, err := modfile.ParseWork(path, text, nil)
	if err != nil {
		return nil, fmt.Errorf("parse workspace: %w", err)
	}
	w := &Workspace{Root: root}
	for _, use := range work.Use {
		m, err := loadModule(filepath.Join(root, filepath.FromSlash(use.Path)))
		if err != nil {
			return nil, err
		}
		w.Modules = append(w.Modules, m)
	}
	sort.Slice(w.Modules, func(i, j int) bool { return w.Modules[i].Path < w.Modules[j].Path })
	return w, nil
}

func findRoot(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find workspace: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find workspace: no go.work in %s or above it", start)
		}
	}
}

func loadModule(dir string) (Module, error) {
	path := filepath.Join(dir, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return Module{}, fmt.Errorf("read module: %w", err)
	}
	mod, err := modfile.Parse(path, text, nil)
	if err != nil {
		return Module{}, fmt.Errorf("parse module: %w", err)
	}
	if mod.Module == nil {
		return Module{}, fmt.Errorf("parse module: %s has no module line", path)
	}
	return Module{Path: mod.Module.Mod.Path, Dir: dir, Mod: mod}, nil
}

// RootModule is the module in the workspace's own folder, the one that users import.
func (w *Workspace) RootModule() (Module, error) {
	for _, m := range w.Modules {
		if m.Dir == w.Root {
			return m, nil
		}
	}
	return Module{}, fmt.Errorf("%s uses no module in its own folder", filepath.Join(w.Root, "go.work"))
}

// Module returns the module of the workspace with the given path.
func (w *Workspace) Module(path string) (Module, bool) {
	for _, m := range w.Modules {
		if m.Path == path {
			return m, true
		}
	}
	return Module{}, false
}

// Files lists the files under dir that git tracks or would track (not ignored, present on disk) and
// that match one of the git path patterns; all of them without a pattern. Paths are relative to
// dir, slash-separated and sorted.
func Files(ctx context.Context, dir string, patterns ...string) ([]string, error) {
	args := append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, patterns...)
	out, err := Output(ctx, dir, nil, "git", args...)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var files []string
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); errors.Is(err, fs.ErrNotExist) {
			continue // deleted, not yet committed
		}
		files = append(files, name)
	}
	sort.Strings(files)
	return files, nil
}

// Output runs a program in dir with env added to this process's environment and returns its
// standard output. When the program fails, the error holds what it wrote to standard error.
func Output(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s (in %s): %w\n%s", name, strings.Join(args, " "), dir, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
