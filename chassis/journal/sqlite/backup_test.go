package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

func TestABackupIsAJournalAsItWasAtOneMoment(t *testing.T) {
	for _, url := range []string{"mem:", file(t)} {
		j := open(t, url)
		const n = 3000 // 12 MiB, so that the copy takes several steps
		big := journal.Event{Type: "noted", Data: make([]byte, 4000)}
		ten := []journal.Event{big, big, big, big, big, big, big, big, big, big}
		for range n / 10 {
			if _, err := j.Append(t.Context(), "before", journal.Any, ten...); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := j.Append(ctx, "during", journal.Any, note("1"), note("2"), note("3")); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
		path := filepath.Join(t.TempDir(), "backup.db")
		err := journal.Backup(t.Context(), j, path)
		cancel()
		group.Wait()
		if err != nil {
			t.Fatalf("backing up %s: %v", url, err)
		}
		copied := open(t, "file:"+path)
		got := count(t, copied)
		if got < n || got%3 != 0 {
			t.Errorf("%s: the copy holds %d events, want %d and then whole appends of 3", url, got, n)
		}
		v, err := copied.Version(t.Context(), "before")
		if err != nil || v != n {
			t.Errorf("%s: version in the copy is %d, %v", url, v, err)
		}
		if _, err := copied.Append(t.Context(), "before", journal.At(v), note("goes on")); err != nil {
			t.Errorf("%s: append to the copy: %v", url, err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
		if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) != 1 {
			t.Errorf("%s: the backup left %q", url, names)
		}
	}
}

func TestABackupThatCannotBeMadeLeavesNothing(t *testing.T) {
	j := open(t, file(t))
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := journal.Backup(t.Context(), j, taken); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: %v, want fs.ErrExist", err)
	}
	if data, _ := os.ReadFile(taken); string(data) != "precious" {
		t.Errorf("the existing file holds %q", data)
	}
	if err := journal.Backup(t.Context(), j, filepath.Join(dir, "missing", "x")); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("into a missing directory: %v", err)
	}
	if err := journal.Backup(t.Context(), j, filepath.Join(taken, "x")); err == nil {
		t.Error("into a file: no error")
	}
	long := filepath.Join(dir, strings.Repeat("x", 250))
	if err := journal.Backup(t.Context(), j, long); err == nil {
		t.Error("to a name without room for the name it is made under: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := journal.Backup(ctx, j, filepath.Join(dir, "cancelled")); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := journal.Backup(t.Context(), j, filepath.Join(dir, "closed")); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("of a closed journal: %v, want ErrClosed", err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("failed backups left %q", names)
	}
}

// A hook is a context that calls f when it is asked for the n-th time whether it has ended.
type hook struct {
	context.Context
	n int
	f func()
}

func (h *hook) Done() <-chan struct{} {
	if h.n--; h.n == 0 {
		h.f()
	}
	return h.Context.Done()
}

func TestClosingEndsABackup(t *testing.T) {
	j := open(t, file(t))
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	copying := &hook{t.Context(), 2, func() { // the first time it waits for a connection
		go func() { closed <- j.Close() }()
		for {
			if _, err := j.Head(t.Context()); errors.Is(err, journal.ErrClosed) {
				return
			}
		}
	}}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := journal.Backup(copying, j, path); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("a backup during which the journal is closed: %v, want ErrClosed", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if names, _ := filepath.Glob(path + "*"); len(names) != 0 {
		t.Errorf("the backup left %q", names)
	}
}
