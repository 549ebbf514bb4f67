package logfile

import (
	"os"
	"syscall"
)

// allocate keeps space behind the end of a file, if there is some and the file system can.
func allocate(f *os.File, at, size int64) {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE, fallocate(2)
	conn, err := f.SyscallConn()
	if err == nil {
		_ = conn.Control(func(fd uintptr) { _ = syscall.Fallocate(int(fd), keepSize, at, size) })
	}
}
