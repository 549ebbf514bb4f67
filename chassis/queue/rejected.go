package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reason is why work was not done.
type Reason int

// The reasons.
const (
	Full      Reason = iota // no place to wait in
	Deadline                // the caller's deadline cannot be met
	Expired                 // the caller's deadline has passed
	Cancelled               // the caller does not want it any more
	MaxWait                 // it waited longer than Limits.MaxWait
	Draining                // the queue is closed
	reasons                 // how many there are
)

// String is the reason as it stands in metric labels.
func (r Reason) String() string {
	switch r {
	case Full:
		return "full"
	case Deadline:
		return "deadline"
	case Expired:
		return "expired"
	case Cancelled:
		return "cancelled"
	case MaxWait:
		return "max_wait"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

var sentences = [reasons]string{
	Full:      "all places are taken",
	Deadline:  "the deadline cannot be met",
	Expired:   "the deadline has passed",
	Cancelled: "the caller does not want it any more",
	MaxWait:   "it waited too long",
	Draining:  "the queue is closed",
}

// Rejected says that work was not done.
type Rejected struct {
	Queue  string
	Reason Reason
	// RetryAfter is when it may be worth trying again, 0 when it is not: after that time the
	// work that waits now will have been done, if it takes as long as such work did of late.
	RetryAfter time.Duration
	cause      error // the context's error where one decided
}

// Error implements error.
func (r *Rejected) Error() string {
	return fmt.Sprintf("queue %q rejected the work: %s", r.Queue, sentences[r.Reason])
}

// Unwrap is the error of the context that ended, if one did: errors.Is finds
// context.DeadlineExceeded or context.Canceled.
func (r *Rejected) Unwrap() error { return r.cause }

// PanicError is a panic of the work, which has not harmed the queue.
type PanicError struct {
	Queue string
	Value any    // what was panicked with
	Stack []byte // of the goroutine that panicked
}

// Error implements error.
func (p *PanicError) Error() string {
	return fmt.Sprintf("queue %q: the work panicked: %v", p.Queue, p.Value)
}

// Unwrap is the value of the panic when that is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// reject counts a rejection and makes its error. q.mu is held.
func (q *Queue) reject(why Reason, cause error) error {
	q.stats.Rejected[why.String()]++
	r := &Rejected{Queue: q.name, Reason: why, cause: cause}
	if why == Full || why == Deadline || why == MaxWait {
		r.RetryAfter = max(q.expectedWait(), minRetry)
	}
	return r
}

// minRetry keeps callers from coming back in a tight loop.
const minRetry = 10 * time.Millisecond

// reasonOf is why a context that has ended did.
func reasonOf(ctx context.Context) Reason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Expired
	}
	return Cancelled
}

func causeOf(why Reason) error {
	switch why {
	case Expired:
		return context.DeadlineExceeded
	case Cancelled:
		return context.Canceled
	}
	return nil
}
