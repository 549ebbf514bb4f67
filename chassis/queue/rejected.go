package queue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reason is why work was not done.
type Reason int

// The reasons. Full, Shed, Deadline and MaxWait mean overload, TenantQuota a tenant's own and
// ClientShare a client's, for which [Rejected].RetryAfter says when to try again; Draining sends the caller elsewhere; the
// others are the caller's own doing.
const (
	Full        Reason = iota // no place to wait in
	Deadline                  // the caller's deadline could not be met, or passed in the queue
	Expired                   // the caller's deadline had passed when the work came
	Cancelled                 // the caller does not want it any more
	MaxWait                   // it waited for as long as Limits.MaxWait, or too long for a caller without a deadline
	Draining                  // the queue is closed
	Shed                      // more critical work took its place
	TenantQuota               // the queue is full and others of its class have fewer places than its tenant
	ClientShare               // its client holds Limits.PerClient workers with work that is still arriving
	reasons                   // how many there are
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
	case Shed:
		return "shed"
	case TenantQuota:
		return "tenant_quota"
	case ClientShare:
		return "client_share"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// sentence is the reason as it stands in errors.
func (r Reason) sentence() string {
	switch r {
	case Full:
		return "all places are taken"
	case Deadline:
		return "the deadline cannot be met"
	case Expired:
		return "the deadline has passed"
	case Cancelled:
		return "the caller does not want it any more"
	case MaxWait:
		return "it waited too long"
	case Draining:
		return "the queue is closed"
	case Shed:
		return "more critical work took its place"
	case TenantQuota:
		return "its tenant has more than its share of the places"
	case ClientShare:
		return "its client holds its share of the workers with what is still arriving"
	}
	return r.String()
}

// Rejected says that work was not done, and never began. [errors.As] finds it.
type Rejected struct {
	Queue  string
	Reason Reason
	// RetryAfter is when it may be worth trying again, 0 when it is not: after that time the
	// work that waits now will have started, if work takes as long as it did of late. Whoever
	// passes it on adds jitter, or all come back at the same moment. It is [MaxRetry] at most.
	RetryAfter time.Duration
	cause      error // the context's error where one decided
}

// Error implements error.
func (r *Rejected) Error() string {
	return fmt.Sprintf("queue %q rejected the work: %s", r.Queue, r.Reason.sentence())
}

// Unwrap is the error of the context that ended, if one did: errors.Is finds
// context.DeadlineExceeded or context.Canceled.
func (r *Rejected) Unwrap() error { return r.cause }

// PanicError is a panic of the work, which has not harmed the queue.
type PanicError struct {
	Queue string
	Value any    // what was panicked with
	Stack []byte // of the goroutine that panicked, as runtime/debug prints it
}

// Error implements error. It leaves the stack out.
func (p *PanicError) Error() string {
	return fmt.Sprintf("queue %q: the work panicked: %v", p.Queue, p.Value)
}

// Unwrap is the value of the panic when that is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// minRetry keeps callers of a queue that knows nothing yet from coming back in a tight loop.
const minRetry = 10 * time.Millisecond

// MaxRetry bounds [Rejected].RetryAfter: a long queue of long work may be gone much sooner than it takes to do
// it all, and whoever is told to come back in an hour does not.
const MaxRetry = time.Minute

// reject counts a rejection and makes its error. q.mu is held.
func (q *Queue) reject(rank int, why Reason, cause error) error {
	q.counts.rejected[rank][why]++
	r := &Rejected{Queue: q.name, Reason: why, cause: cause}
	switch why {
	case Full, Deadline, MaxWait, Shed, TenantQuota, ClientShare:
		r.RetryAfter = min(max(q.wait(q.waiting()), minRetry), MaxRetry)
	}
	return r
}

// atTheDoor is the reason when a context had ended with err before the work came.
func atTheDoor(err error) Reason {
	if errors.Is(err, context.DeadlineExceeded) {
		return Expired
	}
	return Cancelled
}
