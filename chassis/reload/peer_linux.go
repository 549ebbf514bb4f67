package reload

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// peerPID is the process that listens at the other end of c, which must be of this user. That is
// what it was when it began to listen (SO_PEERCRED, unix(7)); told is what it says, and not
// believed.
func peerPID(c *net.UnixConn, told int) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *syscall.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	switch {
	case asked != nil:
		return 0, os.NewSyscallError("getsockopt", asked)
	case int(peer.Uid) != os.Getuid():
		return 0, fmt.Errorf("process %d is of user %d, not of %d", peer.Pid, peer.Uid, os.Getuid())
	case peer.Pid <= 0:
		return 0, fmt.Errorf("process %d, as it says, is in another PID namespace", told)
	}
	return int(peer.Pid), nil
}
