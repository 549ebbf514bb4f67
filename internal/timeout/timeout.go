// Package timeout has a context whose deadline costs nothing until somebody waits for it: most
// requests end long before theirs, and most handlers never ask.
package timeout

import (
	"context"
	"sync"
	"time"
)

// epoch is what deadlines are counted from: a third of the size of a time.Time.
var epoch = time.Now()

// Context is its parent with a deadline of its own, which [Context.Bound] sets. It is meant to be
// embedded in what a request has anyway. Parent must be set before anything else is called; a
// Context is not copied. It is safe for concurrent use.
type Context struct {
	Parent context.Context

	mu    sync.Mutex
	due   time.Duration // after epoch; 0 for none
	whole *whole        // nil until somebody asks for it
}

// whole is a parent with the deadline.
type whole struct {
	context.Context
	cancel context.CancelFunc
}

// Bound sets the deadline, at d from now. It reports false when it is too late for that: it has
// been set already, or somebody waits for the context's end.
func (c *Context) Bound(d time.Duration) bool { return c.BoundFrom(time.Now(), d) }

// BoundFrom is Bound from begin, for callers who have just asked what time it is.
func (c *Context) BoundFrom(begin time.Time, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole != nil || c.due != 0 {
		return false
	}
	c.due = begin.Sub(epoch) + d
	return true
}

// Release frees what waiting for the deadline took. The context has ended then, if it had one.
func (c *Context) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole != nil && c.whole.cancel != nil {
		c.whole.cancel()
	}
}

// ask is the parent with the deadline.
func (c *Context) ask() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole == nil {
		c.whole = &whole{Context: c.Parent}
		if c.due != 0 {
			c.whole.Context, c.whole.cancel = context.WithDeadline(c.Parent, epoch.Add(c.due))
		}
	}
	return c.whole.Context
}

// Deadline implements [context.Context].
func (c *Context) Deadline() (time.Time, bool) {
	deadline, ok := c.Parent.Deadline()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due != 0 {
		if own := epoch.Add(c.due); !ok || own.Before(deadline) {
			return own, true
		}
	}
	return deadline, ok
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} { return c.ask().Done() }

// Err implements [context.Context].
func (c *Context) Err() error {
	err, due := c.known()
	if err == nil && due != 0 && time.Since(epoch) >= due {
		return context.DeadlineExceeded
	}
	return err
}

// Known is Err without a look at the clock: that the deadline has passed it tells only when somebody
// has asked for Done.
func (c *Context) Known() error {
	err, _ := c.known()
	return err
}

// known is that error, and the deadline if it is to be looked at still.
func (c *Context) known() (error, time.Duration) {
	c.mu.Lock()
	whole, due := c.whole, c.due
	c.mu.Unlock()
	if whole != nil {
		return whole.Err(), 0
	}
	return c.Parent.Err(), due
}

// Value implements [context.Context]. Asked by package context for the context that Done is of, it
// must answer with the same, or each context made of this one would need a goroutine.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	ctx := c.Parent
	if c.whole != nil {
		ctx = c.whole.Context
	}
	c.mu.Unlock()
	return ctx.Value(key)
}
