package wire

import (
	"net"
	"os"
	"time"
)

// wait waits for what comes first: enough, until, gone, the end of the connection, or the deadline
// for writing, which may change meanwhile.
func (c *Conn) wait(enough <-chan time.Time, until, gone <-chan struct{}) error {
	for {
		deadline, changed := c.watch()
		if c.ended.Load() {
			return errEnded
		}
		again, err := c.waitOnce(enough, until, gone, deadline, changed)
		if !again {
			return err
		}
	}
}

func (c *Conn) waitOnce(enough <-chan time.Time, until, gone <-chan struct{}, deadline time.Time, changed <-chan struct{}) (again bool, err error) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-enough:
		return false, nil
	case <-until:
		return false, nil
	case <-gone:
		return false, nil
	case <-c.closed:
		return false, net.ErrClosed
	case <-late:
		return false, os.ErrDeadlineExceeded
	case <-changed:
		return true, nil
	}
}

// watch is the deadline for writing, and what is closed when that changes or the connection ends.
func (c *Conn) watch() (time.Time, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.writeBy, c.changed
}

// wake has a write that waits look again. c.mu is held.
func (c *Conn) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// SetWriteDeadline implements net.Conn; a write that trouble keeps back ends by it as well.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.writeBy = t
	c.wake()
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
