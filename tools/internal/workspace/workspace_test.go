package workspace_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

func TestLoadFindsTheModulesFromAFolderBelow(t *testing.T) {
	root := treetest.Write(t, map[string]string{
		"go.work":         "go 1.26.0\nuse (\n\t./nested\n\t.\n)\n",
		"go.mod":          "module example.com/lib\n",
		"nested/go.mod":   "module example.com/lib/nested\nrequire example.com/lib v0.1.0\n",
		"nested/deep/a.x": "",
	})
	w, err := workspace.Load(filepath.Join(root, "nested", "deep"))
	if err != nil {
		t.Fatal(err)
	}
	if w.Root != root {
		t.Errorf("root %s, want %s", w.Root, root)
	}
	if len(w.Modules) != 2 || w.Modules[0].Path != "example.com/lib" || w.Modules[1].Path != "example.com/lib/nested" {
		t.Errorf("modules %+v", w.Modules)
	}
	if m, err := w.RootModule(); err != nil || m.Path != "example.com/lib" {
		t.Errorf("root module %v, %v", m.Path, err)
	}
	nested, ok := w.Module("example.com/lib/nested")
	if !ok || len(nested.Mod.Require) != 1 {
		t.Errorf("nested module %+v, %v", nested, ok)
	}
	if _, ok := w.Module("example.com/other"); ok {
		t.Error("found a module that is not there")
	}
}

func TestLoadSaysWhatIsWrongWithAWorkspace(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no go.work":            {map[string]string{"a": ""}, "no go.work in"},
		"go.work not parseable": {map[string]string{"go.work": "what"}, "parse workspace"},
		"go.work is a folder":   {map[string]string{"go.work/a": ""}, "read workspace"},
		"module missing":        {map[string]string{"go.work": "go 1.26.0\nuse ./a\n"}, "read module"},
		"module not parseable":  {map[string]string{"go.work": "go 1.26.0\nuse .\n", "go.mod": "what"}, "parse module"},
		"module without a name": {map[string]string{"go.work": "go 1.26.0\nuse .\n", "go.mod": "go 1.26.0\n"}, "no module line"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := workspace.Load(treetest.Write(t, c.files))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRootModuleIsAnErrorWhenNoModuleLiesBesideTheWorkspaceFile(t *testing.T) {
	w, err := workspace.Load(treetest.Write(t, map[string]string{"go.work": "go 1.26.0\nuse ./a\n", "a/go.mod": "module a\n"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RootModule(); err == nil {
		t.Error("no error")
	}
}

func TestFilesAreThoseThatGitWouldTrack(t *testing.T) {
	root := treetest.Repository(t, map[string]string{
		".gitignore": "/out/\n", "out/x.go": "", "b.go": "", "a/z.md": "", "gone.go": "",
	})
	if _, err := workspace.Output(t.Context(), root, nil, "git", "add", "gone.go", "b.go"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, "gone.go")); err != nil {
		t.Fatal(err)
	}
	all, err := workspace.Files(t.Context(), root)
	if want := []string{".gitignore", "a/z.md", "b.go"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("got %v, %v, want %v", all, err, want)
	}
	some, err := workspace.Files(t.Context(), root, "*.md")
	if want := []string{"a/z.md"}; err != nil || !slices.Equal(some, want) {
		t.Errorf("got %v, %v, want %v", some, err, want)
	}
	if none, err := workspace.Files(t.Context(), root, "*.txt"); err != nil || len(none) != 0 {
		t.Errorf("got %v, %v, want none", none, err)
	}
	if _, err := workspace.Files(t.Context(), t.TempDir()); err == nil {
		t.Error("a folder outside any repository was listed")
	}
}

func TestOutputReportsWhatAFailingProgramSaid(t *testing.T) {
	_, err := workspace.Output(t.Context(), t.TempDir(), nil, "git", "no-such-command")
	if err == nil || !strings.Contains(err.Error(), "no-such-command") || !strings.Contains(err.Error(), "is not a git command") {
		t.Errorf("got %v", err)
	}
	out, err := workspace.Output(t.Context(), t.TempDir(), []string{"GOOS=plan9"}, "go", "env", "GOOS")
	if err != nil || string(out) != "plan9\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
