package systemd

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// supported says whether the service manager can be systemd.
const supported = true

// monotonic is the time since boot by CLOCK_MONOTONIC, which the time package has no way to tell.
func monotonic() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()), err
}

// sendmsg sends a datagram and the descriptors that go with it; it is not done when the receiver's
// queue is full.
func sendmsg(fd int, message string, descriptors []int) (done bool, err error) {
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	err = unix.Sendmsg(fd, []byte(message), rights, nil, unix.MSG_NOSIGNAL)
	if err == unix.EAGAIN {
		return false, nil
	}
	return true, os.NewSyscallError("sendmsg", err)
}

func closeOnExec(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
	return err
}
