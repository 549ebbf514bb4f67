package lossbench

import (
	"net"
	"sync/atomic"
)

// countingConn counts the requests that an HTTP/2 client puts on the wire of a plain-text connection.
type countingConn struct {
	net.Conn
	headers headerCount
	total   *atomic.Int64 // of all connections of a client
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.total.Add(c.headers.add(p))
	return c.Conn.Write(p)
}

// headerCount finds the HEADERS frames in what an HTTP/2 client writes (RFC 9113, section 4.1): each is a
// request. The zero value is at the beginning of a connection. One goroutine uses it at a time.
type headerCount struct {
	preface int // bytes of the connection preface seen
	header  [9]byte
	n       int // bytes of header seen
	payload int // bytes of the payload still to come
}

const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeaders = 0x1
)

// add takes the next bytes and returns how many HEADERS frames begin in them.
func (h *headerCount) add(p []byte) (frames int64) {
	skip := min(len(http2Preface)-h.preface, len(p))
	h.preface += skip
	for p = p[skip:]; len(p) > 0; {
		if h.payload > 0 {
			n := min(h.payload, len(p))
			h.payload -= n
			p = p[n:]
			continue
		}
		n := copy(h.header[h.n:], p)
		h.n += n
		p = p[n:]
		if h.n < len(h.header) {
			break
		}
		h.n = 0
		h.payload = int(h.header[0])<<16 | int(h.header[1])<<8 | int(h.header[2])
		if h.header[3] == frameHeaders {
			frames++
		}
	}
	return frames
}
