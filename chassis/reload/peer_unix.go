//go:build unix && !linux

package reload

import (
	"fmt"
	"net"
)

// peerPID is the process at the other end of c, as it says itself: systems differ in how to ask for
// it, and only this user can write in the run directory.
func peerPID(_ *net.UnixConn, told int) (int, error) {
	if told <= 0 {
		return 0, fmt.Errorf("it says that it is process %d", told)
	}
	return told, nil
}
