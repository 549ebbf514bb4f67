package sqlite_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

func TestAStorageErrorStopsTheJournalForGood(t *testing.T) {
	url := file(t)
	j := open(t, url)
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	// Writing past the limit fails with EFBIG, which SQLite takes for an I/O error.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100_000, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := j.Append(t.Context(), "s", journal.At(1), journal.Event{Type: "noted", Data: make([]byte, journal.MaxDataBytes)})
	if back := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, journal.ErrFailed) || !errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("an append whose commit met an I/O error: %v, want ErrFailed and ErrUnknownOutcome", err)
	}
	_, err = j.Append(t.Context(), "s", journal.Any, note("y"))
	if !errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("the next append, though the disk is fine again: %v, want ErrFailed alone", err)
	}
	if n := count(t, j); n != 1 {
		t.Errorf("%d events are readable, want 1", n)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, url).Append(t.Context(), "s", journal.At(1), note("y")); err != nil {
		t.Errorf("append after opening anew: %v", err)
	}
}

// asNobody runs f with the file permissions of a user who owns nothing.
func asNobody(t *testing.T, f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		if err := syscall.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestFilesThatCannotBeWrittenAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ file, dir os.FileMode }{
		"file":      {0o444, 0o777},
		"directory": {0o666, 0o555},
		"secret":    {0o000, 0o777},
		"walled":    {0o666, 0o000},
	} {
		path := filled(t, 3)
		dir := filepath.Dir(path)
		for p, mode := range map[string]os.FileMode{path: c.file, dir: c.dir, filepath.Dir(dir): 0o755} {
			if err := os.Chmod(p, mode); err != nil {
				t.Fatal(err)
			}
		}
		asNobody(t, func() {
			err := tryOpen(t, "file:"+path)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want an error that names the path", name, err)
			}
			if name == "directory" {
				err = tryOpen(t, "file:"+filepath.Join(dir, "new.db"))
				if err == nil || !strings.Contains(err.Error(), "let this process write the file and its directory "+dir) {
					t.Errorf("a new file in a directory that cannot be written: %v", err)
				}
			}
		})
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
