package drain

import "time"

const (
	// holdFor is how long the headers of an answer wait for its body at most. It comes at once, unless
	// the client gives it no room.
	holdFor = time.Millisecond
	// holdMost is how many bytes wait at most.
	holdMost = 1 << 10
	// bufferSize leaves room for what net/http writes at a time of answers that are not large.
	bufferSize = holdMost + 4<<10

	flagEndHeaders = 4 // and none of the others (RFC 9113, 6.2)

	// The first byte of the headers of an answer that is no 1xx, as net/http writes those with a
	// status of the static table (RFC 7541, 6.1 and appendix A): 200, 204, 206, 304, 400, 404 or 500.
	status200, status500 = 0x88, 0x8e
)

// held is what waits to be written with what comes next. net/http writes the headers of an answer, and its
// body when the handler has heard of that, so that each of the two takes a record of TLS, a write and a
// packet, and wakes the client. Held back, the headers go with the body.
//
// Where a handler flushes headers by itself, they are not held.
type held struct {
	bytes []byte      // of a buffer, nil without
	timer *time.Timer // lets go of them
}

type buffer [bufferSize]byte

// hold keeps p for later, if that is good for it. h2.writing is locked.
func (c *conn) hold(p []byte) bool {
	h := &c.h2
	// net/http tells a handler that it is flushed when it is about to be.
	asked := h.live.flushing.Load() > 0 || h.live.flushed.Load() && h.live.flushed.Swap(false)
	if asked || len(h.held.bytes)+len(p) > holdMost || c.wire.within <= 0 || !h.out.between() || !opens(p) || c.due() {
		return false
	}
	if h.held.bytes == nil {
		h.held.bytes = c.server.buffers.Get().(*buffer)[:0]
	}
	h.held.bytes = append(h.held.bytes, p...)
	if h.held.timer == nil {
		h.held.timer = time.AfterFunc(holdFor, c.letGo)
	} else {
		h.held.timer.Reset(holdFor)
	}
	return true
}

// putHeld writes what is held, of which there is something, and p behind it. h2.writing is locked.
func (c *conn) putHeld(p []byte) (int, error) {
	h := &c.h2.held
	h.timer.Stop()
	bytes := h.bytes
	h.bytes = nil
	defer c.server.buffers.Put((*buffer)(bytes[:bufferSize]))
	if len(bytes)+len(p) > bufferSize {
		if _, err := c.put(bytes); err != nil {
			return 0, err
		}
		return c.put(p)
	}
	n, err := c.put(append(bytes, p...))
	return max(0, n-len(bytes)), err
}

// letGo writes what has waited long enough.
func (c *conn) letGo() {
	c.h2.writing.Lock()
	defer c.h2.writing.Unlock()
	if len(c.h2.held.bytes) == 0 {
		return
	}
	if _, err := c.putHeld(nil); err != nil {
		_ = c.raw.Close() // net/http was told that it is out
	}
}

// opens says whether p is frames of which the last begins an answer with a body.
func opens(p []byte) bool {
	for len(p) > headerLength {
		n := headerLength + (int(p[0])<<16 | int(p[1])<<8 | int(p[2]))
		if len(p) == n {
			return p[3] == typeHeaders && p[4] == flagEndHeaders && p[headerLength] >= status200 && p[headerLength] <= status500
		}
		p = p[min(n, len(p)):]
	}
	return false
}
