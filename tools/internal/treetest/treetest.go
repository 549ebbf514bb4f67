// Package treetest lays out small file trees for tests of the tools.
package treetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Write puts the files, named by slash-separated paths, under a new temporary folder and returns
// it. It fails the test when it cannot.
func Write(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Repository is [Write] in a new git repository, with nothing committed.
func Repository(t testing.TB, files map[string]string) string {
	t.Helper()
	root := Write(t, files)
	if out, err := exec.Command("git", "init", "-q", root).CombinedOutput(); err != nil {
		t.Fatalf("git init %s: %v\n%s", root, err, out)
	}
	return root
}

// Read returns the text of the file root/name.
func Read(t testing.TB, root, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
