// Package port finds ports of this machine for programs that cannot be handed a listener, and have to be
// told where to listen.
//
// A port that the system chose, and that was closed again for a program to take, may be gone until the
// program listens: the system gives such ports to outgoing connections too, of which tests and benchmarks
// make thousands a second. These come from below the range that Linux, Windows and macOS use for that
// (net.ipv4.ip_local_port_range is 32768 to 60999), so that only who looks for one here at the same
// moment can get in the way.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	least, most = 20_000, 32_767
	// tries is how many ports are looked at for each that is wanted.
	tries = 100
)

// Addrs returns n different addresses on 127.0.0.1 whose TCP ports are free, HOST:PORT. It is safe for
// concurrent use. The error says that none was found.
func Addrs(n int) ([]string, error) {
	addrs, err := addrs(n, func() int { return least + rand.IntN(most-least+1) })
	if err != nil {
		return nil, fmt.Errorf("find a free port between %d and %d: %w", least, most, err)
	}
	return addrs, nil
}

// addrs takes ports from next.
func addrs(n int, next func() int) (addrs []string, err error) {
	var listeners []net.Listener // all at a time, so that no port comes twice
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	var taken error
	for range tries * n {
		if len(addrs) == n {
			break
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(next())))
		if err != nil {
			taken = err
			continue
		}
		listeners, addrs = append(listeners, l), append(addrs, l.Addr().String())
	}
	if len(addrs) < n {
		return nil, taken
	}
	return addrs, nil
}
