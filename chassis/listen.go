package chassis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// bind opens the listener called name at addr.
func (w *World) bind(ctx context.Context, name, addr string) (net.Listener, error) {
	network, address, err := splitAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", name, err)
	}
	listen := w.Listen
	if listen == nil {
		listen = listenSocket
	}
	l, err := listen(ctx, name, network, address)
	if err == nil {
		return l, nil
	}
	return nil, fmt.Errorf("listener %q: cannot listen on %s: %w%s", name, addr, reason(err), hint(err, network))
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
		return " (another process listens there)"
	case errors.Is(err, syscall.EACCES) && network == "tcp":
		return " (ports below 1024 need a privilege)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (no interface of this machine has that address)"
	case errors.Is(err, fs.ErrNotExist) && network == "unix":
		return " (the directory does not exist)"
	}
	return ""
}

func listenSocket(ctx context.Context, _, network, address string) (net.Listener, error) {
	if network == "unix" {
		if err := removeStale(address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	if err == nil && network == "unix" {
		// The admin listener may be one: only the owner and the group may connect.
		if err := os.Chmod(address, 0o660); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, err
}

// removeStale removes a socket file that a dead process left behind: one that nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil // nothing there, or something that listening will complain of
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(syscall.EADDRINUSE, c.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return err
}

// Load reads the key pair; nil when none is named. protos are offered by ALPN, the preferred
// first. TLS 1.2 is the oldest version spoken (RFC 9325).
func (c TLSConfig) Load(protos ...string) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.Cert, c.Key, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: protos}, nil
}
