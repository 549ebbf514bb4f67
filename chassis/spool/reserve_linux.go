package spool

import (
	"errors"
	"os"
	"syscall"
)

// allocate takes n bytes of the disk for a file, as fallocate(2) does, which writes nothing.
func allocate(f *os.File, n int64) error {
	err := ignoringEINTR(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, n) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return allocateZeros(f, n)
	}
	return err
}
