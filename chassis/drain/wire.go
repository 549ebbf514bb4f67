package drain

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// leastRate is how many bytes a second a client must take on average of what is written to it,
// when it takes no answer at once: a slow modem of the last century does ten times that.
const leastRate = 240

// wire is a connection as the listener gave it, below TLS, on which a write that the peer does not
// read ends in time, and which counts. The zero within is no bound.
//
// To look at the clock and set a deadline for each write would cost more than all else that this
// package does for a request. So a deadline once set is left to pass. A write that it ends though
// it did not have its time is taken up again with a new one. That gives a peer between one and two
// times within.
type wire struct {
	net.Conn
	reader reader
	within time.Duration // how long the peer may take nothing, or too little, of a write
	in     atomic.Int64  // bytes read
	out    atomic.Int64  // bytes written

	armed   atomic.Bool // a deadline for writing is set, or has passed
	foreign atomic.Bool // it is not ours
}

// open makes w the wire of c.
func (w *wire) open(c net.Conn, within time.Duration) {
	w.Conn, w.within = c, within
	w.reader.conn, w.reader.epoch = c, time.Now()
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.reader.Read(p)
	w.in.Add(int64(n))
	return n, err
}

// Write writes p, and goes on as long as the peer takes enough of it.
func (w *wire) Write(p []byte) (int, error) {
	whole := w.ready()
	for written := 0; ; {
		n, err := w.Conn.Write(p[written:])
		written += n
		w.out.Add(int64(n))
		if err == nil || !w.again(int64(n), whole, err) {
			return written, err
		}
		whole = true
	}
}

// ready is called before a write; whether it has a whole deadline before it.
func (w *wire) ready() bool {
	if w.within <= 0 || w.armed.Load() {
		return false
	}
	w.arm()
	return true
}

func (w *wire) arm() {
	w.armed.Store(true)
	_ = w.Conn.SetWriteDeadline(time.Now().Add(w.within))
}

// again says whether to go on with a write that has ended with err after n bytes, before which
// there was a whole deadline or only the rest of one.
func (w *wire) again(n int64, whole bool, err error) bool {
	if w.within <= 0 || w.foreign.Load() || !timedOut(err) {
		return false
	}
	if whole && n < max(1, int64(w.within.Seconds()*leastRate)) {
		// crypto/tls would give it 5 s more for its goodbye, and grpc-go would wait until a read
		// fails as well.
		_ = w.Conn.Close()
		return false
	}
	w.arm()
	return true
}

// SetWriteDeadline sets a deadline in the place of ours, which the zero Time brings back.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && !w.foreign.Load() {
		return nil // net/http does it after each request
	}
	w.foreign.Store(!t.IsZero())
	return w.restart(t)
}

// SetReadDeadline sets when reads end, the one under way as well.
func (w *wire) SetReadDeadline(t time.Time) error { return w.reader.SetReadDeadline(t) }

// SetDeadline sets both, as the two others do.
func (w *wire) SetDeadline(t time.Time) error {
	return errors.Join(w.SetWriteDeadline(t), w.SetReadDeadline(t))
}

// restart sets a deadline that is none of ours.
func (w *wire) restart(t time.Time) error {
	w.armed.Store(!t.IsZero())
	return w.Conn.SetWriteDeadline(t)
}

// CloseWrite closes our side.
func (w *wire) CloseWrite() error { return closeWrite(w.Conn) }

// file is what [os.File] is to package io, which hides its type.
type file interface {
	io.ReadSeeker
	syscall.Conn
}

// sendFile writes what r has, without copying it through the process if r is a file or a part of
// one. Package net does so with other sockets as well, but loses bytes when a write that took too
// long has to be taken up again.
func (w *wire) sendFile(r io.Reader) (int64, error) {
	source := r
	part, isPart := r.(*io.LimitedReader)
	if isPart {
		source = part.R
	}
	f, isFile := source.(file)
	sink, canSend := fileSink(w.Conn)
	if !isFile || !canSend {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil { // a pipe
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	most := int64(0)
	if isPart {
		most = part.N
	}
	whole := w.ready()
	for written := int64(0); ; {
		n, err := sink.ReadFrom(r)
		written += n
		w.out.Add(n)
		if err == nil || !w.again(n, whole, err) {
			return written, err
		}
		whole = true
		// Where the system cannot send it, more of it was read than written.
		if _, err := f.Seek(start+written, io.SeekStart); err != nil {
			return written, err
		}
		if isPart {
			part.N = most - written
		}
	}
}
