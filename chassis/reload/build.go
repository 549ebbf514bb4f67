//go:build unix

package reload

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
)

// build is the file of a program. On Linux it is kept open, so that it can be executed after
// another one has taken its place. nil is a build of which nothing is known.
type build struct {
	binary string // the path it was found by
	id     string // of the file: device, number, size and time of its last change
	file   *os.File
	users  atomic.Int32
}

// openBuild notes which file path names now; nil when that cannot be told.
func openBuild(path string) *build {
	f, err := os.Open(path)
	if err != nil {
		return nil // it may be executable all the same
	}
	return restoreBuild(path, f)
}

// restoreBuild is openBuild for a file that is open, which it takes over.
func restoreBuild(path string, f *os.File) *build {
	id, err := fileID(f.Stat())
	if err != nil {
		_ = f.Close()
		return nil
	}
	b := &build{binary: path, id: id, file: f}
	b.users.Store(1)
	return b
}

func fileID(info os.FileInfo, err error) (string, error) {
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s: the system does not tell which file it is", info.Name())
	}
	return fmt.Sprintf("%d:%d:%d:%d", st.Dev, st.Ino, st.Size, info.ModTime().UnixNano()), nil
}

// path is where the file can be executed, whatever is at its old path now.
func (b *build) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fdOf(b.file))
}

// keep returns b for one more user, who closes it; nil where it cannot be executed once another
// file is at its path.
func (b *build) keep() *build {
	if b == nil || runtime.GOOS != "linux" {
		return nil
	}
	b.users.Add(1)
	return b
}

func (b *build) close() {
	if b != nil && b.users.Add(-1) == 0 {
		_ = b.file.Close()
	}
}

// same reports whether both are the same file.
func (b *build) same(o *build) bool { return b != nil && o != nil && b.id == o.id }

// current reports whether the file is still the one at its path.
func (b *build) current() bool {
	if b == nil {
		return false
	}
	id, err := fileID(os.Stat(b.binary))
	return err == nil && id == b.id
}
