package chassis

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// bind opens a listener at addr.
func (w *World) bind(ctx context.Context, name, addr string) (net.Listener, error) {
	network, address, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	listen := w.Listen
	if listen == nil {
		listen = listenSocket
	}
	l, err := listen(ctx, name, network, address)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil && w.Listen != nil {
			addr = op.Addr.String() // the world may listen elsewhere
		}
		return nil, fmt.Errorf("cannot listen on %s: %w%s", addr, reason(err), hint(err, network))
	}
	return l, nil
}

// reason is the innermost cause, without the operation and the address that the caller names.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

func hint(err error, network string) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another process listens there, or another listener of this service)"
	case errors.Is(err, syscall.EACCES) && network == "tcp":
		return " (ports below 1024 need a privilege)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (no interface of this machine has that address)"
	case errors.Is(err, fs.ErrNotExist) && network == "unix":
		return " (the directory does not exist)"
	case errors.Is(err, syscall.EINVAL) && network == "unix":
		return " (the path of a socket has at most about 100 characters)"
	}
	return ""
}

func listenSocket(ctx context.Context, _, network, address string) (net.Listener, error) {
	if network == "unix" {
		if err := removeStale(ctx, address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	if err == nil && network == "unix" {
		// Only the owner and the group may connect: there is no other guard.
		if err := os.Chmod(address, 0o660); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, err
}

// removeStale removes a socket file that a dead process left behind: one that nobody answers.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil // nothing there, or something that listening will complain of
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(syscall.EADDRINUSE, c.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}
