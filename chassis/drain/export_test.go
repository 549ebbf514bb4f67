package drain

import (
	"net"
	"net/http"
	"time"
)

const (
	HeadsUpFrames = headsUp
	EmptyRead     = emptyRead
	HoldUp        = holdUp
	HoldFor       = holdFor
	GiveAtOnce    = giveAtOnce
	AckWithin     = ackWithin
)

// SetFresh sets the least that s, which does not drain yet, keeps connections on which nothing has come.
func SetFresh(s *Server, d time.Duration) { s.fresh = d }

// SetAsk sets how long clients of s, which does not drain yet, have for their first stream.
func SetAsk(s *Server, d time.Duration) { s.ask = d }

// Wrap is raw as net/http gets it.
func Wrap(raw net.Conn) net.Conn {
	return New(&http.Server{}, Options{H2C: true}).wrap(raw, false).given()
}

// Frames follows p, cut as chunk says, and returns where frames end and whether an answer to our
// PING was among them.
func Frames(p []byte, chunk func() int) (ends []int, acknowledged bool) {
	var f frames
	for at := 0; at < len(p); {
		q := p[at:min(at+max(chunk(), 1), len(p))]
		for len(q) > 0 {
			n, ended := f.next(q)
			q = q[n:]
			at += n
			if ended {
				ends = append(ends, at)
				acknowledged = acknowledged || f.acknowledged()
			}
		}
	}
	return ends, acknowledged
}

// Requests follows p, cut as chunk says, and returns where requests of HTTP/1 end.
func Requests(p []byte, chunk func() int) (ends []int) {
	var f framing
	for at := 0; at < len(p); {
		q := p[at:min(at+max(chunk(), 1), len(p))]
		for len(q) > 0 {
			n, ended := f.next(q)
			q = q[n:]
			at += n
			if ended {
				ends = append(ends, at)
			}
		}
	}
	return ends
}

// WriteFrames writes chunks on an HTTP/2 connection and lets the heads-up be due before the one
// with the index due. It returns what is on the wire then.
func WriteFrames(chunks [][]byte, due int) ([]byte, error) {
	var wire recorder
	c := &conn{server: &Server{entry: new(Entry)}, raw: &wire, stream: &wire}
	c.proto.Store(http2)
	c.h2.due.Store(true)
	for i, p := range chunks {
		if i == due {
			c.server.warned.Store(true)
			c.announce()
		}
		if n, err := c.Write(p); err != nil || n != len(p) {
			return wire.b, err
		}
	}
	return wire.b, nil
}

type recorder struct {
	net.Conn
	b []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.b = append(r.b, p...)
	return len(p), nil
}

func (r *recorder) SetReadDeadline(time.Time) error { return nil }

// ScanEvery is how often a drain looks at every connection.
const ScanEvery = scanEvery

// Draining says whether s looks for connections that are idle.
func (s *Server) Draining() bool { return s.order.Load() != nil }

// Wire is raw with its bounds, as crypto/tls gets it.
func Wire(raw net.Conn, within time.Duration) net.Conn {
	w := new(wire)
	w.open(raw, within)
	return w
}

// Waiting is how many connections of s wait for a request.
func Waiting(s *Server) (n int) {
	for _, c := range s.conns(nil) {
		c.mu.Lock()
		if c.reading && c.clean && !c.aside {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// Handlers is how many handlers of s run.
func Handlers(s *Server) int { return int(s.handlers.Load()) }
