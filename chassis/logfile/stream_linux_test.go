package logfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// disk mounts a file system that options describe where nobody else sees it, and returns a directory in it.
func disk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	type result struct {
		file *os.File
		err  error
	}
	mounted := make(chan result)
	go func() {
		// The mount is of this thread alone, which ends with the goroutine since it is not unlocked. The
		// open directory keeps the file system.
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNS)
		if err == nil {
			err = syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			err = syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
		}
		if err != nil {
			mounted <- result{nil, err}
			return
		}
		f, err := os.Open(dir)
		mounted <- result{f, err}
	}()
	r := <-mounted
	if errors.Is(r.err, syscall.EPERM) {
		need.Missing(t, "a small file system cannot be mounted: run the tests as root")
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.file.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", r.file.Fd())
}

func TestAFullDiskLeavesWholeLines(t *testing.T) {
	dir := disk(t, "size=8k")
	full := 0
	s := open(t, logfile.StreamOptions{Dir: dir, Full: func() { full++ }})
	line := strings.Repeat("x", 99) + "\n"
	write(t, s, strings.Repeat(line, 80))
	n, err := s.Write([]byte(strings.Repeat(line, 5)))
	if n != 100 || !errors.Is(err, syscall.ENOSPC) || full != 1 {
		t.Errorf("%d bytes written, %v, told %d times; want the line that fits, for want of space", n, err, full)
	}
	if n, err = s.Write([]byte(line)); n != 0 || !errors.Is(err, syscall.ENOSPC) || full != 2 {
		t.Errorf("%d bytes written, %v, told %d times", n, err, full)
	}
	if got := strings.Join(texts(t, dir), ""); got != strings.Repeat(line, 81) {
		t.Errorf("%d bytes in the segment", len(got))
	}
	if err := os.Truncate(filepath.Join(dir, s.Stats().Segment), 0); err != nil {
		t.Fatal(err)
	}
	write(t, s, line)
	if st := s.Stats(); st.Segments != 1 || st.Errors != 2 || !errors.Is(st.LastError, syscall.ENOSPC) {
		t.Errorf("stats %+v", st)
	}
}

func TestASegmentGoesOnWhenThereCanBeNoOther(t *testing.T) {
	dir := disk(t, "nr_inodes=3") // the root, and two files
	s := open(t, logfile.StreamOptions{Dir: dir, MaxSize: 4})
	for range 3 {
		write(t, s, "abc\n")
	}
	want(t, dir, "abc\n", "abc\nabc\n")
	if err := s.Rotate(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("rotated: %v", err)
	}
	if st := s.Stats(); st.Errors != 2 {
		t.Errorf("stats %+v", st)
	}
	if err := os.Remove(filepath.Join(dir, s.Stats().Segment)); err != nil {
		t.Fatal(err)
	}
	write(t, s, "abc\n")
	want(t, dir, "abc\n", "abc\n")
	// Somebody renames the segment, and so keeps its inode.
	if err := errors.Join(os.Remove(filepath.Join(dir, s.Stats().Segment)), s.Sync()); err != nil {
		t.Fatal(err)
	}
	write(t, s, "abc\n")
	path := filepath.Join(dir, s.Stats().Segment)
	if err := os.Rename(path, filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := s.Write([]byte("abc\n")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d bytes written, %v", n, err)
		}
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	write(t, s, "abc\n")
	want(t, dir, "abc\n", "abc\n")
}
