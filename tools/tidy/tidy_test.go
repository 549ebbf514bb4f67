package tidy_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/modproxy"
	"github.com/seed-754044b3/roadworthy/tools/tidy"
)

// unreleased has a library, a second one on it, and a program on both, whose module paths sort in
// another order than they require each other. The middle one lacks its requirement's mark as direct.
var unreleased = map[string]string{
	"go.work":       "go 1.26.0\n\nuse (\n\t.\n\t./amid\n\t./app\n)\n",
	"go.mod":        "module example.com/lib\n\ngo 1.26.0\n",
	"lib.go":        "package lib\n\nconst Name = \"lib\"\n",
	"amid/go.mod":   "module example.com/lib/mid\n\ngo 1.26.0\n\nrequire example.com/lib v0.1.0\n",
	"amid/mid.go":   "package mid\n\nimport lib \"example.com/lib\"\n\nconst Name = lib.Name\n",
	"app/go.mod":    "module example.com/lib/app\n\ngo 1.26.0\n\nrequire example.com/lib/mid v0.2.0\n\nrequire example.com/lib v0.1.0 // indirect\n",
	"app/main.go":   "package main\n\nimport mid \"example.com/lib/mid\"\n\nfunc main() { println(mid.Name) }\n",
	"app/go.sum":    "example.com/lib v0.1.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
	"app/README.md": "",
}

func load(t *testing.T, changes map[string]string) *workspace.Workspace {
	t.Helper()
	files := maps.Clone(unreleased)
	maps.Copy(files, changes)
	w, err := workspace.Load(treetest.Repository(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestATidyWorkspaceOfUnreleasedModulesPasses(t *testing.T) {
	w := load(t, nil)
	if err := tidy.Sync(t.Context(), w, false); err != nil {
		t.Fatal(err)
	}
	if got := treetest.Read(t, w.Root, "app/go.sum"); got != unreleased["app/go.sum"] {
		t.Errorf("go.sum changed to %q", got)
	}
}

func TestEveryFileThatIsNotTidyIsReportedAndMended(t *testing.T) {
	w := load(t, map[string]string{
		"amid/go.mod": "module example.com/lib/mid\n\ngo 1.26.0\n\nrequire example.com/lib v0.1.0 // indirect\n",
		"app/go.sum":  unreleased["app/go.sum"] + "example.org/gone v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
	})
	err := tidy.Sync(t.Context(), w, false)
	if _, ok := errors.AsType[*golden.StaleError](err); !ok {
		t.Fatalf("got %v, want a StaleError", err)
	}
	for _, want := range []string{
		filepath.Join("amid", "go.mod") + " is out of date", "-require example.com/lib v0.1.0 // indirect\n+require example.com/lib v0.1.0",
		filepath.Join("app", "go.sum") + " is out of date", "-example.org/gone",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report lacks %q:\n%v", want, err)
		}
	}
	if err := tidy.Sync(t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	if err := tidy.Sync(t.Context(), w, false); err != nil {
		t.Errorf("not tidy after writing: %v", err)
	}
	if got := treetest.Read(t, w.Root, "amid/go.mod"); got != unreleased["amid/go.mod"] {
		t.Errorf("wrote %q", got)
	}
	if got := treetest.Read(t, w.Root, "app/go.sum"); got != "" {
		t.Errorf("go.sum keeps %q", got)
	}
}

func TestModulesLeavesRequiredSiblingsInTheProxyWithTheirChecksums(t *testing.T) {
	w := load(t, nil)
	proxy := modproxy.Proxy{Dir: t.TempDir()}
	modules, err := tidy.Modules(t.Context(), w, proxy, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range modules {
		order = append(order, m.Path)
	}
	if got, want := strings.Join(order, " "), "example.com/lib example.com/lib/mid example.com/lib/app"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	for _, want := range []string{"example.com/lib v0.1.0 h1:", "example.com/lib/mid v0.2.0 h1:"} {
		if !strings.Contains(string(modules[2].GoSum), want) {
			t.Errorf("go.sum of the program lacks %q:\n%s", want, modules[2].GoSum)
		}
	}
	for _, file := range []string{"example.com/lib/@v/v0.1.0.zip", "example.com/lib/mid/@v/v0.2.0.zip"} {
		if _, err := os.Stat(filepath.Join(proxy.Dir, file)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(proxy.Dir, "example.com/lib/app")); err == nil {
		t.Error("the program was packed although nothing requires it")
	}
}

func TestPackMakesAReleaseThatCanBeFetchedByVersion(t *testing.T) {
	w := load(t, nil)
	proxy := modproxy.Proxy{Dir: t.TempDir()}
	if err := tidy.Pack(t.Context(), w, proxy, t.TempDir(), "v0.3.0", "example.com/lib/mid"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(proxy.Dir, "example.com/lib/app")); err == nil {
		t.Error("a module was packed that nobody asked for")
	}
	env, err := proxy.Environment(t.Context(), "example.com/lib", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	consumer := treetest.Write(t, map[string]string{
		"go.mod":  "module example.org/consumer\n\ngo 1.26.0\n",
		"main.go": "package main\n\nimport mid \"example.com/lib/mid\"\n\nfunc main() { print(mid.Name) }\n",
	})
	if _, err := workspace.Output(t.Context(), consumer, env, "go", "get", "example.com/lib/mid@v0.3.0"); err != nil {
		t.Fatal(err)
	}
	if _, err := workspace.Output(t.Context(), consumer, env, "go", "vet", "."); err != nil {
		t.Error(err)
	}
	if err := tidy.Pack(t.Context(), w, proxy, t.TempDir(), "v0.3.0", "example.com/other"); err == nil || !strings.Contains(err.Error(), "no module example.com/other") {
		t.Errorf("an unknown module gave %v", err)
	}
	if err := tidy.Pack(t.Context(), w, proxy, t.TempDir(), "3"); err == nil || !strings.Contains(err.Error(), `version "3"`) {
		t.Errorf("a version that is none gave %v", err)
	}
}

func TestTidySaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"a circle": {map[string]string{
			"amid/go.mod": "module example.com/lib/mid\n\ngo 1.26.0\n\nrequire example.com/lib/app v0.1.0\n",
		}, "example.com/lib/app → example.com/lib/mid → example.com/lib/app: siblings require each other in a circle"},
		"no root module":              {map[string]string{"go.work": "go 1.26.0\nuse ./amid\n"}, "no module in its own folder"},
		"a package that is not there": {map[string]string{"lib.go": "package lib\n\nimport _ \"example.com/lib/gone\"\n"}, "example.com/lib/gone"},
		"a version nobody can pack":   {map[string]string{"app/go.mod": "module example.com/lib/app\n\ngo 1.26.0\n\nrequire example.com/lib v1\n"}, "go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(unreleased)
			maps.Copy(files, c.changes)
			w, err := workspace.Load(treetest.Repository(t, files))
			if err == nil {
				err = tidy.Sync(t.Context(), w, false)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("go.sum is a folder", func(t *testing.T) {
		w := load(t, nil)
		sum := filepath.Join(w.Root, "app", "go.sum")
		if err := errors.Join(os.Remove(sum), os.Mkdir(sum, 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := tidy.Sync(t.Context(), w, false); err == nil || !strings.Contains(err.Error(), "read checksums") {
			t.Errorf("got %v", err)
		}
	})
}
