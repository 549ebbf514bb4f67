package queue

import (
	"context"
	"fmt"
)

// Close turns newcomers away, waits until everything in the queue has been done and returns nil.
// When ctx ends first it rejects what still waits, ends the contexts of what runs ([context.Cause]
// is then a *[Rejected]) but for those that the callers of Do and Enter will end, and returns an error that
// says how much there was of both and wraps ctx's. It does not wait for work that
// goes on regardless: that cannot be stopped in Go. Call Close again, with another context, to
// wait on. Close may be called any number of times and by several goroutines; the first context
// to end ends the patience of all.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	idle := q.settle()
	q.mu.Unlock()
	if idle {
		return nil
	}
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	rejected, running := q.abandon()
	if rejected+running == 0 {
		return nil
	}
	return fmt.Errorf("queue %q: closed with %d rejected and %d still running: %w", q.name, rejected, running, ctx.Err())
}

// abandon rejects what waits and ends the contexts of what runs.
func (q *Queue) abandon() (rejected, running int) {
	now := q.now()
	q.mu.Lock()
	for _, c := range []*chain{&q.callers, &q.jobs} {
		for c.first != nil {
			q.drop(c.first, now, Draining, nil)
			rejected++
		}
	}
	q.settle()
	running = q.inFlight()
	var ends []context.CancelCauseFunc
	for _, w := range q.workers {
		if w.end != nil {
			ends = append(ends, w.end)
		}
	}
	q.unlock()
	for _, end := range ends {
		end(&Rejected{Queue: q.name, Reason: Draining})
	}
	return rejected, running
}

// settle reports whether the queue is closed and empty, and lets Close know. q.mu is held.
func (q *Queue) settle() bool {
	if !q.closed || q.inFlight() > 0 || q.waiting() > 0 {
		return false
	}
	if q.overdue != nil {
		q.overdue.Stop()
		q.overdue = nil
	}
	select {
	case <-q.done:
	default:
		close(q.done)
	}
	return true
}
