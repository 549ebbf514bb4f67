//go:build unix

package reload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A run directory holds what processes of one service find each other by:
//
//	lock              held by the supervisor (flock), with its process id
//	control.sock      where the supervisor answers commands
//	worker-N.sock     where worker N waits for a new supervisor when its own has died
//	ended-N           what worker N had counted when it ended without a supervisor
//	exclusive-NAME    locks that workers take (flock): see Link.Lock
//
// Where none can be used, the locks are in a temporary directory that the supervisor makes.
const (
	lockName      = "lock"
	controlName   = "control.sock"
	workerPrefix  = "worker-"
	endedPrefix   = "ended-"
	lockPrefix    = "exclusive-"
	socketSuffix  = ".sock"
	maxSocketPath = 100 // bytes; sockaddr_un has 104 on some systems
)

// Directory is where the run directory of program is when nobody names one: below what systemd
// made (RuntimeDirectory=), below the user's own, in /run for root and in the directory for
// temporary files for others. After su or sudo -E, XDG_RUNTIME_DIR is that of the user before,
// which is passed over.
func Directory(program string, getenv func(string) string) string {
	if dir, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" && !somebodyElses(dir) {
		return filepath.Join(dir, program)
	}
	if os.Getuid() == 0 {
		return filepath.Join("/run", program)
	}
	return filepath.Join(os.TempDir(), program+"-"+strconv.Itoa(os.Getuid()))
}

// makeDirectory makes the run directory, or checks that the one there is ours: whoever can write
// in it could take the service over.
func makeDirectory(dir string) error {
	if n := len(filepath.Join(dir, controlName)); n > maxSocketPath {
		return fmt.Errorf("run directory %s: the paths of its sockets would have %d bytes, at most %d are possible", dir, n, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("run directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err == nil && info.Mode()&os.ModeSymlink != 0 && trusted(info) {
		info, err = os.Stat(dir) // systemd makes one where DynamicUser= is set
	}
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("run directory %s: it is not a directory", dir)
	case ok && int(owner.Uid) != os.Getuid(): // root is no exception: its owner would command root's service
		return fmt.Errorf("run directory %s: it belongs to user %d, not to %d; name one of your own", dir, owner.Uid, os.Getuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("run directory %s: others may write in it (mode %v); want 0700 or 0755", dir, info.Mode().Perm())
	}
	return nil
}

// somebodyElses reports whether dir is there and belongs to another user.
func somebodyElses(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) != os.Getuid()
}

// openOwn opens a file of the run directory. One that a symbolic link stands for is refused: it may be
// anywhere, and would be written to.
func openOwn(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW, 0o600)
	if info, e := os.Lstat(path); err != nil && e == nil && info.Mode()&os.ModeSymlink != 0 {
		err = fmt.Errorf("%w: want a file, not a symbolic link; remove it", err)
	}
	return f, err
}

// trusted reports whether a file is ours or root's.
func trusted(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && (owner.Uid == 0 || int(owner.Uid) == os.Getuid())
}

// lockDirectory takes the lock of dir, which keeps two supervisors apart. It is released when the
// file is closed, at the latest when the process ends.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := openOwn(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder := make([]byte, 16)
			n, _ := f.ReadAt(holder, 0)
			return nil, &InUseError{Directory: dir, PID: strings.TrimSpace(string(holder[:n]))}
		}
		return nil, fmt.Errorf("run directory: lock %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("run directory: %w", err), f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// flock takes an exclusive lock, or fails at once.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(fdOf(f), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// InUseError says that another supervisor uses the run directory.
type InUseError struct {
	Directory string
	PID       string // of the other, as it wrote it
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("run directory %s is in use by process %s: stop that one, or name another directory", e.Directory, e.PID)
}

// workerSocket is the path on which a worker waits for a new supervisor.
func workerSocket(dir string, worker int) string {
	return filepath.Join(dir, workerPrefix+strconv.Itoa(worker)+socketSuffix)
}

// numberOf is the number of the worker that waits at path, 0 when the path has none.
func numberOf(path string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), workerPrefix), socketSuffix))
	return n
}

// workerSockets lists the sockets of workers, living or dead.
func workerSockets(dir string) []string {
	entries, _ := os.ReadDir(dir) // what cannot be read holds no worker
	var paths []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, workerPrefix) && strings.HasSuffix(name, socketSuffix) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// leaveBehind keeps what a worker has counted for the next supervisor. Without a run directory there
// will be none that knows of it. A worker that could not say what it has counted leaves nothing.
func leaveBehind(dir string, worker int, snapshot []byte) error {
	if dir == "" || len(snapshot) == 0 {
		return nil
	}
	path := filepath.Join(dir, endedPrefix+strconv.Itoa(worker))
	unfinished := path + ".new"
	f, err := openOwn(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	_, err = f.Write(snapshot)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	return os.Rename(unfinished, path)
}

// collectLeft takes what workers have left behind.
func collectLeft(dir string) (left []Snapshot) {
	entries, _ := os.ReadDir(dir) // what cannot be read holds nothing
	for _, e := range entries {
		text, found := strings.CutPrefix(e.Name(), endedPrefix)
		if !found {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if worker, err := strconv.Atoi(text); err == nil {
			if data, err := readOwn(path); err == nil {
				left = append(left, Snapshot{Worker: worker, Data: data})
			}
		}
		_ = os.Remove(path)
	}
	return left
}

// readOwn reads a file of the run directory.
func readOwn(path string) ([]byte, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
