// Package failcodetest lays out modules with failure codes for tests of the tools that read them.
package failcodetest

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// module is the path of ours.
var module = strings.TrimSuffix(failcode.Package, "/chassis/failure")

// Failure is the source of package failure as it is today, and of the package of ours that it needs, by
// slash-separated path below root, where the module is. So no test can describe one that is not there.
func Failure(t testing.TB, root string) map[string]string {
	t.Helper()
	w, err := workspace.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, folder := range []string{"chassis/failure", "internal/wary"} {
		sources, err := filepath.Glob(filepath.Join(w.Root, filepath.FromSlash(folder), "*.go"))
		if err != nil || len(sources) == 0 {
			t.Fatalf("no package %s in %s: %v", folder, w.Root, err)
		}
		for _, source := range sources {
			if !strings.HasSuffix(source, "_test.go") {
				files[path.Join(root, folder, filepath.Base(source))] = treetest.Read(t, filepath.Dir(source), filepath.Base(source))
			}
		}
	}
	return files
}

// Repository is a new git repository with these files and one module, which has the path of ours and
// package failure. It has nothing to download.
func Repository(t testing.TB, files map[string]string) string {
	t.Helper()
	all := Failure(t, "")
	all["go.mod"] = "module " + module + "\n\ngo 1.26.0\n"
	maps.Copy(all, files)
	return treetest.Repository(t, all)
}

// Write writes files, by slash-separated path, into a folder that is there.
func Write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
