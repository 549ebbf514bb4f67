package accesslog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A File is a log file that is found by its path. Before each write it looks whether the path still
// leads to the file that is open. When it does not, because somebody removed or renamed the file or
// removed its directory, or when the last write failed, the path is opened anew, and the directory
// is made again if need be. So rotating is renaming, no signal needed. Make one with
// [OpenFile]. It is safe for concurrent use.
//
// Looking costs a system call. A [Writer] writes a few times a second at most, unless there is much
// to write, and then large pieces.
type File struct {
	path    string
	dirMode fs.FileMode

	mu     sync.Mutex
	file   *os.File // nil when it could not be opened
	failed bool     // the last write
	closed bool
}

// OpenFile opens path for appending and creates it, readable for its owner and group, where it is
// missing. The directory must exist; only one that vanishes later is made anew, with the mode it had.
func OpenFile(path string) (*File, error) {
	f := &File{path: path, dirMode: 0o750}
	if info, err := os.Stat(filepath.Dir(path)); err == nil {
		f.dirMode = info.Mode().Perm()
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	f.file = file
	return f, nil
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}

// Write appends p. A line break at its beginning, with which a [Writer] ends a line that was torn
// off, is left out of a file that is empty: the torn line is in another one.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, &fs.PathError{Op: "write", Path: f.path, Err: os.ErrClosed}
	}
	skipped := 0
	if f.file == nil || f.failed || f.moved() {
		empty, err := f.reopen()
		if err != nil {
			return 0, err
		}
		if empty && len(p) > 0 && p[0] == '\n' {
			skipped = 1
		}
	}
	n, err := f.file.Write(p[skipped:])
	f.failed = err != nil
	return n + skipped, err
}

// moved reports whether the path leads elsewhere. Where that cannot be told, the file stays.
func (f *File) moved() bool {
	there, err := os.Stat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	here, err := f.file.Stat()
	return err == nil && !os.SameFile(there, here)
}

// reopen opens the path and reports whether the file is empty.
func (f *File) reopen() (empty bool, err error) {
	if f.file != nil {
		_ = f.file.Close() // every write to it has told of its own errors
		f.file = nil
	}
	file, err := open(f.path)
	// Whoever removes directories may be quick to do it again.
	for tries := 0; errors.Is(err, fs.ErrNotExist) && tries < 10; tries++ {
		if err := os.MkdirAll(filepath.Dir(f.path), f.dirMode); err != nil {
			return false, err
		}
		file, err = open(f.path)
	}
	if err != nil {
		return false, err
	}
	f.file = file
	info, err := file.Stat()
	return err == nil && info.Size() == 0, nil
}

// Close closes the file. Writes fail from then on; further calls do nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
