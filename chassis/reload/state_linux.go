package reload

import (
	"os"

	"golang.org/x/sys/unix"
)

// stateFile holds b in a file without a name.
func stateFile(b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("supervisor", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return fill(os.NewFile(uintptr(fd), "supervisor"), b)
}
