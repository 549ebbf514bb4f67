package drain

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// passage is a connection that a [Gate] of its own gave out.
type passage struct {
	wire
	gate   *Gate
	wrote  atomic.Bool
	unread bool // the preface is yet to be read; of who reads
	broken error
	said   atomic.Pointer[[]byte] // by the preface
	until  atomic.Pointer[time.Time]
}

func (p *passage) Read(b []byte) (int, error) {
	if p.unread {
		p.unread = false
		p.wire.reader.renew() // the deadline that was set for the first read is the preface's as well
		note, err := p.gate.entry.Preface(p.Conn)
		if err != nil {
			p.broken = fmt.Errorf("drain: preface: %w", err)
			p.gate.entry.refused(Refusal{Peer: p.Conn.RemoteAddr(), Reason: ReasonPreface, Err: err})
		}
		p.said.Store(&note)
		p.wire.reader.renew()
	}
	if p.broken != nil {
		return 0, p.broken
	}
	return p.wire.Read(b)
}

// RemoteAddr is that of the connection. It carries the note.
func (p *passage) RemoteAddr() net.Addr {
	if p.gate.entry.Preface == nil {
		return p.Conn.RemoteAddr()
	}
	return noted{p.Conn.RemoteAddr(), p}
}

// limit is the deadline that the server has set for reading and writing, the zero Time for none.
func (p *passage) limit() time.Time {
	if t := p.until.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

func (p *passage) SetDeadline(t time.Time) error {
	p.until.Store(&t)
	return p.wire.SetDeadline(t)
}

func (p *passage) Write(b []byte) (int, error) {
	p.note()
	return p.wire.Write(b)
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

func (p *passage) SyscallConn() (syscall.RawConn, error) { return syscallConn(p.Conn) }
func (p filePassage) ReadFrom(r io.Reader) (n int64, err error) {
	p.note()
	return p.wire.sendFile(r)
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

func syscallConn(c any) (syscall.RawConn, error) {
	if s, ok := c.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, fmt.Errorf("drain: descriptor of a %T: %w", c, errors.ErrUnsupported)
}
