package compat_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

// repository is one made for a test.
type repository struct {
	t    *testing.T
	root string
}

// newRepository has some files in its first commit.
func newRepository(t *testing.T, files map[string]string) *repository {
	t.Helper()
	r := &repository{t, treetest.Repository(t, files)}
	r.commit()
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits everything and returns the commit.
func (r *repository) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "Say something")
	return r.git("rev-parse", "HEAD")
}

// write changes a file, and makes a program executable.
func (r *repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		r.t.Fatal(err)
	}
}

// worktrees is how many there are, the repository's own folder included.
func (r *repository) worktrees() int {
	r.t.Helper()
	return len(strings.Split(r.git("worktree", "list"), "\n"))
}
