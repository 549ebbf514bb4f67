package logfile_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/buckettest"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

const nobody = 65534

// unprivileged runs f as somebody who may not read what others keep to themselves. f must not end the test.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			// For this thread alone, which ends with the goroutine since it is not unlocked.
			runtime.LockOSThread()
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0); errno != 0 {
				t.Error(errno)
				return
			}
		}
		f()
	}()
	<-done
}

// shared is a room that everybody may use.
func shared(t *testing.T, change func(*logfile.CollectorOptions)) *room {
	t.Helper()
	r := newRoom(t, change)
	root := filepath.Dir(r.dir)
	if err := errors.Join(os.Chmod(r.dir, 0o777), os.Mkdir(r.bucket, 0o700), os.Chmod(r.bucket, 0o777), os.Chmod(root, 0o755), os.Chmod(filepath.Dir(root), 0o755)); err != nil {
		t.Fatal(err)
	}
	return r
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestACompressedSegmentThatCannotBeReadNowIsLeftForTheNextRound(t *testing.T) {
	r := shared(t, nil)
	first, name := r.segment("a\n"), r.segment("b\n")
	r.collected()
	gz := filepath.Join(r.dir, name+".log.gz")
	r.c.Close()
	// The manifest is gone, and the second file is somebody else's.
	if err := errors.Join(os.Remove(r.dir+"/manifest.jsonl"), os.Remove(r.dir+"/collector.lock")); err != nil {
		t.Fatal(err)
	}
	chmod(t, gz, 0)
	chmod(t, filepath.Join(r.dir, first+".log.gz"), 0o644)
	unprivileged(t, func() {
		defer r.c.Close()
		for range 2 {
			if err := r.collect(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
				t.Errorf("collected: %v, want that %s cannot be read", err, name)
			}
		}
	})
	if got := r.files(); got != "1.log.gz 2.log.gz" {
		t.Errorf("files %s, want both under their names: nothing is known to be wrong with them", got)
	}
	chmod(t, gz, 0o644)
	r.collected()
	r.is("1.log.gz 2.log.gz", "a\nb\n", "1:packed, 1:uploaded, 2:packed, 2:uploaded")
}

func TestOnlyErrorsOfTheFormatSayThatACompressedSegmentIsDamaged(t *testing.T) {
	for _, err := range []error{gzip.ErrHeader, gzip.ErrChecksum, io.EOF, io.ErrUnexpectedEOF, flate.CorruptInputError(7)} {
		if !logfile.Damaged(fmt.Errorf("read: %w", err)) {
			t.Errorf("%v is taken for something else", err)
		}
	}
	for _, err := range []error{syscall.EMFILE, syscall.EIO, syscall.EACCES, syscall.ENOMEM, fs.ErrNotExist, fs.ErrClosed} {
		if logfile.Damaged(&fs.PathError{Op: "read", Path: "x", Err: err}) {
			t.Errorf("%v is taken for damage", err)
		}
	}
}

// Whether somebody writes it cannot be told, so it is left alone.
func TestASegmentThatCannotBeOpenedIsLeftAloneAndHoldsUpNoOther(t *testing.T) {
	r := shared(t, nil)
	name := r.segment("a\n")
	chmod(t, filepath.Join(r.dir, name+".log"), 0o600)
	chmod(t, filepath.Join(r.dir, r.segment("b\n")+".log"), 0o666)
	unprivileged(t, func() {
		defer r.c.Close()
		if os.Geteuid() != 0 {
			_ = os.Chmod(filepath.Join(r.dir, name+".log"), 0)
		}
		if err := r.collect(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), name) {
			t.Errorf("collected: %v", err)
		}
	})
	r.is("1.log 2.log.gz", "b\n", "2:packed, 2:uploaded")
	chmod(t, filepath.Join(r.dir, name+".log"), 0o600)
	r.collected()
	if got := r.files(); got != "1.log.gz 2.log.gz" {
		t.Errorf("files %s", got)
	}
}

func TestASegmentThatCannotBeCompressedHoldsUpNoOther(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Keep = time.Hour })
	const many = 8
	for range many {
		name := r.segment("a\n")
		if err := os.MkdirAll(filepath.Join(r.dir, name+".log.gz.part", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.segment("b\n")
	err := r.collect()
	if !errors.Is(err, syscall.EISDIR) || !strings.HasSuffix(err.Error(), "and 3 segments more") {
		t.Errorf("collected: %v", err)
	}
	if got := r.stored(); got != "b\n" {
		t.Errorf("stored %q", got)
	}
	if st := r.c.Stats(); st.Waiting != many {
		t.Errorf("%d segments wait, want %d", st.Waiting, many)
	}
}

func TestASegmentThatCannotBeRemovedHoldsUpNoOtherAndIsRemovedLater(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "files of two users cannot be made: run the tests as root")
	}
	r := shared(t, func(o *logfile.CollectorOptions) { o.Keep = time.Hour })
	r.segment("a\n")
	r.collected() // the file is this user's
	r.c.Close()
	for _, path := range []string{"/manifest.jsonl", "/collector.lock"} {
		chmod(t, r.dir+path, 0o666)
	}
	chmod(t, r.dir, 0o777|fs.ModeSticky) // everybody removes what is theirs
	chmod(t, filepath.Join(r.dir, r.segment("b\n")+".log"), 0o666)
	if err := os.Chown(filepath.Join(r.dir, r.segment("")+".log"), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	chmod(t, filepath.Join(r.dir, r.segment("")+".log"), 0o666)
	if err := os.RemoveAll(r.bucket); err != nil { // which is somebody else's by now
		t.Fatal(err)
	}
	unprivileged(t, func() {
		defer r.c.Close()
		if err := r.collect(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "-4711-2.log") || !strings.Contains(err.Error(), "-4711-4.log") {
			t.Errorf("collected: %v, want that the second segment and the fourth cannot be removed", err)
		}
		r.clock.Advance(2 * time.Hour)
		if err := r.collect(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("collected: %v", err)
		}
		// What cannot be put is not removed for its age.
		if got := r.files(); got != "1.log.gz 2.log 2.log.gz 4.log" {
			t.Errorf("files %s", got)
		}
	})
	r.clock.Advance(time.Hour)
	r.collected()
	r.clock.Advance(time.Hour)
	r.collected()
	r.is("", "b\n", "1:packed, 1:uploaded, 2:packed, 1:removed age, 2:uploaded, 2:removed age")
	if got := r.c.Stats().Streams["access"]; got.Dropped != 0 {
		t.Errorf("lines %+v", got)
	}
}

func TestADirectoryThatCannotBeListedIsAnErrorAndChangesNothing(t *testing.T) {
	r := shared(t, nil)
	chmod(t, filepath.Join(r.dir, r.segment("a\n")+".log"), 0o666)
	unprivileged(t, func() {
		if err := r.collect(); err != nil {
			t.Error(err)
		}
	})
	steps := r.steps()
	chmod(t, r.dir, 0o333)
	unprivileged(t, func() {
		if err := r.collect(); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "collect log segments: open ") {
			t.Errorf("collected: %v", err)
		}
		s, err := logfile.Open(logfile.StreamOptions{Dir: r.dir, Stream: "app"})
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.Show(); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "link to the current segment of the log app: open ") {
			t.Errorf("shown: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	chmod(t, r.dir, 0o777)
	r.is("1.log.gz", "a\n", steps)
}

func TestAManifestThatCannotBeBroughtBackIsAnError(t *testing.T) {
	r := shared(t, nil)
	for _, name := range []string{"/manifest.jsonl.new", "/collector.lock"} {
		if err := os.WriteFile(r.dir+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		chmod(t, r.dir+name, 0o666)
	}
	chmod(t, r.dir, 0o555)
	unprivileged(t, func() {
		if err := r.collect(); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "rename "+r.dir+"/manifest.jsonl.new ") {
			t.Errorf("collected: %v", err)
		}
	})
	chmod(t, r.dir, 0o777)
	r.segment("a\n")
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
}

func TestABucketThatCannotBeMadeIsAnError(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{root, filepath.Dir(root)} {
		chmod(t, path, 0o755)
	}
	if os.Geteuid() != 0 {
		chmod(t, root, 0o555)
	}
	unprivileged(t, func() {
		err := logfile.NewDir(root+"/a/b").Put(t.Context(), "c/d", strings.NewReader("x"), buckettest.Of("x"))
		if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "put c/d: mkdir "+root+"/a: ") {
			t.Errorf("put: %v", err)
		}
	})
}

// Else a clock that was years ahead for a moment would have its segments stay for years.
func TestASegmentDoesNotLingerUntilAClockThatWasPutBackIsThereAgain(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Linger = time.Minute })
	path := filepath.Join(r.dir, r.segment("a\n")+".log")
	at := func(until time.Time) {
		t.Helper()
		if err := os.Chtimes(path, until, until); err != nil {
			t.Fatal(err)
		}
		r.collected()
	}
	at(r.clock.Now().Add(10 * time.Second)) // a small step, after which followers still look
	r.is("1.log", "", "")
	at(r.clock.Now().Add(1000 * time.Hour))
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
}
