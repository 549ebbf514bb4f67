package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/internal/disk"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// diskVariable names the directory on which a test is to mount a small disk.
const diskVariable = "SPOOL_TEST_DISK"

// smallDisk runs the test in a process of its own that has a disk of 8 MiB to itself. In that process it
// returns the disk's directory; in the one that go test has started, it returns "" when the test is over.
// SQLite looks through links, so that the way of package disk does not lead it there.
func smallDisk(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(diskVariable); dir != "" {
		err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		if err = errors.Join(err, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), diskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		need.Missing(t, "a small file system cannot be mounted: run the tests as root")
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v:\n%s", err, out)
	}
	return ""
}

// fill takes what room the disk has left, to the last byte.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if n, err := f.Write(make([]byte, size)); err != nil && n == 0 {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			size /= 2
		}
	}
}

var small = spool.Config{Limit: spool.Limit{Bytes: 1 << 20}, MaxRecord: config.Size(64 << 10)}

// stuff puts records until the disk has no room for more, and returns how many were stored.
func stuff(t *testing.T, s *spool.Spool, name string) (n int) {
	t.Helper()
	for {
		err := s.Put(t.Context(), spool.Record{ID: fmt.Sprint(name, n), Body: make([]byte, 3000)})
		if errors.Is(err, spool.ErrDiskFull) {
			return n
		}
		must(t, err)
		n++
	}
}

// drainAll leases and acknowledges all that there is, and returns how many records there were.
func drainAll(t *testing.T, s *spool.Spool) (n int) {
	t.Helper()
	seen := map[string]bool{}
	for {
		l, err := s.Lease(t.Context(), 7, time.Minute)
		if err != nil {
			t.Fatalf("lease after %d records: %v", n, err)
		}
		if len(l) == 0 {
			return n
		}
		if err := s.Ack(t.Context(), l...); err != nil {
			t.Fatalf("acknowledge after %d records: %v", n, err)
		}
		for _, r := range l {
			if seen[r.ID] {
				t.Errorf("record %s comes twice", r.ID)
			}
			seen[r.ID] = true
			n++
		}
	}
}

func TestADiskThatIsFullToTheLastByteIsDrainedAndTakesNoMore(t *testing.T) {
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	s := open(t, filepath.Join(dir, "a.spool"), small)
	want := 0
	for ; want < 150; want++ {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint("early", want), Body: make([]byte, 3000)}))
	}
	fill(t, dir)
	want += stuff(t, s, "late")
	fill(t, dir)
	err := s.Put(t.Context(), spool.Record{ID: "none"})
	if !errors.Is(err, spool.ErrDiskFull) || !strings.Contains(err.Error(), "disk of the spool is full") {
		t.Errorf("put on a full disk: %v", err)
	}
	// Those who go on putting must not keep from others what these need.
	ctx, stop := context.WithCancel(t.Context())
	var putters sync.WaitGroup
	for i := range 8 {
		putters.Go(func() {
			for ctx.Err() == nil {
				err := s.Put(ctx, spool.Record{ID: fmt.Sprint("put", i), Body: make([]byte, 60<<10)})
				if err != nil && !errors.Is(err, spool.ErrDiskFull) && ctx.Err() == nil {
					t.Errorf("put on a full disk: %v, want ErrDiskFull", err)
				}
			}
		})
	}
	l, err := s.Lease(t.Context(), 3, time.Minute)
	must(t, err)
	must(t, s.Nack(t.Context(), 0, l[0]))
	must(t, s.Release(t.Context(), 0, l[1]))
	must(t, s.Park(t.Context(), strings.Repeat("bad ", 250), l[2]))
	_, err = s.Requeue(t.Context())
	must(t, err)
	got := drainAll(t, s)
	stop()
	putters.Wait()
	if got += drainAll(t, s); got != want {
		t.Errorf("%d records of %d came", got, want)
	}
	must(t, os.Remove(filepath.Join(dir, "ballast")))
	must(t, s.Put(t.Context(), spool.Record{ID: "more", Body: make([]byte, 60<<10)}))
	if got := drainAll(t, s); got != 1 {
		t.Errorf("%d records came of the one that was put when there was room again", got)
	}
	info, err := os.Stat(filepath.Join(dir, "a.spool-reserve"))
	if err != nil || info.Size() < 2<<20 || info.Sys().(*syscall.Stat_t).Blocks*512 < info.Size() {
		t.Errorf("the reserve is not whole again: %v, %v", info, err)
	}
}

func TestASpoolOnAFullDiskIsOpenedAndDrained(t *testing.T) {
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, "a.spool")
	s := open(t, path, small)
	other := open(t, path, small)
	for i := range 100 {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i), Body: make([]byte, 3000)}))
	}
	fill(t, dir)
	want := 100 + stuff(t, other, "late")
	must(t, s.Close())
	must(t, other.Close())
	fill(t, dir)
	s = open(t, path, small)
	if got := drainAll(t, s); got != want {
		t.Errorf("%d records of %d came", got, want)
	}
}

func TestAReserveThatDoesNotFitTakesNothing(t *testing.T) {
	path := filepath.Join(disk.Mount(t, "size=1m"), "a.spool")
	if err := spool.FillReserve(path, 1<<20); !errors.Is(err, spool.ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want ErrDiskFull and its cause", err)
	}
	if info, err := os.Stat(path + "-reserve"); err != nil || info.Sys().(*syscall.Stat_t).Blocks != 0 {
		t.Errorf("the reserve takes room: %v, %v", info, err)
	}
	must(t, spool.FillReserve(path, 100<<10))
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	if err := spool.AllocateZeros(f, 1<<20); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a mebibyte of zeros beside it: %v, want ENOSPC", err)
	}
	if err := spool.FillReserve(filepath.Join(path, "no"), 1); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v, want ENOTDIR", err)
	}
}
