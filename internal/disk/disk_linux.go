package disk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// Mount makes a file system in memory, with options of tmpfs(5) such as size=64k, where nobody else
// sees it. The directory that it returns can be used by this process and, as long as the test runs, by
// those it starts.
func Mount(t testing.TB, options string) string {
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
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.file.Fd())
}
