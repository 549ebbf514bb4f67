// Package clock is the time a service lives in.
//
// A service asks its clock what time it is and to be woken later. In production that is the
// machine's clock ([Real]); in a network fake and in tests it is a [Virtual] clock, whose time
// moves only when somebody calls [Virtual.Advance], so that a thirty-second turn limit is
// tested in microseconds and always ends the same way.
//
// The interface is small on purpose: everything that waits can be built on AfterFunc, and
// because a virtual clock runs those functions itself, "all timers that are due have run" is
// simply the return of Advance.
package clock

import (
	"context"
	"time"
)

// A Clock tells the time and wakes callers later. Implementations are safe for concurrent use.
type Clock interface {
	// Now is the current time. Readings of one clock never go backwards.
	Now() time.Time
	// AfterFunc calls f once, d from now; with d ≤ 0 as soon as it can. A real clock calls
	// f in a goroutine of its own, a virtual one inside Advance.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is a call that has been asked for.
type Timer interface {
	// Stop cancels the call. It reports false when the call has begun or was stopped
	// already; it does not wait for a call that has begun.
	Stop() bool
}

// Real is the machine's clock.
func Real() Clock { return machine{} }

// Since is the time that has passed on c since t, which c has told. Of the machine's clock it costs
// half of what Now does.
func Since(c Clock, t time.Time) time.Duration {
	if c == Real() {
		return time.Since(t)
	}
	return c.Now().Sub(t)
}

type machine struct{}

func (machine) Now() time.Time { return time.Now() }

func (machine) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// Sleep waits until d has passed on c, or until ctx ends, and returns ctx's error in the
// second case.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	done := make(chan struct{})
	t := c.AfterFunc(d, func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		t.Stop()
		return ctx.Err()
	}
}
