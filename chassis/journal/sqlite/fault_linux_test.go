package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// faults are parts that this binary plays in a process of its own, in which the storage can be made to
// fail. Each is given a directory and returns what it found wrong.
var faults = map[string]func(dir string) error{"full": fillDisk, "fsync": failSync}

// errMissing says that the machine does not let a fault be made.
var errMissing = errors.New("cannot be made here")

// suffer runs a fault in dir and fails the test with what that found.
func suffer(t *testing.T, fault, dir string, attributes *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleVariable+"="+fault)
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || strings.Contains(string(out), errMissing.Error()):
		need.Missing(t, "the fault %s: %v: %s", fault, err, out) // ENOSPC: as many namespaces as there may be
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	}
}

// fillDisk has a journal on a disk of 4 MiB that fills up, to the last byte, and is freed.
func fillDisk(dir string) error {
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		return fmt.Errorf("a small disk %w: %w", errMissing, err)
	}
	ctx, url, ballast := context.Background(), "file:"+filepath.Join(dir, "journal.db"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	j, err := journal.Open(ctx, &journal.Local{}, url, sqlite.Engine)
	if err != nil {
		return err
	}
	acked := 0
	add := func(size int) error {
		_, err := j.Append(ctx, "s", journal.Any, journal.Event{Type: "noted", Data: make([]byte, size)})
		if err == nil {
			acked++
		}
		return err
	}
	for _, size := range []int{50_000, 5_000, 10} {
		for err = nil; err == nil; {
			err = add(size)
		}
		if !errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrUnknownOutcome) || errors.Is(err, journal.ErrFailed) {
			return fmt.Errorf("append to a full disk: %w, want ErrFull alone", err)
		}
	}
	stored := func() error {
		n := 0
		for _, err := range j.All(ctx, 0, journal.Filter{}) {
			if err != nil {
				return err
			}
			n++
		}
		if n != acked || acked < 10 {
			return fmt.Errorf("%d events are stored and %d were acknowledged", n, acked)
		}
		return nil
	}
	if err := stored(); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	for range 3 {
		if err := add(50_000); err != nil {
			return fmt.Errorf("append when there is room again: %w", err)
		}
	}
	if err := errors.Join(stored(), j.Close()); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	if j, err = journal.Open(ctx, &journal.Local{}, url, sqlite.Engine); err != nil {
		return err
	}
	return errors.Join(stored(), j.Close())
}

func TestADiskThatFillsUpAndIsFreedLosesNothing(t *testing.T) {
	suffer(t, "full", t.TempDir(), &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
}

// failSync has every fsync of the process fail once a journal has acknowledged an append.
func failSync(dir string) error {
	ctx := context.Background()
	j, err := journal.Open(ctx, &journal.Local{}, "file:"+filepath.Join(dir, "journal.db"), sqlite.Engine)
	if err != nil {
		return err
	}
	once := journal.Event{ID: "once", Type: "noted", Data: []byte("x")}
	if _, err := j.Append(ctx, "s", journal.NoStream, note("acknowledged")); err != nil {
		return err
	}
	if err := refuseSyncs(); err != nil {
		return fmt.Errorf("failing syncs %w: %w", errMissing, err)
	}
	if _, err := j.Append(ctx, "s", journal.At(1), once); !errors.Is(err, journal.ErrUnknownOutcome) || !errors.Is(err, journal.ErrFailed) {
		return fmt.Errorf("append whose sync fails: %w, want ErrUnknownOutcome and ErrFailed", err)
	}
	// After a failed sync the kernel may say that all is well with pages that it has dropped.
	if _, err := j.Append(ctx, "s", journal.Any, once); !errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrUnknownOutcome) {
		return fmt.Errorf("the append after that: %w, want ErrFailed alone", err)
	}
	if err := j.Checkpoints().Move(ctx, "reader", 0, 0, 1); !errors.Is(err, journal.ErrFailed) {
		return fmt.Errorf("moving a checkpoint after that: %w, want ErrFailed", err)
	}
	return nil // as a process that does not trust its disk exits: without closing
}

// refuseSyncs has fsync and fdatasync of all threads fail with EIO, by a seccomp filter.
func refuseSyncs() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const load, equal, result = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the number of the system call
		{Code: equal, K: unix.SYS_FSYNC, Jt: 1},
		{Code: equal, K: unix.SYS_FDATASYNC, Jf: 1},
		{Code: result, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EIO)},
		{Code: result, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

func TestASyncThatFailsStopsTheJournalForGood(t *testing.T) {
	dir := t.TempDir()
	suffer(t, "fsync", dir, nil)
	j := open(t, "file:"+filepath.Join(dir, "journal.db"))
	// Whether the second append is there, nobody knew; repeating it finds out.
	e := journal.Event{ID: "once", Type: "noted", Data: []byte("x")}
	if v, err := j.Append(t.Context(), "s", journal.At(1), e); v != 2 || err != nil {
		t.Errorf("repeating the append whose outcome was unknown: %d, %v; want 2", v, err)
	}
	if n := count(t, j); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}
