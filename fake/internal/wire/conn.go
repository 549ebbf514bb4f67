package wire

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// MaxTroubles is how many troubles a connection has at a time.
const MaxTroubles = 100

// Conn is a connection of a server's that can be put into trouble. It is safe for concurrent use,
// as connections are. Make one with [New].
type Conn struct {
	net.Conn
	ending  sync.Mutex // held while it is decided how the client learns of the end, and to close
	closing sync.Once
	onClose func()
	closed  chan struct{}

	troubled atomic.Bool             // there is trouble, or it is ended: look into what mu guards
	out      atomic.Int64            // bytes written, those that are being written among them
	ended    atomic.Bool             // by trouble: nothing is written or read any more
	slow     atomic.Pointer[Trouble] // that writes are under, of kind Slow
	inside   atomic.Pointer[Conn]    // what TLS on it encrypts; nil until that is known

	writing sync.Mutex // held during a write; guards what follows
	frames  frames

	mu       sync.Mutex
	troubles []*armed // in the order in which they strike
	writeBy  time.Time
	changed  chan struct{} // closed when writeBy changes or the connection ends; nil while no write waits
}

// armed is trouble with the number of bytes after which it strikes.
type armed struct {
	*Trouble
	at   int64
	told bool // it has struck and goes on; of who holds Conn.writing
}

// New makes a connection of c. onClose is called when it is closed.
func New(c net.Conn, onClose func()) *Conn {
	return &Conn{Conn: c, onClose: onClose, closed: make(chan struct{})}
}

// Inside makes a connection of tls, which is TLS over c, for the server to speak through: there c finds
// the frames of HTTP/2, and there GoAway strikes, at bytes that are counted before they are
// encrypted. All other trouble is c's own. What became of it ends with c.
func (c *Conn) Inside(tls net.Conn) *Conn {
	in := New(tls, func() {})
	c.inside.Store(in)
	if isClosed(c.closed) {
		in.finish()
	}
	return in
}

// errEnded is what a server is told that goes on after the end.
var errEnded = errors.New("a fault has ended the connection")

// Closed is closed when the connection is.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

// Arm has t strike the connection. It reports false when the connection has ended, or has as much
// trouble as it can.
func (c *Conn) Arm(t Trouble) bool {
	t.check()
	if in := c.inside.Load(); in != nil && t.Kind == GoAway {
		return in.Arm(t)
	}
	c.mu.Lock()
	if c.ended.Load() || isClosed(c.closed) || len(c.troubles) >= MaxTroubles {
		c.mu.Unlock()
		return false
	}
	a := &armed{Trouble: &t, at: c.out.Load() + t.At}
	i, _ := slices.BinarySearchFunc(c.troubles, a.at+1, func(b *armed, at int64) int {
		if b.at < at {
			return -1
		}
		return 1
	})
	c.troubles = slices.Insert(c.troubles, i, a)
	c.troubled.Store(true)
	c.mu.Unlock()
	c.strikeNow()
	return true
}

// Calm drops the trouble of an answer that is out: what has not struck, and Slow, which has. It is
// called when the next request comes on a connection of HTTP/1.
func (c *Conn) Calm() {
	if in := c.inside.Load(); in != nil {
		in.Calm()
	}
	if !c.troubled.Load() {
		return
	}
	c.mu.Lock()
	all := c.troubles
	c.troubles = nil
	for _, a := range all {
		if !a.Answer {
			c.troubles = append(c.troubles, a)
		}
	}
	c.mu.Unlock()
	for _, a := range all {
		if a.Answer {
			a.over(true)
		}
	}
	if t := c.slow.Load(); t != nil && t.Answer && c.slow.CompareAndSwap(t, nil) {
		t.over(true)
	}
}

// strikeNow has trouble strike that need not wait for a write. While one is under way it is left to
// that one.
func (c *Conn) strikeNow() {
	for {
		t := c.due()
		if t == nil {
			return
		}
		switch t.Kind {
		case Reset, Close: // these wait for nobody, and end a write that waits
			if c.take(t) {
				t.strike()
				c.end(t.Kind == Reset)
			}
			return
		}
		if !c.writing.TryLock() {
			return
		}
		struck := c.strikeBetween(t)
		c.writing.Unlock()
		if !struck {
			return
		}
	}
}

// due is the first trouble that strikes now. What waits for no write comes first, so that it does not stand
// behind what does.
func (c *Conn) due() *armed {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.troubles, func(a *armed) bool { return a.Now && (a.Kind == Reset || a.Kind == Close) })
	if i < 0 {
		i = slices.IndexFunc(c.troubles, func(a *armed) bool { return a.Now })
	}
	if i < 0 {
		return nil
	}
	return c.troubles[i]
}

// strikeBetween has t strike between two writes. It reports false when a write must come first.
// c.writing is held.
func (c *Conn) strikeBetween(t *armed) bool {
	switch t.Kind {
	case Garbage:
		if c.take(t) {
			t.strike()
			_, _ = c.Conn.Write([]byte(garbage))
			c.end(false)
		}
		return true
	case GoAway:
		if !c.frames.other && !c.frames.between() {
			return false
		}
		if c.take(t) {
			c.goAway(t)
		}
		return true
	}
	return false
}

// goAway writes the frame. c.writing is held, and the next byte begins a frame of HTTP/2, or there
// is something else on the connection.
func (c *Conn) goAway(t *armed) {
	if c.frames.other {
		t.over(true)
		return
	}
	t.strike()
	_, _ = c.Conn.Write(goAway()) // whoever writes next learns of an error
}

// take removes t from what is to come, and reports whether it was there.
func (c *Conn) take(t *armed) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.troubles, t)
	if i < 0 {
		return false
	}
	c.troubles = slices.Delete(c.troubles, i, i+1)
	return true
}

// end ends the connection: nothing is written or read any more. With RST it is closed, otherwise
// the client learns by FIN, and closing is left to the server.
func (c *Conn) end(reset bool) {
	open := c.farewell(reset)
	c.mu.Lock()
	c.wake()
	c.mu.Unlock()
	if !open {
		_ = c.Close()
	}
}

// farewell has the client learn of the end as it is meant to, and reports whether the connection is to be
// left open. A server that notices the end closes it at once, which would make a FIN of an RST and, where
// something was not read yet, an RST of a FIN.
func (c *Conn) farewell(reset bool) (open bool) {
	c.ending.Lock()
	defer c.ending.Unlock()
	c.ended.Store(true)
	c.troubled.Store(true)
	if !reset {
		return c.CloseWrite() == nil
	}
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	return false
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.ended.Load() {
		return 0, io.EOF // a request that came after the end is not answered, so it is not done either
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	n, err := 0, error(nil)
	if c.troubled.Load() {
		n, err = c.struggle(b)
	} else {
		n, err = c.put(b)
	}
	c.writing.Unlock()
	if c.troubled.Load() {
		c.strikeNow()
	}
	return n, err
}

// put writes b and nothing else. c.writing is held. Trouble that is armed meanwhile does not count b: a
// client may have answered it before this write returns.
func (c *Conn) put(b []byte) (int, error) {
	c.out.Add(int64(len(b)))
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n - len(b)))
	if !c.frames.other {
		c.frames.pass(b[:n])
	}
	return n, err
}

// struggle writes b as far as trouble lets it. c.writing is held.
func (c *Conn) struggle(b []byte) (n int, err error) {
	for err == nil {
		t, room := c.next()
		switch {
		case c.ended.Load():
			return n, errEnded
		case t != nil && isClosed(t.Gone):
			if c.take(t) {
				t.over(true)
			}
		case t == nil || room >= int64(len(b)-n) && len(b) > n:
			var m int
			m, err = c.pace(b[n:])
			return n + m, err
		case room > 0:
			var m int
			m, err = c.pace(b[n : n+int(room)])
			n += m
		case len(b) == n: // it strikes with the next byte
			return n, nil
		default:
			var m int
			m, err = c.hit(t, b[n:])
			n += m
		}
	}
	return n, err
}

// next is the trouble that strikes next, and how many bytes are written before.
func (c *Conn) next() (*armed, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.troubles) == 0 {
		return nil, 0
	}
	t := c.troubles[0]
	return t, max(0, t.at-c.out.Load())
}

// hit has t strike where rest would be written, and returns how much of it was. c.writing is held.
func (c *Conn) hit(t *armed, rest []byte) (n int, err error) {
	switch t.Kind {
	case GoAway:
		if !c.frames.other && !c.frames.between() {
			return c.pace(rest[:c.frames.until(rest)])
		}
		if c.take(t) {
			c.goAway(t)
		}
		return 0, nil
	case Silence, Pause:
		return 0, c.hush(t)
	}
	if !c.take(t) {
		return 0, nil
	}
	t.strike()
	switch t.Kind {
	case Slow:
		if before := c.slow.Swap(t.Trouble); before != nil {
			before.over(true)
		}
		if isClosed(c.closed) && c.slow.CompareAndSwap(t.Trouble, nil) {
			t.over(false) // Close came between, and has not seen it
		}
		return 0, nil
	case Cut:
		n, _ = c.put(rest[:len(rest)/2])
	case Garbage:
		_, _ = c.Conn.Write([]byte(garbage))
	}
	c.end(t.Kind == Reset)
	return n, errEnded
}

// hush keeps a write back. c.writing is held.
func (c *Conn) hush(t *armed) error {
	if !t.told {
		t.told = true
		t.strike()
	}
	var enough <-chan time.Time
	if t.Kind == Pause {
		timer := time.NewTimer(t.Wait)
		defer timer.Stop()
		enough = timer.C
	}
	err := c.wait(enough, t.Until, t.Gone)
	if err == nil && c.take(t) {
		t.over(true)
	}
	return err
}

// pace writes b, slowly if it is told to. c.writing is held.
func (c *Conn) pace(b []byte) (int, error) {
	const pieces = 50 // a second, if there are so many bytes
	for n := 0; ; {
		t := c.slow.Load()
		if t != nil && isClosed(t.Gone) && c.slow.CompareAndSwap(t, nil) {
			t.over(true)
			t = nil
		}
		if t == nil {
			m, err := c.put(b[n:])
			return n + m, err
		}
		size := max(1, int(min(t.Rate/pieces, int64(len(b)))))
		m, err := c.put(b[n:min(n+size, len(b))])
		if n += m; err != nil {
			return n, err
		}
		timer := time.NewTimer(time.Duration(m) * time.Second / time.Duration(t.Rate))
		err = c.wait(timer.C, nil, t.Gone)
		timer.Stop()
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetWriteDeadline(t), c.SetReadDeadline(t))
}

// CloseWrite tells the client that nothing comes any more, as a server does that would have it
// read the last answer.
func (c *Conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.ending.Lock()
	err := c.Conn.Close()
	c.ending.Unlock()
	c.finish()
	return err
}

// finish drops the trouble of a connection that is closed.
func (c *Conn) finish() {
	c.closing.Do(func() {
		close(c.closed)
		c.mu.Lock()
		rest := c.troubles
		c.troubles = nil
		c.mu.Unlock()
		for _, t := range rest {
			t.over(false)
		}
		if t := c.slow.Swap(nil); t != nil {
			t.over(false)
		}
		c.onClose()
	})
	if in := c.inside.Load(); in != nil {
		in.finish()
	}
}
