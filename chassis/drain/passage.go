package drain

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// passage is a connection that a [Gate] of its own gave out.
type passage struct {
	net.Conn
	gate  *Gate
	wrote atomic.Bool
}

func (p *passage) Write(b []byte) (int, error) {
	p.note()
	return p.Conn.Write(b)
}

// note that the server has written. Looking first keeps the cache line shared.
func (p *passage) note() {
	if !p.wrote.Load() {
		p.wrote.Store(true)
	}
}

func (p *passage) Close() error {
	defer p.gate.forget(p)
	return p.Conn.Close()
}

// NetConn is the connection as the listener gave it.
func (p *passage) NetConn() net.Conn { return p.Conn }

func (p *passage) CloseWrite() error                     { return closeWrite(p.Conn) }
func (p *passage) SyscallConn() (syscall.RawConn, error) { return syscallConn(p.Conn) }
func (p filePassage) ReadFrom(r io.Reader) (n int64, err error) {
	p.note()
	sink, _ := fileSink(p.Conn)
	return sink.ReadFrom(r)
}

// filePassage is a passage that sends files without copying them through the process.
type filePassage struct{ *passage }

// fileSink is c if it sends files without copying them through the process (sendfile(2)), as TCP
// does. The interface cannot be had by one type for all connections: net/http does better than
// the fallback when it is missing.
func fileSink(c net.Conn) (io.ReaderFrom, bool) {
	r, ok := c.(io.ReaderFrom)
	return r, ok
}

func closeWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return fmt.Errorf("drain: close the writing side of a %T: %w", c, errors.ErrUnsupported)
}

func syscallConn(c net.Conn) (syscall.RawConn, error) {
	if s, ok := c.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, fmt.Errorf("drain: descriptor of a %T: %w", c, errors.ErrUnsupported)
}
