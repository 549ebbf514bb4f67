package drain

import "context"

// Traffic is what one request of HTTP/1 has moved over the network, in bytes, the header and what TLS
// adds among them: %I and %O of httpd's mod_logio. The first request of a connection has the handshake
// of TLS and the PROXY header as well.
type Traffic struct {
	// In is what came for the request. It is exact in plain text, whatever a client sends ahead of
	// the answer. With TLS, a request that comes in one record with the end of the one before
	// counts for that, and may have 0 or less.
	In int64
	// Out is what was written for the request. It is exact.
	Out int64
}

// WhenSent has f called once, when the answer to the request of ctx is written, or never will be:
// only then is it known what the request moved. net/http writes the end of most answers after the
// handler. f is called by the goroutine that serves the connection before it reads the next request,
// or that which closes it, and within WhenSent if the connection is hijacked or closed already. A
// server that has drained has called all.
//
// It is for the last that a handler does. False says that f is not called, because nobody counts:
// with HTTP/2, where requests share everything, without Entry.Measure, or if ctx is not that of a
// request which a [Server] serves.
func WhenSent(ctx context.Context, f func(Traffic)) bool {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok || c.meter == nil || c.proto.Load() == http2 {
		return false
	}
	c.mu.Lock()
	if !c.closed && !c.hijacked {
		c.meter.sent = f
		c.mu.Unlock()
		return true
	}
	t := c.meter.traffic(c.wire.out.Load())
	c.mu.Unlock()
	f(t)
	return true
}

// traffic is that of the request under way, as far as it has come.
func (c *conn) traffic() Traffic {
	if c.meter == nil {
		return Traffic{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.meter.traffic(c.wire.out.Load())
}

// settle is called when the answer of HTTP/1's request under way is written, or never will be.
func (c *conn) settle() {
	if c.meter == nil {
		return
	}
	c.mu.Lock()
	f := c.meter.sent
	if f == nil && c.closed { // its handler may be about to ask
		c.mu.Unlock()
		return
	}
	t := c.meter.traffic(c.wire.out.Load())
	c.meter.next(c.wire.out.Load())
	c.mu.Unlock()
	if f != nil {
		f(t)
	}
}

// A meter tells what belongs to which request of an HTTP/1 connection: reads do not end where
// requests do. conn.mu is held.
type meter struct {
	framing framing
	seen    int64 // bytes that came by the network, as far as they are in what follows
	under   int64 // of the request that is being read, those that came
	// ahead has the bytes of requests that are read to their end and not answered. There are no
	// more than fit into net/http's buffer, of 4096 bytes, and the one before them.
	ahead []int64
	out   int64 // bytes written when the last answer was
	whole bool  // all that comes is of one request: the connection is hijacked

	sent func(Traffic)
}

// received is told of p, which a read gave, and of all bytes that came by the network until then.
func (m *meter) received(p []byte, in int64) {
	m.under += in - m.seen - int64(len(p)) // what TLS adds; below 0 if p is the rest of a record
	m.seen = in
	if m.whole {
		m.under += int64(len(p))
		return
	}
	for len(p) > 0 {
		n, ended := m.framing.next(p)
		m.under += int64(n)
		p = p[n:]
		if ended {
			m.ahead = append(m.ahead, m.under)
			m.under = 0
		}
	}
}

// hijacked is told that what comes from now on is none of net/http's. What has come already is the
// handler's as well.
func (m *meter) hijacked() {
	m.whole = true
	for _, n := range m.ahead {
		m.under += n
	}
	m.ahead = nil
}

// traffic is that of the oldest request without an answer, when out bytes were written in all.
func (m *meter) traffic(out int64) Traffic {
	in := m.under
	if len(m.ahead) > 0 {
		in = m.ahead[0]
	}
	return Traffic{In: in, Out: out - m.out}
}

// next goes on to the next request.
func (m *meter) next(out int64) {
	m.out, m.sent = out, nil
	if len(m.ahead) > 0 {
		m.ahead = m.ahead[:copy(m.ahead, m.ahead[1:])]
		return
	}
	// net/http saw the end of it elsewhere.
	m.under, m.framing = 0, framing{}
}
