package drain

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Gate is a listener whose accepting can end while its server still believes it open. Servers
// take the closing of their listener for the beginning of the end, and lose what they had just
// accepted; behind a gate they never see it.
//
// Nothing is accepted before the first call of Accept, so a process that shares the socket with
// another one can make its gate early. Make one with [NewGate]; close it with [Gate.Close] (a
// server does that when it ends). It is safe for concurrent use.
type Gate struct {
	entry Entry
	// wrap makes of a connection what is counted in open, and what is given to the server.
	wrap func(c net.Conn, adopted bool) (counted, given net.Conn)
	// retrying is told of errors that accepting goes on after.
	retrying func(err error, after time.Duration)
	incoming chan net.Conn
	quiet    chan struct{} // closed: nothing more is accepted
	closed   chan struct{} // closed: Accept is over
	failed   chan struct{} // closed: accepting ended with err
	done     chan struct{} // closed: the accepting goroutine has ended
	err      error

	mu        sync.Mutex
	room      sync.Cond // of mu: there is room, or it is quiet
	l         net.Listener
	accepting bool
	isQuiet   bool
	isClosed  bool
	open      map[net.Conn]netip.Prefix // with the client that each counts for
	clients   map[netip.Prefix]int      // connections of each that has any
}

// NewGate puts a gate before l that lets in what e says.
func NewGate(l net.Listener, e Entry) *Gate {
	g := newGate(e)
	g.l = l
	g.wrap = func(c net.Conn, _ bool) (net.Conn, net.Conn) {
		p := &passage{gate: g, unread: e.Preface != nil}
		p.wire.open(c, e.WriteTimeout)
		if _, ok := fileSink(c); ok {
			return p, filePassage{p}
		}
		return p, p
	}
	return g
}

func newGate(e Entry) *Gate {
	g := &Gate{
		entry:    e,
		incoming: make(chan net.Conn),
		quiet:    make(chan struct{}),
		closed:   make(chan struct{}),
		failed:   make(chan struct{}),
		done:     make(chan struct{}),
		open:     make(map[net.Conn]netip.Prefix),
		clients:  make(map[netip.Prefix]int),
	}
	g.room.L = &g.mu
	return g
}

var errServed = errors.New("drain: Serve was called before: a Server has one listener")

// attach gives a gate that was made without one its listener.
func (g *Gate) attach(l net.Listener) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.l != nil {
		return errServed
	}
	g.l = l
	if g.isQuiet {
		_ = l.Close() // it has ended before it began
	}
	return nil
}

// Accept returns the next connection, accepted or adopted. After Close it returns
// [net.ErrClosed]. What passes (no descriptors left, a network error that belongs to the
// connection that did not come about) is waited out, 5 ms to 1 s at a time; other errors are
// returned. Quiesce alone does not end it.
func (g *Gate) Accept() (net.Conn, error) {
	g.mu.Lock()
	if !g.accepting && !g.isQuiet {
		g.accepting = true
		go g.accept()
	}
	g.mu.Unlock()
	select {
	case c := <-g.incoming:
		return c, nil
	case <-g.failed:
		return nil, g.err
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// accept takes connections from the listener until it is quiet, and then those that are in the
// kernel's queue: they were let in, and closing the listener would reset them.
func (g *Gate) accept() {
	defer close(g.done)
	defer g.lastCall()
	var delay time.Duration
	for g.await() {
		c, err := g.l.Accept()
		if err == nil {
			delay = 0
			if g.deliver(c, false) != nil {
				_ = c.Close() // nobody will take it
			}
			continue
		}
		if g.ending() { // Quiesce woke it before it said so
			return
		}
		if !passing(err) {
			g.err = err
			close(g.failed)
			return
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		if g.retrying != nil {
			g.retrying(err, delay)
		}
		select {
		case <-time.After(delay):
		case <-g.quiet:
			return
		}
	}
}

// deadliner is a listener whose Accept can be ended without closing it.
type deadliner interface{ SetDeadline(t time.Time) error }

const (
	// nextWithin is how long Accept may take to give the next connection of the kernel's queue.
	nextWithin = 3 * time.Millisecond
	// looks is how often in a row it gives none until the queue is taken to be empty, where nobody tells.
	// Accept fails after its deadline even if there is a connection, and a busy machine may be late to
	// call it.
	looks = 3
	// queueMost is how many connections are taken, and queueWithin how long that may take in all: where
	// another process has the socket too, there may always be a next one. A queue holds 4096 on Linux
	// unless net.core.somaxconn says otherwise.
	queueMost   = 4096
	queueWithin = 10 * time.Second
)

func (g *Gate) lastCall() {
	l, ok := g.l.(deadliner)
	select {
	case <-g.quiet:
	default:
		return // accepting failed
	}
	if !ok {
		return
	}
	taken, empty := 0, 0
	for end := time.Now().Add(queueWithin); taken < queueMost && g.lets(); {
		if some, known := queued(g.l); known && !some || !known && empty == looks {
			return
		}
		now := time.Now()
		if now.After(end) || l.SetDeadline(now.Add(nextWithin)) != nil {
			return
		}
		c, err := g.l.Accept()
		switch {
		case err == nil:
			taken, empty = taken+1, 0
			if g.deliver(c, false) != nil {
				_ = c.Close()
			}
		case timedOut(err):
			empty++
		default:
			return
		}
	}
}

// lets says whether a connection would be served that is accepted now. When the gate is closed, those that
// wait are for who else has the socket.
func (g *Gate) lets() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.isClosed && (g.entry.MaxConns <= 0 || len(g.open) < g.entry.MaxConns)
}

// await returns once there is room for another connection; false when none shall be accepted.
func (g *Gate) await() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.entry.MaxConns > 0 && len(g.open) >= g.entry.MaxConns && !g.isQuiet {
		g.room.Wait()
	}
	return !g.isQuiet && !g.isClosed // which comes first when nothing was quiet before
}

func (g *Gate) ending() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isQuiet
}

// passing says whether accepting can be expected to work again after err. accept(2) wants
// errors of the network that lie before the new connection treated like EAGAIN.
func passing(err error) bool {
	var temporary interface{ Temporary() bool }
	if errors.As(err, &temporary) && temporary.Temporary() {
		return true
	}
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM, syscall.EPROTO,
		syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.EHOSTUNREACH,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// deliver wraps c and has the server take it; net.ErrClosed if it no longer takes any.
func (g *Gate) deliver(c net.Conn, adopted bool) error {
	client := g.entry.client(c.RemoteAddr())
	g.mu.Lock()
	full := !adopted && client.IsValid() && g.clients[client] >= g.entry.MaxConnsPerClient
	g.mu.Unlock()
	if full { // and nobody else lets more of them in
		g.entry.refused(Refusal{Peer: c.RemoteAddr(), Reason: ReasonClient})
		return c.Close()
	}
	counted, given := g.wrap(c, adopted)
	g.mu.Lock()
	if g.isClosed {
		g.mu.Unlock()
		return net.ErrClosed
	}
	g.open[counted] = client
	if client.IsValid() {
		g.clients[client]++
	}
	g.mu.Unlock()
	return g.pass(counted, given)
}

// pass waits until the server has taken given, which is counted already.
func (g *Gate) pass(counted, given net.Conn) error {
	select {
	case <-g.closed:
	default:
		select {
		case g.incoming <- given:
			return nil
		case <-g.closed:
		}
	}
	g.forget(counted)
	return net.ErrClosed
}

// replace counts new in the place of old.
func (g *Gate) replace(old, new net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[new] = g.open[old]
	delete(g.open, old)
}

// forget frees the place of a connection. Forgetting twice is once.
func (g *Gate) forget(counted net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	client, ok := g.open[counted]
	if !ok {
		return
	}
	delete(g.open, counted)
	if client.IsValid() {
		if g.clients[client]--; g.clients[client] == 0 {
			delete(g.clients, client)
		}
	}
	g.room.Signal()
}

// Addr is the listener's address.
func (g *Gate) Addr() net.Addr { return g.l.Addr() }

// Adopt has Accept return c, a connection that another process accepted, and blocks until the
// server has taken it. It works while Accept does, after Quiesce as well. After Close it returns
// [net.ErrClosed], and c is still the caller's.
func (g *Gate) Adopt(c net.Conn) error { return g.deliver(c, true) }

// Quiesce closes the listener and returns once everything that was accepted has been delivered
// to Accept's caller, who must therefore go on accepting. Only this process's descriptor is
// closed: another one that has the socket goes on accepting. A listener that made a socket file
// removes it, unless told not to ([net.UnixListener.SetUnlinkOnClose]). It is idempotent.
func (g *Gate) Quiesce() { _ = g.quiesce() }

func (g *Gate) quiesce() error {
	g.mu.Lock()
	first, accepting, l := !g.isQuiet, g.accepting, g.l
	woken := false
	if first {
		if d, ok := l.(deadliner); ok && accepting {
			woken = d.SetDeadline(past) == nil
		}
		g.isQuiet = true
		close(g.quiet)
		g.room.Broadcast()
	}
	g.mu.Unlock()
	var err error
	if first && l != nil && !woken {
		err = l.Close() // nothing else ends Accept
	}
	if accepting {
		<-g.done
	}
	if woken {
		err = l.Close()
	}
	return err
}

// Close quiesces, has Accept return [net.ErrClosed] from now on, and closes the connections that
// nobody has taken yet. Those that were taken are their takers' business. The error is that of
// closing the listener, for the first who closes it.
func (g *Gate) Close() error {
	g.end(func(int) bool { return true })
	return g.quiesce()
}

// end has Accept return [net.ErrClosed] from now on if done says so, which is told how many connections
// are open. One that is being adopted is either among them, or is not adopted any more.
func (g *Gate) end(done func(open int) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !done(len(g.open)) {
		return false
	}
	if !g.isClosed {
		g.isClosed = true
		close(g.closed)
	}
	return true
}

// Conns is how many connections are open.
func (g *Gate) Conns() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Fresh is how many connections are still being set up: the server has not written on them yet, or has
// set a deadline for the handshake and not lifted it, as grpc-go does. GracefulStop closes those on
// which nothing was written and waits for the others, so wait until none is fresh before calling it.
func (g *Gate) Fresh() int { return len(g.fresh()) }

func (g *Gate) fresh() (fresh []*passage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.open {
		if p, ok := c.(*passage); ok && (!p.wrote.Load() || !p.limit().IsZero()) {
			fresh = append(fresh, p)
		}
	}
	return fresh
}

// CloseFresh closes the connections that are still being set up. It is for the end of a server, which
// would be held up by a client that sends nothing. It returns how many there were.
func (g *Gate) CloseFresh() int {
	fresh := g.fresh()
	for _, p := range fresh {
		_ = p.Conn.Close() // its server closes p, when it has seen
	}
	return len(fresh)
}
