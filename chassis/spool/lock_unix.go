//go:build unix

package spool

import (
	"fmt"
	"os"
	"syscall"
)

// A lock says that a process has a spool open: PATH-lock, shared by all that have. SQLite's own locks
// cannot, because a file that is to be set aside may be no database any more.
type lock struct{ file *os.File }

func openLock(path string) (*lock, error) {
	f, err := os.OpenFile(path+"-lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the spool: %w", err)
	}
	return &lock{f}, nil
}

// share waits until nobody sets the file aside.
func (l *lock) share() error {
	return ignoringEINTR(func() error { return syscall.Flock(int(l.file.Fd()), syscall.LOCK_SH) })
}

// exclusive fails when another process shares the lock.
func (l *lock) exclusive() error {
	return ignoringEINTR(func() error { return syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) })
}

func (l *lock) close() error { return l.file.Close() }

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}
