package sqlitefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"zombiezen.com/go/sqlite"
)

// Inspect looks at path without opening it, because closing a database file by other means than
// SQLite's drops the locks that this process holds on it, and returns the size of the file.
func (k *Kind) Inspect(path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); err != nil {
			return 0, fmt.Errorf("%s: directory %s cannot be used, make it first: %w", path, dir, err)
		}
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look at %s file: %w", k.Noun, err)
	case info.IsDir():
		return 0, fmt.Errorf("%s: %w: it is a directory; name a file in it, such as %s", path, k.Invalid, filepath.Join(path, k.Noun+".db"))
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s: %w: it is no regular file (%v)", path, k.Invalid, info.Mode().Type())
	}
	return info.Size(), nil
}

// Connect opens a connection to the file at path.
func (k *Kind) Connect(path string, flags sqlite.OpenFlags) (Conn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, flags)
	if err != nil {
		return Conn{}, k.Explain(path, err)
	}
	c.SetBusyTimeout(ReadWait)
	return Conn{c}, nil
}

// SyncDir makes the names of new files in dir durable.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it keeps names durable itself, and cannot sync a directory
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
