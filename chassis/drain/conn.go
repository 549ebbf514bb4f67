package drain

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// emptyRead is how long a read net/http asks for when it waits for the next request and has
	// no byte of it: its bufio.Reader has 4096, and asks for what it has not filled. Any other
	// length means that it keeps a beginning, which could not be handed over. A test pins it.
	emptyRead = 4096
	// begins is which deadline for reading, after an answer, net/http sets when it has bytes of the next
	// request: they may have come with the one before, so that nothing is read for them. The first is for
	// the wait. A test pins it.
	begins = 2
	// lingerFor is how long a connection that is closed in a drain goes on being read: closing
	// with unread bytes sends a reset, which can overtake the answer. net/http has the same.
	lingerFor = 500 * time.Millisecond
	// retryAfter is how long a connection that could not be given is let alone.
	retryAfter = 50 * time.Millisecond
	// giveAtOnce is how many connections are being given at a time. The successor has a few seconds for each,
	// and takes them one by one: of thousands, the last would wait too long for one that is short of processors.
	// Those that wait for their turn are served meanwhile.
	giveAtOnce = 256
	// holdUp is the least that a connection is kept which can be given, only not yet: the
	// successor did not take it, or the first bytes of a request are here.
	holdUp = time.Second
	// freshFor is the least that a connection is kept on which nothing has come yet: its client
	// did not open it to leave it idle, and may be at its TLS handshake. net/http's Shutdown has
	// the same.
	freshFor = 5 * time.Second
)

// The protocol that a connection speaks, by its first bytes.
const (
	undecided = iota
	http1
	http2
)

// What becomes of an idle HTTP/1 connection.
const (
	stay = iota
	give
	retire // close it
)

var past = time.Unix(1, 0)

// errLeaves has net/http let go of a connection: it closes silently what times out.
var errLeaves error = leaves{}

// errNotNegotiated has a connection closed without an answer.
var errNotNegotiated = errors.New("what is spoken is not what was negotiated by ALPN")

type leaves struct{}

func (leaves) Error() string   { return "drain: the connection leaves" }
func (leaves) Timeout() bool   { return true }
func (leaves) Temporary() bool { return true }

// conn is a server's side of a connection as net/http sees it: plain text, always. It knows when
// it is between two requests, and can then leave the process:
//
//	          bytes read                     Idle hook
//	clean ───────────────▶ request under way ──────────▶ clean
//	  │ in Read, or about to be, and the drain wants it
//	  ▼
//	fate give or retire ── Read returns errLeaves ──▶ net/http calls Close ──▶ given, or closed
//	                                                         └ not taken ──▶ a new conn, clean
//
// HTTP/2 goes its own way (h2.go).
type conn struct {
	server *Server
	raw    net.Conn
	wire   wire      // raw, with its bounds
	tls    *tls.Conn // nil: plain text
	stream net.Conn  // tls if there is one, or what Entry.Inside made of it; otherwise wire
	// movable: another process can go on with it.
	movable bool
	proto   atomic.Int32
	steps   atomic.Int32         // how often a deadline for reading was set since it was idle
	patient atomic.Bool          // adopted, and nothing read: the idle timeout counts, not the header timeout
	ctx     context.Context      // of the connection; set before it is read from
	secured *tls.ConnectionState // set by the handshake, in the first Read
	// unread: the preface is to be read before anything else. note is what it gave, and not nil
	// once there is nothing of it to be read.
	unread bool
	note   []byte

	// What belongs to HTTP/1's request under way is the business of the goroutine that serves c.
	handled bool   // its handler has been called
	head    []byte // what the read that it began with gave, in net/http's own buffer; nil: it is not known
	whole   bool   // there was no other read for it yet
	line    []byte // a copy of the beginning of head, if more had to be read

	mu       sync.Mutex
	clean    bool // no byte of a request has been read
	begun    bool // some byte has been read, ever
	empty    bool // nothing is kept in net/http's buffer; while reading
	reading  bool
	aside    bool // the read under way is net/http's beside a handler, which looks whether the client leaves
	woken    bool // the drain has ended the read under way
	hijacked bool
	giving   bool // Close is giving it away
	closed   bool
	fate     int
	sniffed  int          // bytes of greeting seen
	broken   error        // what every Read returns
	taken    func() error // to be called before anything is read; nil when it was, or need not be
	disowned bool         // it is another process's
	order    *order       // under which fate was decided
	since    time.Time    // when it became idle, if that was during a drain
	late     bool         // the last read took too long
	unwanted time.Time    // when the successor did not take it, for the first time
	hopeless bool         // it has not taken it for holdUp
	retry    time.Time    // when it may be tried again to give it away
	meter    *meter       // nil: nobody wants to know what requests move

	h2 h2
}

// fileConn is a conn that sends files without copying them through the process.
type fileConn struct{ *conn }

func (c fileConn) ReadFrom(r io.Reader) (int64, error) { return c.wire.sendFile(r) }

// own finds the conn in what net/http hands to hooks.
func own(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case fileConn:
		return c.conn
	}
	return nil
}

// wrap makes a conn of raw.
func (s *Server) wrap(raw net.Conn, adopted bool) *conn {
	c := &conn{server: s, clean: true}
	c.steps.Store(math.MinInt32) // never idle yet
	if p, ok := raw.(promised); ok {
		raw, c.note, c.taken = p.Conn, p.note, p.taken
	}
	c.raw = raw
	c.wire.open(raw, s.entry.WriteTimeout)
	if s.entry.Measure {
		c.meter = new(meter)
	}
	c.stream = &c.wire
	if s.entry.Preface == nil && c.note == nil {
		c.note = []byte{}
	}
	c.unread = c.note == nil
	if s.tls != nil {
		c.tls = tls.Server(&c.wire, s.tls)
		c.stream = c.tls
		if s.entry.Inside != nil {
			c.stream = s.entry.Inside(c.tls)
		}
	} else {
		_, c.movable = raw.(syscall.Conn)
	}
	if !s.speaksH2 {
		c.proto.Store(http1)
	}
	if adopted {
		c.patient.Store(true)
		_ = c.wire.SetReadDeadline(after(positive(s.http.IdleTimeout, s.http.ReadTimeout)))
	}
	return c
}

// promised is an adopted connection on its way to the server.
type promised struct {
	net.Conn
	note  []byte
	taken func() error
}

// given is c as net/http gets it.
func (c *conn) given() net.Conn {
	if c.tls == nil {
		if _, ok := fileSink(c.raw); ok {
			return fileConn{c}
		}
	}
	return c
}

// positive is a timeout of net/http: the first that is set counts, and not if it is negative.
func positive(timeouts ...time.Duration) time.Duration {
	for _, d := range timeouts {
		if d != 0 {
			return max(d, 0)
		}
	}
	return 0
}

// after is the deadline d from now, none for 0.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

func (c *conn) LocalAddr() net.Addr  { return c.raw.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// NetConn is the connection as the listener gave it.
func (c *conn) NetConn() net.Conn { return c.raw }

func (c *conn) SyscallConn() (syscall.RawConn, error) { return syscallConn(c.raw) }

// CloseWrite closes our side. crypto/tls says so inside of TLS only, but many clients look at the
// socket alone before they use an idle connection again.
func (c *conn) CloseWrite() error {
	err := closeWrite(c.stream)
	if err == nil && c.tls != nil {
		_ = closeWrite(c.raw) // where there is no such thing, the close that follows will do
	}
	return err
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.enter(p); err != nil {
		return 0, err
	}
	var n int
	var err error
	if c.unread {
		err = c.readPreface()
	}
	if err == nil && c.tls != nil && c.secured == nil {
		err = c.handshake()
	}
	if err == nil {
		n, err = c.stream.Read(p)
	}
	n, err = c.leave(p[:n], err)
	if err == errNotNegotiated {
		err = c.end(ReasonRequest, 0, err)
	}
	return n, err
}

// enter is called before a read into p; an error is the read's.
func (c *conn) enter(p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	if taken := c.taken; taken != nil {
		c.taken = nil
		if c.closed || taken() != nil { // nobody here would serve what is closed
			c.disowned, c.broken = true, errLeaves
			return errLeaves
		}
		c.server.adopted.Add(1)
	}
	c.empty = !c.begun || len(p) == emptyRead
	c.aside = len(p) == 1
	if !c.aside && !c.handled && c.whole && !c.follows(p) {
		c.whole = false // net/http has moved what it has not looked at to the beginning
	}
	if c.steps.Load() >= begins {
		c.clean = false
	}
	if c.clean && !c.aside {
		if o := c.server.order.Load(); o != nil {
			if leaves, _ := c.decide(o, time.Now()); leaves {
				c.broken = errLeaves
				return errLeaves
			}
		}
	}
	c.reading = true
	return nil
}

// leave is called after a read that gave p and err, and says what to make of it.
func (c *conn) leave(p []byte, err error) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	if c.woken && len(p) == 0 && timedOut(err) {
		c.woken = false
		c.wire.reader.resume()
		c.broken = errLeaves
		return 0, errLeaves
	}
	c.arrived(len(p))
	c.late = len(p) == 0 && timedOut(err)
	if len(p) == 0 {
		return 0, err
	}
	c.remember(p)
	if c.meter != nil && c.proto.Load() != http2 {
		c.meter.received(p, c.wire.in.Load())
	}
	c.clean, c.begun = false, true
	switch c.proto.Load() {
	case http2:
		if c.h2.read(p) && c.server.warned.Load() {
			c.server.poke()
			go c.announce() // if that is what is new
		}
	case undecided:
		if !c.sniff(p) {
			return 0, errNotNegotiated
		}
	}
	return len(p), err
}

// arrived is told that n bytes came, or with 0 the end, whether the drain wanted c or not. c.mu is
// held.
func (c *conn) arrived(n int) {
	if c.woken {
		c.woken = false
		if c.fate == give {
			c.server.giving.Add(-1)
		}
		c.fate = stay
		c.wire.reader.resume()
	}
	if n > 0 && c.patient.Load() {
		c.patient.Store(false)
		_ = c.wire.SetReadDeadline(after(positive(c.server.http.ReadHeaderTimeout, c.server.http.ReadTimeout)))
	}
}

func timedOut(err error) bool {
	if err == nil || err == io.EOF {
		return false
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// sniff learns the protocol from the first bytes; false if it is not the one that was negotiated.
func (c *conn) sniff(p []byte) bool {
	for i := range p {
		if p[i] != greeting[c.sniffed] {
			c.proto.Store(http1)
			return c.secured == nil || c.secured.NegotiatedProtocol != "h2"
		}
		if c.sniffed++; c.sniffed == len(greeting) {
			c.proto.Store(http2)
			c.h2.preface = prefaceLength - len(greeting)
			c.h2.read(p[i+1:])
			return c.secured == nil || c.secured.NegotiatedProtocol == "h2"
		}
	}
	return true
}

// decide says whether c, which is clean, leaves under o; c.fate is how. later says that it is to be given
// when fewer are. c.mu is held.
func (c *conn) decide(o *order, now time.Time) (leaves, later bool) {
	since := o.since
	if c.since.After(since) {
		since = c.since
	}
	idle, possible := now.Sub(since), o.canGive(c)
	least := o.Min
	if o.Min > 0 && !c.begun && !c.patient.Load() {
		least = max(least, c.server.fresh)
	}
	switch {
	case c.hijacked || c.closed:
		return false, false
	case possible && c.empty && !now.Before(c.retry):
		if c.server.giving.Add(1) > giveAtOnce {
			c.server.giving.Add(-1)
			return false, true
		}
		c.fate = give
	case !possible && idle >= least:
		c.fate = retire
	case possible && (!c.empty || c.hopeless) && idle >= max(least, holdUp):
		c.fate = retire
	default:
		return false, false
	}
	c.order = o
	return true, false
}

// wake has c leave if it waits for a request and o wants it away. later is as with decide.
func (c *conn) wake(o *order, now time.Time) (later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reading || !c.clean || c.aside || c.woken {
		return false
	}
	leaves, later := c.decide(o, now)
	if leaves {
		c.woken = true
		c.wire.reader.wake()
	}
	return later
}

// idle is told by net/http: an answer is done, or with HTTP/2 the last stream.
func (c *conn) idle() {
	c.settle()
	c.steps.Store(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clean = c.proto.Load() != http2
	c.h2.streams = false
	if c.clean {
		c.handled, c.head, c.whole, c.line = false, nil, false, c.line[:0]
	}
	if c.server.warned.Load() {
		c.since = time.Now()
	}
}

func (c *conn) Write(p []byte) (int, error) {
	if c.proto.Load() != http2 {
		if !c.handled {
			return c.answer(p)
		}
		return c.stream.Write(p)
	}
	return c.writeFrames(p)
}

// SetDeadline is what net/http ends a hijacked connection's deadlines with: who has it may write
// to what NetConn returns, where nothing sets others.
func (c *conn) SetDeadline(t time.Time) error {
	err := errors.Join(c.wire.SetWriteDeadline(t), c.wire.restart(t), c.SetReadDeadline(t))
	c.wire.reader.renew()
	return err
}

// SetWriteDeadline passes over what net/http sets before the handler of HTTP/1 runs, because of a timeout
// that is for streams of HTTP/2 alone.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.server.bounded && !c.handled && !t.IsZero() && c.proto.Load() != http2 {
		return nil
	}
	return c.wire.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.steps.Add(1)
	if c.patient.Load() {
		return nil
	}
	return c.wire.SetReadDeadline(t)
}

// Close gives c away if that is its fate.
func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.settle()
		return net.ErrClosed
	}
	c.closed = true
	c.giving = c.fate == give
	// The end of a connection that is another process's is not ours to announce.
	linger := c.server.warned.Load() && !c.disowned && !c.hijacked && c.proto.Load() == http1
	slow := c.late && !c.clean && c.proto.Load() != http2 && !c.handled && !c.stray()
	c.mu.Unlock()
	if slow {
		c.whole = false // net/http has given its buffer to another connection
		c.refused(ReasonTimeout, 0, nil)
	}
	c.settle()
	if c.giving {
		return c.giveAway()
	}
	if linger && c.CloseWrite() == nil {
		_ = c.wire.SetReadDeadline(time.Now().Add(lingerFor))
		_, _ = io.Copy(io.Discard, c.stream)
	}
	err := c.stream.Close()
	// A write of HTTP/2 may yet tell of what was refused with it, and the server's logs end when c is gone.
	c.h2.writing.Lock()
	defer c.h2.writing.Unlock()
	c.gone()
	return err
}

// gone takes c, which is closed, off the books.
func (c *conn) gone() {
	if c.hijacked { // first, or another one would be taken for it in between
		c.server.hijacked.Add(-1)
	}
	c.server.gate.forget(c)
	c.server.poke()
}

// giveAway hands c to the successor, and serves it on if that fails.
func (c *conn) giveAway() error {
	s := c.server
	defer func() {
		s.giving.Add(-1)
		s.poke() // it is another one's turn
	}()
	_ = c.raw.SetDeadline(time.Time{})
	if err := c.order.Give(c.raw.(syscall.Conn), c.note); err == nil {
		s.given.Add(1)
		defer c.gone()
		return c.raw.Close()
	}
	s.takenBack.Add(1)
	back := s.wrap(promised{c.raw, c.note, nil}, true)
	back.since, back.unwanted = c.since, c.unwanted
	now := time.Now()
	if back.unwanted.IsZero() {
		back.unwanted = now
	}
	back.hopeless = now.Sub(back.unwanted) >= holdUp
	back.retry = now.Add(retryAfter)
	s.gate.replace(c, back)
	if err := s.gate.pass(back, back.given()); err != nil {
		s.poke()
		return c.raw.Close()
	}
	return nil
}

// cut closes c at once. It returns the protocol if a request was under way, "" otherwise.
func (c *conn) cut() string {
	c.mu.Lock()
	if c.giving { // it is the successor's, or will find the gate closed
		c.mu.Unlock()
		return ""
	}
	already := c.closed
	c.closed = true
	what := ""
	switch {
	case already:
	case c.hijacked:
		what = "hijacked"
	case c.proto.Load() == http2:
		if c.h2.streams {
			what = "h2"
		}
	case !c.clean:
		what = "http1"
	}
	c.mu.Unlock()
	_ = c.raw.Close() // without a farewell, which could block
	if !already {
		c.gone()
	}
	return what
}

// state is told by net/http what c is at.
func (c *conn) state(state http.ConnState) {
	switch state {
	case http.StateIdle:
		c.idle()
	case http.StateActive:
		if c.proto.Load() == http2 {
			c.mu.Lock()
			c.h2.streams = true
			c.mu.Unlock()
		}
	case http.StateHijacked:
		c.mu.Lock()
		c.hijacked = true
		if c.meter != nil {
			c.meter.hijacked()
		}
		c.mu.Unlock()
		c.server.hijacked.Add(1)
	}
}
