package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkLink refuses a directory in which something else has the name of the link: it would be
// overwritten.
func checkLink(dir, stream string) error {
	path := filepath.Join(dir, link(stream))
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%s is in the way of the link to the current segment: move it away", path)
	}
	return err
}

// point has the link of the stream lead to a segment, in one step.
func point(dir string, to Name) error {
	if err := checkLink(dir, to.Stream); err != nil {
		return err
	}
	beside := filepath.Join(dir, "."+to.String())
	if err := os.Symlink(to.String()+suffix, beside); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(beside, filepath.Join(dir, link(to.Stream))); err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	return nil
}

// mayPoint reports whether a process that goes on to its next segment is to move the link: not
// when it leads to one that another process writes, because then that one has taken over.
func mayPoint(dir string, own Name) bool {
	target, err := os.Readlink(filepath.Join(dir, link(own.Stream)))
	if err != nil {
		return true
	}
	n, err := ParseName(target)
	if err != nil || n.PID == own.PID && n.Generation == own.Generation {
		return true
	}
	return !held(filepath.Join(dir, target))
}

// held reports whether a segment is being written.
func held(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(lock(f), errHeld)
}
