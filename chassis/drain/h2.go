package drain

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pongWithin is how long the answer to the heads-up is waited for; after that, a client is
	// taken to know.
	pongWithin = time.Second
	// askWithin is how long a client that comes during the drain has to open its first stream.
	askWithin = time.Second
	// quietFor is how long a connection that was told has no stream before it is closed.
	quietFor = 50 * time.Millisecond
	// farewell is how long a client has to close a connection that we have closed on our side.
	farewell = time.Second
)

// h2 is what a conn knows of its HTTP/2. The first fields belong to conn.mu.
type h2 struct {
	streams bool // some are open
	acked   bool // the client has answered the heads-up
	preface int  // bytes of the client's preface to come
	in      frames
	quiet   time.Duration // without streams, counted in scans
	over    time.Time     // when our side was closed
	toldAt  time.Time
	came    time.Time // when it was first seen without ever a stream, in the drain

	// due: it may be told. A client that comes during the drain comes with a request; told before
	// that is sent, it would have to look for another server, and there may be none.
	due atomic.Bool

	live live // streams

	// writing is locked over writes: what is ours goes between two frames.
	writing sync.Mutex
	out     frames
	told    bool // the heads-up is out
	held    held
}

// read follows what the client sends; true when that answers the heads-up, or makes it due.
// conn.mu is held.
func (h *h2) read(p []byte) bool {
	acked, due := h.acked, h.due.Load()
	k := min(h.preface, len(p))
	h.preface -= k
	p = p[k:]
	for len(p) > 0 {
		n, ended := h.in.next(p)
		p = p[n:]
		if ended && h.in.acknowledged() {
			h.acked = true
		}
		if ended && !due && h.in.header[3] == typeHeaders {
			h.due.Store(true)
		}
	}
	return h.acked != acked || h.due.Load() != due
}

// writeFrames writes p, and the heads-up at the first place for it if it is due.
func (c *conn) writeFrames(p []byte) (int, error) {
	h := &c.h2
	h.writing.Lock()
	defer h.writing.Unlock()
	if c.hold(p) {
		return len(p), nil
	}
	if len(h.held.bytes) > 0 {
		return c.putHeld(p)
	}
	return c.put(p)
}

// put writes p, with nothing held before it. h2.writing is locked.
func (c *conn) put(p []byte) (int, error) {
	h := &c.h2
	written := 0
	for len(p) > 0 {
		part := p
		if c.due() && !h.told {
			probe := h.out
			n, _ := probe.next(p)
			part = p[:n]
		}
		n, err := c.stream.Write(part)
		for sent := p[:n]; len(sent) > 0; {
			k, ended := h.out.next(sent)
			sent = sent[k:]
			if !ended {
				continue
			}
			if reason, status, err := h.out.refusal(); reason != "" {
				c.refused(reason, status, err)
			}
		}
		p = p[n:]
		written += n
		if err == nil {
			err = c.tell()
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// due says whether the client is to be told, if it was not.
func (c *conn) due() bool { return c.server.warned.Load() && c.h2.due.Load() }

// tell writes the heads-up if it is due and this is a place for it. h2.writing is locked.
func (c *conn) tell() error {
	h := &c.h2
	if h.told || !c.due() || !h.out.between() {
		return nil
	}
	h.told = true
	if _, err := c.stream.Write([]byte(headsUp)); err != nil {
		_ = c.raw.Close() // half of it may be out
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.toldAt = time.Now()
	return nil
}

// announce has the client told if no write is under way, which would do it.
func (c *conn) announce() {
	c.h2.writing.Lock()
	defer c.h2.writing.Unlock()
	_ = c.tell() // net/http finds out
}

// untold says whether c speaks HTTP/2 and its client is yet to answer the heads-up.
func (c *conn) untold() bool {
	if c.proto.Load() != http2 || !c.h2.due.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.h2.acked && !c.closed
}

// release ends c once its client knows and has no stream. Clients mostly do that themselves.
// Silence is counted in scans rather than read off the clock: on a machine that is too busy to
// run the connection's goroutines, the scans are late as well.
func (c *conn) release(o *order, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.h2
	if !h.due.Load() {
		if h.came.IsZero() {
			h.came = now
		}
		if o.Min <= 0 || now.Sub(h.came) >= c.server.ask {
			h.due.Store(true)
			go c.announce()
		}
	}
	if c.closed || h.streams || h.toldAt.IsZero() || !h.acked && now.Sub(h.toldAt) < pongWithin {
		h.quiet = 0
		return
	}
	h.quiet += scanEvery
	switch {
	case h.quiet < quietFor:
	case h.over.IsZero():
		h.over = now
		go c.bid()
	case now.Sub(h.over) >= farewell:
		c.closed = true
		_ = c.raw.Close()
		c.gone()
	}
}

// bid closes our side.
func (c *conn) bid() {
	c.h2.writing.Lock()
	defer c.h2.writing.Unlock()
	_ = c.CloseWrite()
}
