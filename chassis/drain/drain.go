package drain

import (
	"context"
	"syscall"
	"time"
)

const (
	// ackWithin is how long HeadsUp waits for clients to answer.
	ackWithin = 250 * time.Millisecond
	// scanEvery is how often Drain looks at every connection, where that is quick.
	scanEvery = 5 * time.Millisecond
	// scanSeldom is how often at least, where a look at thousands takes long: most of a processor is for
	// what those do that have been told to leave.
	scanSeldom = 100 * time.Millisecond
)

// Leave says how connections leave in [Server.Drain]. The zero Leave closes HTTP/1 connections
// as soon as they are idle.
type Leave struct {
	// Give hands an idle HTTP/1 connection to a successor process and returns nil once the
	// successor has acknowledged it; this process's descriptor is closed then. After an error the
	// connection is served on here and tried again 50 ms later. nil: there is no successor. The
	// argument is what the listener accepted or what was adopted. Give is called by at most 256
	// goroutines at a time; it must not keep or close c. note is what [Server.Adopt] wants to be
	// given over there; nil is not the same as empty: it says that the preface is yet to be read.
	Give func(c syscall.Conn, note []byte) error
	// Min is how long an idle HTTP/1 connection that cannot be given is kept, from its last use
	// or the beginning of the drain, whichever is later: longer than clients keep idle
	// connections, and none of them writes to one that is being closed. 0 or less: not at all.
	// One that the successor did not take is kept until it has not taken it for 1 s, and one that
	// has sent the first bytes of a request 1 s at least. One that is so new that nothing came yet
	// is kept 5 s at least, and a connection of HTTP/2 that never had a stream 1 s, unless Min is 0
	// or less.
	Min time.Duration
}

// order is a Leave that is being carried out.
type order struct {
	Leave
	since time.Time
}

func (o *order) canGive(c *conn) bool { return o.Give != nil && c.movable }

// HeadsUp ends accepting, as [Gate.Quiesce] does, and tells the clients of HTTP/2 connections to
// open their next streams elsewhere, while every stream that they open until they know is still
// served (RFC 9113, 6.8). It returns when all have answered, at once if there are none, and after
// 250 ms or when ctx ends in any case. From then on, handlers of streams may be told to end:
// their clients will not come back here. A connection on which no stream was ever opened is told
// after its first one, or when there is none for 1 s of the drain: its client is about to send a
// request, and may have no other server. Calling it again waits again.
func (s *Server) HeadsUp(ctx context.Context) {
	s.gate.Quiesce()
	s.warned.Store(true)
	for _, c := range s.conns(nil) {
		if c.untold() {
			go c.announce() // a client that does not read blocks it
		}
	}
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	for s.anyUntold() {
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}

// Begin has connections leave from now on as how says when they are done with a request, without
// waiting for any: Drain does that, and goes for the idle ones. It is called after HeadsUp and
// before handlers of streams are told to end: a client that opens its next stream on the same
// connection at the first moment would find itself here again.
func (s *Server) Begin(how Leave) { s.order.Store(&order{Leave: how, since: time.Now()}) }

func (s *Server) anyUntold() bool {
	for _, c := range s.conns(nil) {
		if c.untold() {
			return true
		}
	}
	return false
}

// conns appends the connections that are open to buf.
func (s *Server) conns(buf []*conn) []*conn {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	for c := range s.gate.open {
		buf = append(buf, c.(*conn))
	}
	return buf
}

// Drain lets go of all connections, how says in which way, and returns nil when none is left and
// no handler runs; the server has ended then. Handlers that have hijacked their connections are
// waited for, the connections are theirs. When ctx ends first, Drain returns its error, nothing
// more is given away, and the caller calls Close. It begins with HeadsUp if that was not called.
// One Drain runs at a time.
func (s *Server) Drain(ctx context.Context, how Leave) error {
	o := &order{Leave: how, since: time.Now()}
	if !s.warned.Load() {
		s.HeadsUp(ctx)
	}
	s.order.Store(o)
	defer s.order.Store(nil)
	next := time.NewTimer(0)
	defer next.Stop()
	var open, waiting []*conn // waiting for their turn to be given
	for scan := false; ; {
		now := time.Now()
		if scan {
			open, waiting = s.conns(open[:0]), waiting[:0]
			for _, c := range open {
				if c.proto.Load() == http2 {
					c.release(o, now)
				} else if c.wake(o, now) {
					waiting = append(waiting, c)
				}
			}
			next.Reset(min(max(scanEvery, 4*time.Since(now)), scanSeldom))
		}
		for n := len(waiting); n > 0 && !waiting[n-1].wake(o, now); n-- {
			waiting = waiting[:n-1]
		}
		if s.gate.end(s.empty) {
			_ = s.gate.Close() // the listener is closed already
			return s.http.Close()
		}
		select {
		case <-next.C:
			scan = true
		case <-s.changed:
			scan = false
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// empty says whether nothing is left to wait for when so many connections are open; the server has ended
// then. A connection is hijacked by a handler, which is therefore looked for afterwards.
func (s *Server) empty(open int) bool {
	if open > int(s.hijacked.Load()) || s.handlers.Load() > 0 {
		return false
	}
	s.ended.Store(true)
	return true
}

// Close ends the server and all its connections at once, hijacked ones as well. Those with a
// request under way are counted in [Stats]. Handlers see their contexts end; it does not wait
// for them. After Drain has returned nil it only closes what hijackers left open. The error is
// that of closing the listener.
func (s *Server) Close() error {
	s.ended.Store(true)
	err := s.gate.Close()
	for _, c := range s.conns(nil) {
		switch c.cut() {
		case "http1":
			s.cutHTTP1.Add(1)
		case "h2":
			s.cutH2.Add(1)
		case "hijacked":
			s.cutHijacked.Add(1)
		}
	}
	_ = s.http.Close() // its listener is the gate
	return err
}
