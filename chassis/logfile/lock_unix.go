//go:build unix

package logfile

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for its open description, or returns errHeld at once. It is free again when
// the file is closed, at the latest when the process ends.
func lock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		for {
			locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
			if !errors.Is(locked, syscall.EINTR) {
				return
			}
		}
	})
	if errors.Is(locked, syscall.EWOULDBLOCK) {
		return errHeld
	}
	if locked != nil {
		return &os.PathError{Op: "flock", Path: f.Name(), Err: locked}
	}
	return err
}

// noSpace reports whether a write failed for want of space.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
