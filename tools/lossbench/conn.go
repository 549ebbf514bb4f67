package lossbench

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 16 << 10
	// maxChunks bounds what is under way in one direction; then the sender waits.
	maxChunks = 256
)

// A Dialer opens TCP connections over a distance: every byte and the end of the connection arrive Delay
// later, in both directions. The zero Dialer opens connections without a distance.
type Dialer struct {
	Delay   time.Duration // one way
	Timeout time.Duration // of dialing; 0 is none
}

// Dial connects to addr ("host:port").
func (d Dialer) Dial(ctx context.Context, addr string) (*Conn, error) {
	dialer := net.Dialer{Timeout: d.Timeout}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw, delay: d.Delay, in: make(chan chunk, maxChunks), closed: make(chan struct{}), deadline: newDeadline()}
	go c.receive()
	if d.Delay > 0 {
		c.out = make(chan chunk, maxChunks)
		go c.send()
	}
	return c, nil
}

// Conn is a connection of a [Dialer]. It is read even while nobody calls Read, so that it knows when the other
// side has closed it. Its methods are safe for concurrent use as far as those of [net.Conn] are: one reader,
// one writer, and anybody who closes.
type Conn struct {
	net.Conn
	delay    time.Duration
	in, out  chan chunk // out is nil without a delay
	rest     []byte     // of the chunk being read
	readErr  error      // what Read returned last, when that was the end
	closed   chan struct{}
	once     sync.Once
	deadline *deadline
	endsAt   atomic.Int64 // when the other side's end is seen here, in Unix nanoseconds; 0: not yet
}

// A chunk is what was read or is to be written, or the error that ended reading.
type chunk struct {
	data []byte
	err  error
	at   time.Time // when it arrives
}

// receive reads the socket until it ends.
func (c *Conn) receive() {
	for {
		b := make([]byte, chunkSize)
		n, err := c.Conn.Read(b)
		at := time.Now().Add(c.delay)
		if err != nil {
			c.endsAt.Store(at.UnixNano())
		}
		if n > 0 && !c.deliver(chunk{data: b[:n], at: at}) {
			return
		}
		if err != nil {
			c.deliver(chunk{err: err, at: at})
			return
		}
	}
}

func (c *Conn) deliver(k chunk) bool {
	select {
	case c.in <- k:
		return true
	case <-c.closed:
		return false
	}
}

// send writes to the socket what Write left, and closes it when Close was called. An error of writing shows
// itself to the reader as well.
func (c *Conn) send() {
	defer c.Conn.Close()
	for {
		select {
		case k := <-c.out:
			c.write(k)
		case <-c.closed:
			for {
				select {
				case k := <-c.out:
					c.write(k)
				default:
					time.Sleep(c.delay) // of the FIN
					return
				}
			}
		}
	}
}

func (c *Conn) write(k chunk) {
	time.Sleep(time.Until(k.at))
	_, _ = c.Conn.Write(k.data)
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if c.readErr != nil {
		return 0, c.readErr
	}
	if len(c.rest) == 0 {
		expired := c.deadline.expired()
		select {
		case <-c.closed:
			return 0, net.ErrClosed
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		case k := <-c.in:
			if err := c.await(k.at); err != nil {
				return 0, err
			}
			if k.err != nil {
				c.readErr = k.err
				return 0, k.err
			}
			c.rest = k.data
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// await waits until at. What arrives later than that is never late by more than the delay.
func (c *Conn) await(at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

// Write implements net.Conn. With a delay it returns before the bytes are sent, and an error of sending shows
// itself when reading.
func (c *Conn) Write(p []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	if c.out == nil {
		return c.Conn.Write(p)
	}
	for done := 0; done < len(p); {
		n := min(len(p)-done, chunkSize)
		select {
		case c.out <- chunk{data: slices.Clone(p[done : done+n]), at: time.Now().Add(c.delay)}:
			done += n
		case <-c.closed:
			return done, net.ErrClosed
		}
	}
	return len(p), nil
}

// Close implements net.Conn: what was written is still sent.
func (c *Conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closed)
		if c.out == nil {
			err = c.Conn.Close()
		}
	})
	return err
}

// SeenClose reports whether the other side's end of the connection has arrived: whoever asks before writing
// does not write into a closed connection.
func (c *Conn) SeenClose() bool {
	at := c.endsAt.Load()
	return at != 0 && time.Now().UnixNano() >= at
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. It does not reach the socket, which is always read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadline.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn. With a delay it is about the socket behind the distance.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(t) }

// A deadline is a channel that is closed when a time has come.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func newDeadline() *deadline { return &deadline{done: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	done := make(chan struct{})
	d.done, d.timer = done, nil
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() { close(done) })
	}
}

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}
