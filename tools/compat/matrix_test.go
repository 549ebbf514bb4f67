package compat_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/compat"
)

// speaks is a fake that says something, and clients is a suite that passes when a fake says it.
func speaks(word string) string {
	return "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"" + word + "\") }\n"
}

func clients(want string) string {
	return "#!/bin/sh\nsaid=$(\"$1\")\ncase $said in " + want + ") ;; *) echo \"clients that want " + want + " met $said\"; exit 1 ;; esac\n"
}

const fakeFile = "examples/game/cmd/gamefake/main.go"

// released is a repository with a release whose fake speaks v1 and whose clients understand v1 alone.
func released(t *testing.T) (*repository, compat.Release) {
	t.Helper()
	r := newRepository(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", "go.work": "go 1.26.0\nuse .\n", fakeFile: speaks("v1")})
	r.write(compat.Suites, clients("v1"))
	return r, compat.Release{Version: "v0.1.0", Commit: r.commit()}
}

func TestClientsOfAReleaseAndOfTheTreeRunOnEachOthersFakes(t *testing.T) {
	for name, c := range map[string]struct {
		fake, clients string
		out           []string
		err           string // empty: all is well
	}{
		"nothing changed": {
			"v1", "v1",
			[]string{"clients of v0.1.0 on the fake of this tree passed", "clients of this tree on the fake of v0.1.0 passed"}, "",
		},
		"the tree's clients understand both, and its fake is as it was": {
			"v1", "v1|v2",
			[]string{"clients of this tree on the fake of v0.1.0 passed"}, "",
		},
		"the tree's fake has changed under the release's clients": {
			"v2", "v1|v2",
			[]string{"clients of v0.1.0 on the fake of this tree FAILED", "clients of this tree on the fake of v0.1.0 passed"},
			"clients of v0.1.0 on the fake of this tree: clients fake: exit status 1; it printed at the end:\nclients that want v1 met v2",
		},
		"the tree's clients do without the release's fake": {
			"v1", "v2",
			[]string{"clients of v0.1.0 on the fake of this tree passed", "clients of this tree on the fake of v0.1.0 FAILED"},
			"clients that want v2 met v1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, release := released(t)
			r.write(fakeFile, speaks(c.fake)) // not committed: the tree is what lies there
			r.write(compat.Suites, clients(c.clients))
			var out bytes.Buffer
			err := compat.Matrix(t.Context(), r.root, []compat.Release{release}, compat.Options{}, &out)
			said := strings.Join(strings.Fields(out.String()), " ")
			for _, want := range c.out {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, want %q", said, want)
				}
			}
			switch {
			case c.err == "" && err != nil:
				t.Error(err)
			case c.err != "" && (err == nil || !strings.Contains(withoutFolders(err.Error()), c.err)):
				t.Errorf("the error is %v, want one with %q", err, c.err)
			}
			if n := r.worktrees(); n != 1 {
				t.Errorf("%d worktrees are left, want the repository alone", n)
			}
		})
	}
}

// withoutFolders leaves the last element of each path.
func withoutFolders(text string) string {
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.HasPrefix(w, "/") {
			words[i] = w[strings.LastIndex(w, "/")+1:]
		}
	}
	return strings.ReplaceAll(strings.Join(words, " "), "fake0:", "fake:")
}

func TestAReleaseWithoutClientSuitesFailsAndItsFakeIsUsedAllTheSame(t *testing.T) {
	r := newRepository(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", fakeFile: speaks("v1")})
	old := compat.Release{Version: "v0.1.0", Commit: r.commit()}
	r.write(compat.Suites, clients("v1"))
	var out bytes.Buffer
	err := compat.Matrix(t.Context(), r.root, []compat.Release{old}, compat.Options{}, &out)
	if err == nil || !strings.Contains(err.Error(), "v0.1.0 has no .ci/clients, which would run its client suites") {
		t.Errorf("the error is %v", err)
	}
	if said := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(said, "clients of this tree on the fake of v0.1.0 passed") {
		t.Errorf("it says %q", said)
	}
}

func TestAFakeThatDoesNotBuildIsToldWithItsRelease(t *testing.T) {
	r, _ := released(t)
	r.write(fakeFile, "package main\n\nfunc main() { nonsense }\n")
	broken := compat.Release{Version: "v0.2.0", Commit: r.commit()}
	r.write(fakeFile, speaks("v1"))
	err := compat.Matrix(t.Context(), r.root, []compat.Release{broken}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "build ./examples/game/cmd/gamefake of v0.2.0") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("the error is %v", err)
	}
	r.write(fakeFile, "package main\n")
	err = compat.Matrix(t.Context(), r.root, []compat.Release{broken}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "build ./examples/game/cmd/gamefake of this tree") {
		t.Errorf("the error is %v", err)
	}
	if n := r.worktrees(); n != 1 {
		t.Errorf("%d worktrees are left, want the repository alone", n)
	}
}

func TestACommitThatTheCloneDoesNotHaveIsToldWithWhatToDo(t *testing.T) {
	r, first := released(t)
	second := compat.Release{Version: "v0.2.0", Commit: r.commit()}
	gone := compat.Release{Version: "v0.3.0", Commit: strings.Repeat("ab", 20)}
	err := compat.Matrix(t.Context(), r.root, []compat.Release{gone}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "of v0.3.0 is not in this clone: \"git fetch --tags\" may bring it") {
		t.Errorf("the error is %v", err)
	}
	shallow := t.TempDir()
	if out, err := exec.Command("git", "clone", "-q", "--depth=1", "file://"+r.root, shallow).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err = compat.Matrix(t.Context(), shallow, []compat.Release{second, first}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "of v0.1.0 is not in this clone, which is shallow: fetch the history with \"git fetch --unshallow\"") {
		t.Errorf("the error is %v", err)
	}
}

func TestWhatTakesTooLongIsEnded(t *testing.T) {
	r, release := released(t)
	err := compat.Matrix(t.Context(), r.root, []compat.Release{release}, compat.Options{Patience: 1}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "it has not ended in 1ns") {
		t.Errorf("the error is %v", err)
	}
}

// until calls stop when what is written has a word.
type until struct {
	word string
	stop func()
}

func (u until) Write(p []byte) (int, error) {
	if strings.Contains(string(p), u.word) {
		u.stop()
	}
	return len(p), nil
}

func TestAnInterruptEndsTheSuitesAndLeavesNoWorktree(t *testing.T) {
	r, release := released(t)
	r.write(compat.Suites, clients("v1"))
	r.write(fakeFile, speaks("v1"))
	// The release's suites hang, with a child that holds their output.
	r.write(compat.Suites, "#!/bin/sh\necho hanging\nsleep 1000 &\nwait\n")
	release.Commit = r.commit()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := compat.Matrix(ctx, r.root, []compat.Release{release}, compat.Options{Log: until{"hanging", cancel}}, &bytes.Buffer{})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "this tree on the fake") {
		t.Errorf("the error is %v, want that the first pairing was cancelled and no other begun", err)
	}
	if n := r.worktrees(); n != 1 {
		t.Errorf("%d worktrees are left, want the repository alone", n)
	}
}

func TestAnInterruptWhileAReleaseIsCheckedOutLeavesNoWorktree(t *testing.T) {
	r, release := released(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The hook runs when git has made the worktree, and goes on until git is gone, which it outlives.
	begun := filepath.Join(t.TempDir(), "begun")
	hook := "#!/bin/sh\nexec >/dev/null 2>&1\nparent=$PPID\n: >" + begun + "\nwhile kill -0 $parent; do sleep 0.01; done\n"
	r.write(".git/hooks/post-checkout", hook)
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := os.ReadFile(begun); err == nil { // which waits for the hook
			cancel()
		}
	}()
	t.Cleanup(func() {
		if f, err := os.OpenFile(begun, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			f.Close() // the hook was not run, and the goroutine waits yet
		}
	})
	err := compat.Matrix(ctx, r.root, []compat.Release{release}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "check out v0.1.0") {
		t.Errorf("the error is %v, want one of checking out", err)
	}
	if n := r.worktrees(); n != 1 {
		t.Errorf("%d worktrees are left, want the repository alone", n)
	}
}

func TestOfALongLineTheEndIsTold(t *testing.T) {
	r, release := released(t)
	r.write(compat.Suites, "#!/bin/sh\nhead -c 40000 /dev/zero | tr '\\0' x\nexit 7\n")
	err := compat.Matrix(t.Context(), r.root, []compat.Release{release}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.HasSuffix(err.Error(), strings.Repeat("x", 1000)) {
		t.Errorf("the error is %.300v", err)
	}
}

func TestOfALongOutputTheEndIsTold(t *testing.T) {
	r, release := released(t)
	r.write(compat.Suites, "#!/bin/sh\nfor i in $(seq 20000); do echo line $i; done\nexit 7\n")
	err := compat.Matrix(t.Context(), r.root, []compat.Release{release}, compat.Options{}, &bytes.Buffer{})
	if err == nil || !strings.HasSuffix(err.Error(), "\nline 20000") || strings.Contains(err.Error(), "line 15000\n") || len(err.Error()) > 40<<10 {
		t.Errorf("the error has %d bytes and ends with %q", len(err.Error()), err.Error()[max(0, len(err.Error())-40):])
	}
	if !strings.Contains(err.Error(), "at the end:\nline ") {
		t.Errorf("what is told does not begin with a line: %.300s", err)
	}
}
