package roster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// A Checking is how Check is to check.
type Checking struct {
	Write  bool   // bring the locks up to date, unless there is another problem
	PerSet bool   // a number may be in several sets of a module
	Since  string // a revision of git whose locks must have kept all their lines; empty for none
}

// A Result is what Check found.
type Result struct {
	Problems []Problem
	Stale    []Problem // in what locks differ from the code
	Written  bool      // the locks do not differ any more
}

// OK reports whether everything is right now.
func (r Result) OK() bool { return len(r.Problems) == 0 && (r.Written || len(r.Stale) == 0) }

// Check holds the modules to what this package is for. The error is about files that cannot be read or
// written; whatever is wrong with codes and locks is a Problem.
func (r *Roster) Check(ctx context.Context, c Checking) (Result, error) {
	found := Result{Problems: append(append([]Problem(nil), r.Problems...), r.Conflicts(c.PerSet)...)}
	type update struct {
		file string
		next Lock
	}
	var updates []update
	for _, m := range r.Modules {
		file := filepath.Join(m.Dir, LockFile)
		lock, err := m.Lock()
		if err != nil {
			found.Problems = append(found.Problems, problems(r.relative(file), err)...)
			continue
		}
		next, changes, reused := lock.Update(m.Codes)
		found.Problems = append(found.Problems, reused...)
		for _, change := range changes {
			found.Stale = append(found.Stale, Problem{r.relative(file), change})
		}
		if len(changes) > 0 {
			updates = append(updates, update{file, next})
		}
		if c.Since != "" {
			lost, err := m.lostSince(ctx, c.Since, lock)
			if err != nil {
				return found, err
			}
			for _, text := range lost {
				found.Problems = append(found.Problems, Problem{r.relative(file), "since " + c.Since + ", " + text})
			}
		}
	}
	if !c.Write || len(found.Problems) > 0 { // with something unread, what is declared no more cannot be told
		return found, nil
	}
	for _, u := range updates {
		if err := os.WriteFile(u.file, u.next.Text(), 0o644); err != nil {
			return found, fmt.Errorf("write the lock of failure codes: %w", err)
		}
	}
	found.Written = true
	return found, nil
}

// Lock is the module's lock as it is on disk; empty if there is none yet.
func (m Module) Lock() (Lock, error) {
	text, err := os.ReadFile(filepath.Join(m.Dir, LockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseLock(text)
}

// problems are the lines of an error at a place.
func problems(at string, err error) []Problem {
	var all []Problem
	for line := range strings.Lines(err.Error()) {
		all = append(all, Problem{at, strings.TrimSpace(line)})
	}
	return all
}

// lostSince compares the lock with that of a revision.
func (m Module) lostSince(ctx context.Context, revision string, lock Lock) ([]string, error) {
	git := func(args ...string) (string, error) {
		out, err := workspace.Output(ctx, m.Dir, nil, "git", args...)
		return string(out), err
	}
	if _, err := git("rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}"); err != nil {
		return nil, fmt.Errorf("git knows no revision %q here: fetch it, or name another with -since", revision)
	}
	if there, err := git("ls-tree", "--name-only", revision, LockFile); err != nil || there == "" {
		return nil, err // it is newer
	}
	text, err := git("show", revision+":./"+LockFile)
	if err != nil {
		return nil, err
	}
	earlier, err := ParseLock([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", LockFile, revision, err)
	}
	return lock.Lost(earlier), nil
}
