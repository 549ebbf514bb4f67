package drain

import (
	"net"
	"syscall"
)

// queued says whether the kernel has a connection that l can accept. known is false where that cannot be
// told.
func queued(l net.Listener) (some, known bool) {
	raw, err := syscallConn(l)
	if err != nil {
		return false, false
	}
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false, false
	}
	defer syscall.Close(poll)
	ready := 0
	if failed := raw.Control(func(fd uintptr) {
		if err = syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLIN}); err == nil {
			ready, err = syscall.EpollWait(poll, make([]syscall.EpollEvent, 1), 0)
		}
	}); failed != nil || err != nil {
		return false, false
	}
	return ready > 0, true
}
