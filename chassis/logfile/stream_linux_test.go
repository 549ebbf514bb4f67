package logfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/internal/disk"
)

func TestAFullDiskLeavesWholeLines(t *testing.T) {
	dir := disk.Mount(t, "size=8k")
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
	dir := disk.Mount(t, "nr_inodes=3") // the root, and two files
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
