package golden_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

func TestSyncAcceptsAFileThatHoldsTheGeneratedText(t *testing.T) {
	root := treetest.Write(t, map[string]string{"a.txt": "one\n"})
	if err := golden.Sync(filepath.Join(root, "a.txt"), []byte("one\n"), false); err != nil {
		t.Fatal(err)
	}
}

func TestSyncWithoutWriteTouchesNothingAndShowsTheDifference(t *testing.T) {
	root := treetest.Write(t, map[string]string{"a.txt": "one\ntwo\n"})
	err := golden.Sync(filepath.Join(root, "a.txt"), []byte("one\n2\n"), false)
	stale, ok := errors.AsType[*golden.StaleError](err)
	if !ok {
		t.Fatalf("got %v, want a StaleError", err)
	}
	if want := "@ line 2\n-two\n+2"; stale.Diff != want {
		t.Errorf("diff %q, want %q", stale.Diff, want)
	}
	if !strings.Contains(err.Error(), "a.txt is out of date") {
		t.Errorf("error %q does not name the file", err)
	}
	if got := treetest.Read(t, root, "a.txt"); got != "one\ntwo\n" {
		t.Errorf("file changed to %q", got)
	}
}

func TestSyncTellsAMissingFileFromAnEmptyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing.txt")
	if err := golden.Sync(path, nil, false); err == nil {
		t.Error("a missing file passed as an empty one")
	}
}

func TestSyncWritesTheFileAndItsFolders(t *testing.T) {
	root := t.TempDir()
	if err := golden.Sync(filepath.Join(root, "x", "y", "a.txt"), []byte("new\n"), true); err != nil {
		t.Fatal(err)
	}
	if got := treetest.Read(t, root, "x/y/a.txt"); got != "new\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestSyncReportsWhatItCannotReadOrWrite(t *testing.T) {
	root := treetest.Write(t, map[string]string{"file": "x"})
	if err := golden.Sync(root, nil, false); err == nil {
		t.Error("a folder was read as a file")
	}
	if err := golden.Sync(filepath.Join(root, "file", "below"), []byte("y"), true); err == nil {
		t.Error("a file was used as a folder")
	}
	if err := os.Symlink(filepath.Join(root, "no", "where"), filepath.Join(root, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := golden.Sync(filepath.Join(root, "dangling"), []byte("y"), true); err == nil {
		t.Error("a dangling link was written through")
	}
}

func TestDiffMarksLinesLeftOutAndAdded(t *testing.T) {
	for name, c := range map[string]struct{ have, want, diff string }{
		"equal":              {"a\nb\n", "a\nb\n", ""},
		"a line is added":    {"a\nc\n", "a\nb\nc\n", "@ line 2\n+b"},
		"a line is left out": {"a\nb\nc\n", "a\nc\n", "@ line 2\n-b"},
		"everything is new":  {"", "a\nb\n", "@ line 1\n+a\n+b"},
		"two runs":           {"a\nx\nb\ny\nc\n", "a\nb\nz\nc\n", "@ line 2\n-x\n@ line 4\n-y\n+z"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := golden.Diff(c.have, c.want); got != c.diff {
				t.Errorf("got\n%s\nwant\n%s", got, c.diff)
			}
		})
	}
}

func TestDiffIsBounded(t *testing.T) {
	got := golden.Diff("", strings.Repeat("line\n", 500))
	if n := strings.Count(got, "\n"); n != 80 {
		t.Errorf("%d lines shown, want 80", n)
	}
	if !strings.HasSuffix(got, "… and 421 more lines") {
		t.Errorf("the end does not count what is left out: %q", got[len(got)-40:])
	}
}
