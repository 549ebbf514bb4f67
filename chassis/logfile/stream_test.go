//go:build unix

package logfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

var start = time.Date(2026, 11, 28, 15, 33, 51, 0, time.UTC)

func ExampleStream() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log, err := logfile.Open(logfile.StreamOptions{Dir: dir, Stream: "access"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = log.Show() // when the service is ready
	fmt.Fprintln(log, "before")
	_ = log.Rotate()
	fmt.Fprintln(log, "after")
	now, err := os.ReadFile(filepath.Join(dir, "access.log"))
	fmt.Print(string(now), err, "\n")
	_ = log.Close()
	segments, err := filepath.Glob(filepath.Join(dir, "access-*.log"))
	fmt.Println(len(segments), "segments", err)
	// Output:
	// after
	// <nil>
	// 2 segments <nil>
}

func open(t *testing.T, o logfile.StreamOptions) *logfile.Stream {
	t.Helper()
	if o.Stream == "" {
		o.Stream = "access"
	}
	s, err := logfile.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func write(t *testing.T, s *logfile.Stream, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d bytes of %d written: %v", n, len(text), err)
	}
}

// texts are the segments of a directory in order.
func texts(t *testing.T, dir string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*-*.log"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, errX := logfile.ParseName(filepath.Base(a))
		y, errY := logfile.ParseName(filepath.Base(b))
		if errX != nil || errY != nil {
			t.Fatal(errX, errY)
		}
		return x.Number - y.Number
	})
	for _, name := range names {
		all = append(all, readFile(t, name))
	}
	return all
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func want(t *testing.T, dir string, segments ...string) {
	t.Helper()
	if got := texts(t, dir); !slices.Equal(got, segments) {
		t.Errorf("segments %q, want %q", got, segments)
	}
}

func TestASegmentEndsBeforeItIsTooLarge(t *testing.T) {
	dir := t.TempDir()
	s := open(t, logfile.StreamOptions{Dir: dir, MaxSize: 10})
	for _, text := range []string{"12345\n", "789\n", "next\n", "larger than a segment may be\n", "\nx\n"} {
		write(t, s, text)
	}
	want(t, dir, "12345\n789\n", "next\n", "larger than a segment may be\n", "x\n")
	if st := s.Stats(); st.Segments != 4 || st.Bytes != 46 || st.Errors != 0 || !strings.HasSuffix(st.Segment, "-4.log") {
		t.Errorf("stats %+v", st)
	}
}

func TestASegmentEndsWhenItIsOldAndHasLines(t *testing.T) {
	dir, now := t.TempDir(), clock.NewVirtual(start)
	s := open(t, logfile.StreamOptions{Dir: dir, MaxAge: time.Minute, Clock: now})
	now.Advance(10 * time.Minute)
	write(t, s, "a\n")
	now.Advance(time.Minute)
	want(t, dir, "a\n", "")
	write(t, s, "b\n")
	if err := s.Rotate(); err != nil {
		t.Error(err)
	}
	now.Advance(30 * time.Second)
	write(t, s, "c\n")
	now.Advance(29 * time.Second)
	want(t, dir, "a\n", "b\n", "c\n")
	now.Advance(time.Second)
	want(t, dir, "a\n", "b\n", "c\n", "")
	if err := errors.Join(s.Rotate(), s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	want(t, dir, "a\n", "b\n", "c\n")
	if n := now.Pending(); n != 0 {
		t.Errorf("%d timers after the end", n)
	}
	if _, err := s.Write([]byte("x\n")); !errors.Is(err, logfile.ErrClosed) {
		t.Errorf("write after the end: %v", err)
	}
	for _, err := range []error{s.Rotate(), s.Show(), s.Sync()} {
		if !errors.Is(err, logfile.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	}
}

func TestManyRotationsInAnInstantLoseNothing(t *testing.T) {
	dir, now := t.TempDir(), clock.NewVirtual(start)
	s := open(t, logfile.StreamOptions{Dir: dir, Clock: now})
	const n = 500
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range n {
				write(t, s, "line\n")
				if err := s.Rotate(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := strings.Join(texts(t, dir), ""); got != strings.Repeat("line\n", 2*n) {
		t.Errorf("%d bytes in all segments", len(got))
	}
}

func current(t *testing.T, dir string) string {
	t.Helper()
	target, err := os.Readlink(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestTheLinkFollowsWhoIsReady(t *testing.T) {
	dir := t.TempDir()
	old := open(t, logfile.StreamOptions{Dir: dir, Generation: 1})
	if _, err := os.Lstat(filepath.Join(dir, "access.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link of a worker that is not ready: %v", err)
	}
	step := func(what string, want *logfile.Stream, act ...func() error) {
		t.Helper()
		for _, f := range act {
			if err := f(); err != nil {
				t.Fatal(what, err)
			}
		}
		if got := current(t, dir); got != want.Stats().Segment {
			t.Errorf("%s: the link leads to %s, want %s", what, got, want.Stats().Segment)
		}
	}
	line := func(s *logfile.Stream) func() error {
		return func() error { _, err := s.Write([]byte("x\n")); return err }
	}
	step("ready", old, old.Show)
	step("rotated", old, line(old), old.Rotate)
	next := open(t, logfile.StreamOptions{Dir: dir, Generation: 2})
	step("another one rotates before it is ready", old, line(next), next.Rotate)
	step("the other one is ready", next, next.Show)
	step("the first one rotates while it drains", next, line(old), old.Rotate)
	step("the other one rotates", next, line(next), next.Rotate)
	// As if the other one had been killed.
	step("the writer it leads to is gone", old, line(next), next.Close, line(old), old.Rotate)
	if err := os.Remove(filepath.Join(dir, "access.log")); err != nil {
		t.Fatal(err)
	}
	step("somebody removed it", old, line(old), old.Rotate)
	if err := errors.Join(os.Remove(filepath.Join(dir, "access.log")), os.Symlink("elsewhere", filepath.Join(dir, "access.log"))); err != nil {
		t.Fatal(err)
	}
	step("it leads nowhere", old, line(old), old.Rotate)
}

// A worker that goes must not move the link after the one that comes: whether it may, and that it does, are one step.
func TestTheLinkIsMovedByOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	old := open(t, logfile.StreamOptions{Dir: dir, Generation: 1})
	if err := old.Show(); err != nil {
		t.Fatal(err)
	}
	write(t, old, "a\n")
	next := open(t, logfile.StreamOptions{Dir: dir, Generation: 2})
	before := current(t, dir)
	free := logfile.LockDir(t, dir) // as a process in the middle of it has it
	if err := errors.Join(old.Rotate(), next.Show()); err != nil {
		t.Fatal(err)
	}
	write(t, old, "b\n")
	if got := current(t, dir); got != before {
		t.Errorf("the link leads to %s while another process moves it, want %s still", got, before)
	}
	free()
	write(t, next, "c\n")
	if got := current(t, dir); got != next.Stats().Segment {
		t.Errorf("the link leads to %s, want %s, which was ready last", got, next.Stats().Segment)
	}
	write(t, old, "d\n")
	if got := current(t, dir); got != next.Stats().Segment {
		t.Errorf("the link leads to %s, want %s: its writer has taken over", got, next.Stats().Segment)
	}
	want(t, dir, "a\n", "c\n", "b\nd\n")
	if old.Stats().Errors+next.Stats().Errors != 0 {
		t.Errorf("stats %+v, %+v: to wait for the other is no error", old.Stats(), next.Stats())
	}
}

func TestAFileInPlaceOfTheLinkIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	s := open(t, logfile.StreamOptions{Dir: dir})
	if err := os.WriteFile(path, []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Show(); err == nil || !strings.Contains(err.Error(), path+" is in the way of the link to the current segment") {
		t.Errorf("shown: %v", err)
	}
	write(t, s, "a\n")
	if err := s.Rotate(); err != nil || s.Stats().Errors != 2 || s.Stats().LastError == nil {
		t.Errorf("rotated: %v, stats %+v", err, s.Stats())
	}
	if _, err := logfile.Open(logfile.StreamOptions{Dir: dir, Stream: "access"}); err == nil || !strings.Contains(err.Error(), "is in the way") {
		t.Errorf("opened: %v", err)
	}
	if got := readFile(t, path); got != "precious\n" {
		t.Errorf("the file has %q", got)
	}
}

func TestWhatCannotBeOpenedIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]logfile.StreamOptions{
		`name of a log stream "a/b"`:               {Dir: t.TempDir(), Stream: "a/b"},
		"directory of the log access: mkdir ":      {Dir: file + "/x/y", Stream: "access"},
		"lstat " + file + "/access.log: not a dir": {Dir: file, Stream: "access"},
	} {
		if _, err := logfile.Open(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s…", err, want)
		}
	}
}

func TestADirectoryThatVanishesIsMadeAgain(t *testing.T) {
	root := t.TempDir()
	dir := root + "/log"
	s := open(t, logfile.StreamOptions{Dir: dir})
	if err := s.Show(); err != nil {
		t.Fatal(err)
	}
	write(t, s, "a\n")
	if err := os.Rename(dir, root+"/gone"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "b\n")
	want(t, root+"/gone", "a\n")
	want(t, dir, "b\n")
	if got := current(t, dir); got != s.Stats().Segment {
		t.Errorf("the link leads to %s", got)
	}
	// One segment is renamed, and a file put in the place of another one.
	path := filepath.Join(dir, s.Stats().Segment)
	if err := os.Rename(path, root+"/renamed"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "c\n")
	path = filepath.Join(dir, s.Stats().Segment)
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	write(t, s, "d\n")
	want(t, dir, "", "d\n")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := s.Write([]byte("e\n")); n != 0 || !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%d bytes written to a directory that is a file: %v", n, err)
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	write(t, s, "f\n")
	want(t, dir, "f\n")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestASegmentIsHeldWhileItIsWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, logfile.StreamOptions{Dir: dir})
	path := filepath.Join(dir, s.Stats().Segment)
	if !logfile.Held(path) {
		t.Error("the segment that is written is free")
	}
	write(t, s, "a\n")
	if err := errors.Join(s.Sync(), s.Rotate()); err != nil {
		t.Fatal(err)
	}
	if logfile.Held(path) {
		t.Error("the segment before is held")
	}
	if logfile.Held(path + "x") {
		t.Error("a segment that is not there is held")
	}
}
