package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// What every tree that takes part must have.
const (
	// FakePackage is the fake's command.
	FakePackage = "./examples/game/cmd/gamefake"
	// Suites is the program that runs all client suites of a tree against the fake whose path is its argument.
	Suites = ".ci/clients"
)

// here is what the tree itself is called.
const here = "this tree"

// Patience is how long building a fake, or the client suites of one tree, may take unless [Options] say otherwise. It only ends what hangs.
const Patience = 20 * time.Minute

// Options are for [Matrix] and [Scenarios]. The zero value works.
type Options struct {
	Patience time.Duration // 0: the constant of that name
	Log      io.Writer     // takes what builds and suites print; nil: only the end of what fails is shown
}

// A cell is one pairing.
type cell struct {
	client, fake string // versions
	suites       string // the tree of the client
	program      string // the fake
}

// Matrix holds the working tree at root against releases: the client suites of each run on the fake of this
// tree, and those of this tree on the fake of each. Trees of releases are git worktrees that are gone afterwards.
// The outcomes are written to out, a line each, as they come; the error names those that failed. All pairings
// run, whatever becomes of the first.
func Matrix(ctx context.Context, root string, releases []Release, o Options, out io.Writer) error {
	m := newMatrix(o, out)
	return temporary(func(dir string) (err error) {
		own := filepath.Join(dir, "fake")
		if err := m.build(ctx, root, here, own, FakePackage); err != nil {
			return err
		}
		var cells []cell
		for i, r := range releases {
			tree := filepath.Join(dir, fmt.Sprint("tree", i))
			remove, err := checkout(ctx, root, r, tree)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, remove()) }()
			program := filepath.Join(dir, fmt.Sprint("fake", i))
			if err := m.build(ctx, tree, r.Version, program, FakePackage); err != nil {
				return err
			}
			cells = append(cells, cell{r.Version, here, tree, own}, cell{here, r.Version, root, program})
		}
		var failed []error
		for _, c := range cells {
			if err := m.pair(ctx, c); err != nil {
				failed = append(failed, err)
			}
			if ctx.Err() != nil {
				break
			}
		}
		return errors.Join(failed...)
	})
}

// matrix runs what it takes.
type matrix struct {
	Options
	out io.Writer
}

func newMatrix(o Options, out io.Writer) *matrix {
	if o.Patience == 0 {
		o.Patience = Patience
	}
	return &matrix{o, out}
}

// build builds a command of a tree.
func (m *matrix) build(ctx context.Context, tree, version, program, command string) error {
	if err := m.run(ctx, tree, "go", "build", "-o", program, command); err != nil {
		return fmt.Errorf("build %s of %s: %w", command, version, err)
	}
	return nil
}

// pair runs one pairing and writes its outcome.
func (m *matrix) pair(ctx context.Context, c cell) error {
	began := time.Now()
	suites := filepath.Join(c.suites, filepath.FromSlash(Suites))
	_, err := os.Stat(suites)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%s has no %s, which would run its client suites", c.client, Suites)
	case err == nil:
		err = m.run(ctx, c.suites, suites, c.program)
	}
	outcome := "passed"
	if err != nil {
		outcome = "FAILED"
	}
	fmt.Fprintf(m.out, "clients of %-12s on the fake of %-12s %s after %v\n", c.client, c.fake, outcome, time.Since(began).Round(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("clients of %s on the fake of %s: %w", c.client, c.fake, err)
	}
	return nil
}

// keep is how many bytes of the output of what failed are shown at least, if there are so many.
const keep = 8 << 10

// run runs a command in its own process group, which ends as a whole when its time is over.
func (m *matrix) run(ctx context.Context, dir, name string, args ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, m.Patience, fmt.Errorf("it has not ended in %v", m.Patience))
	defer cancel()
	said := &tail{}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdout = said
	if m.Log != nil {
		cmd.Stdout = io.MultiWriter(said, m.Log)
	}
	cmd.Stderr = cmd.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute // a child that outlives its group's leader may hold the output
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("%s: %w; it printed at the end:\n%s", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err, said)
}

// tail keeps the end of what is written to it.
type tail struct {
	text []byte
	cut  bool // something was written before text
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > 2*keep {
		t.text, t.cut = append([]byte(nil), t.text[len(t.text)-keep:]...), true
	}
	return len(p), nil
}

// String is that end, from the beginning of a line.
func (t *tail) String() string {
	text := string(t.text)
	if t.cut {
		if _, whole, found := strings.Cut(text, "\n"); found {
			text = whole // else it is all one line
		}
	}
	return strings.TrimSpace(text)
}
