package drain

import (
	"context"
	"io"
	"net"
	"time"
)

// Note is what the [Entry].Preface of the connection that a request came over has returned; empty
// when there is none. ctx is that of a request which a [Server] serves.
func Note(ctx context.Context) []byte {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		return c.note
	}
	return nil
}

// prefaced is a conn whose preface is being read: what is below TLS.
type prefaced struct {
	*conn
	deadline time.Time // for reading, that net/http has set, or what counts from the first byte
}

func (p *prefaced) Read(b []byte) (int, error) {
	n, err := p.wire.Read(b)
	if n > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		patient := p.patient.Load()
		p.arrived(n)
		if patient {
			p.deadline = p.wire.reader.deadline()
		}
		p.clean = false // from now on no other process can go on with it
	}
	return n, err
}

func (p *prefaced) Write(b []byte) (int, error) { return p.wire.Write(b) }

func (p *prefaced) SetDeadline(t time.Time) error {
	_ = p.SetWriteDeadline(t)
	return p.SetReadDeadline(t)
}

func (p *prefaced) SetWriteDeadline(t time.Time) error { return p.wire.SetWriteDeadline(t) }

// SetReadDeadline sets t unless another comes first.
func (p *prefaced) SetReadDeadline(t time.Time) error {
	if ours := p.deadline; !p.patient.Load() && (ours.IsZero() || !t.IsZero() && t.Before(ours)) {
		return p.wire.SetReadDeadline(t)
	}
	return nil
}

// readPreface is done before the first byte of a request, or of TLS, is read.
func (c *conn) readPreface() error {
	p := &prefaced{c, c.wire.reader.deadline()}
	note, err := c.server.entry.Preface(p)
	if err != nil {
		if c.leaving() && timedOut(err) {
			return err // nothing of it was read
		}
		return c.end(ReasonPreface, 0, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note, c.unread = append([]byte{}, note...), false
	c.clean = true
	return c.wire.SetReadDeadline(p.deadline)
}

// end has net/http close c without an answer, because of err.
func (c *conn) end(reason Reason, status int, err error) error {
	c.mu.Lock()
	c.broken = io.EOF
	c.mu.Unlock()
	c.refused(reason, status, err)
	return io.EOF
}

// noted is the address of a connection that knows what its preface said.
type noted struct {
	net.Addr
	passage *passage
}

// AddrNote is what the [Entry].Preface of the connection has returned whose remote address is
// addr, for servers that tell their handlers the address and nothing else of a connection, as
// grpc-go does. It must come from a [Gate]; the note is empty otherwise.
func AddrNote(addr net.Addr) []byte {
	if n, ok := addr.(noted); ok {
		if note := n.passage.said.Load(); note != nil {
			return *note
		}
	}
	return nil
}
