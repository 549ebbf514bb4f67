package chassis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
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
		return " (another process listens there)"
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

// LimitConns returns l with at most n connections open at a time; more wait in the operating
// system's queue until one is closed. n of 0 or less is no limit. Connections over TCP keep
// what makes sending files cheap.
func LimitConns(l net.Listener, n int) net.Listener {
	if n <= 0 {
		return l
	}
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	slots  chan struct{} // holds one entry per open connection
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	give := sync.OnceFunc(func() { <-l.slots })
	if tcp, ok := c.(*net.TCPConn); ok {
		return &limitedTCP{tcp, give}, nil
	}
	return &limitedConn{c, give}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	give func()
}

func (c *limitedConn) Close() error {
	defer c.give()
	return c.Conn.Close()
}

type limitedTCP struct {
	*net.TCPConn
	give func()
}

func (c *limitedTCP) Close() error {
	defer c.give()
	return c.TCPConn.Close()
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
