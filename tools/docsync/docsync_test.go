package docsync_test

import (
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/docsync"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

func load(t *testing.T, files map[string]string) *workspace.Workspace {
	t.Helper()
	files["go.work"] = "go 1.26.0\nuse (\n\t.\n\t./nested\n)\n"
	files["go.mod"] = "module m\n"
	files["nested/go.mod"] = "module m/nested\n"
	w, err := workspace.Load(treetest.Repository(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const block = "<!-- example: code.go#X -->\n```go\n%s\n```\n"

func TestSyncCopiesFromTheModuleThatThePageLiesIn(t *testing.T) {
	stale := strings.ReplaceAll(block, "%s", "old")
	w := load(t, map[string]string{
		"README.md": stale, "docs/a.md": stale, "code.go": "package p\n\nconst X = 1\n",
		"nested/README.md": stale, "nested/code.go": "package p\n\nconst X = 2\n",
		"a/testdata/bad.md": "```go\n```\n",
	})
	err := docsync.Sync(t.Context(), w, false)
	if err == nil || strings.Count(err.Error(), "is out of date") != 3 {
		t.Errorf("got %v, want three stale pages", err)
	}
	if err := docsync.Sync(t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	if err := docsync.Sync(t.Context(), w, false); err != nil {
		t.Errorf("stale after writing: %v", err)
	}
	for name, want := range map[string]string{"README.md": "const X = 1", "docs/a.md": "const X = 1", "nested/README.md": "const X = 2"} {
		if got := treetest.Read(t, w.Root, name); got != strings.ReplaceAll(block, "%s", want) {
			t.Errorf("%s holds %q", name, got)
		}
	}
}

func TestSyncChecksLinksToFilesAndHeadings(t *testing.T) {
	w := load(t, map[string]string{
		"docs/a.md": "# Here\n[up](../README.md#top) [self](#here) [folder](../nested) [code](../go.mod#L1)\n",
		"README.md": "# Top\n",
	})
	if err := docsync.Sync(t.Context(), w, false); err != nil {
		t.Error(err)
	}
	w = load(t, map[string]string{"docs/a.md": "\n[gone](gone.md) [no](#nothing)\n[x](a.md#y)\n"})
	err := docsync.Sync(t.Context(), w, false)
	for _, want := range []string{
		"docs/a.md: line 2: link to gone.md: no such file",
		"docs/a.md: line 2: link to #nothing: no such heading",
		"docs/a.md: line 3: link to a.md#y: no such heading",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSyncSaysWhichPageAndExampleIsWrong(t *testing.T) {
	w := load(t, map[string]string{"README.md": "<!-- example: gone.go#F -->\n```go\n```\n"})
	err := docsync.Sync(t.Context(), w, false)
	if err == nil || !strings.Contains(err.Error(), "README.md: line 1: example gone.go#F: open ") {
		t.Errorf("got %v", err)
	}
	if err := docsync.Sync(t.Context(), &workspace.Workspace{Root: t.TempDir()}, false); err == nil {
		t.Error("a folder outside any repository passed")
	}
}
