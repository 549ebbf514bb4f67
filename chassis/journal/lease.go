package journal

import (
	"context"
	"time"
)

// A Lease is the right of one holder to do what only one may do, for a limited time.
type Lease struct {
	// Name is what the lease is for.
	Name string
	// Holder is who has it.
	Holder string
	// Fence is higher than in every earlier grant of the lease. Renewals keep it.
	Fence Fence
	// TTL is for how long the lease was granted or last renewed.
	TTL time.Duration
	// Expires is when it ends unless it is renewed, by the clock of the process that granted or
	// renewed it.
	Expires time.Time
}

// Held reports whether the lease is in force. It is over at Expires; and, because clocks jump, also
// when it would last longer than twice its TTL from now: a clock that was set back must not keep
// everybody out until it is there again.
func (l Lease) Held(now time.Time) bool {
	left := l.Expires.Sub(now)
	return left > 0 && left <= 2*l.TTL
}

// Leases grants leases to the processes that have the journal open. They expire by each process's
// own clock, the one that it opened the journal with; between two clocks that differ, or while a
// holder stands still, two may believe that they hold a lease. The fence tells them apart: put it on
// what is written under the lease, as [Checkpoints] does. Implementations are safe for concurrent
// use.
//
// Names and holders follow the rule of stream names.
type Leases interface {
	// Acquire grants the lease for the next ttl, at most [MaxLease], if nobody holds it or holder
	// does. It gives the grant a higher fence than all before, also than one that the same holder
	// had, which is lost by that. A holder is therefore one worker, such as "host-3:4711", and
	// may repeat Acquire after ErrUnknownOutcome.
	//
	// Errors: a *HeldError when somebody else holds it; ErrInvalid; those of the journal.
	Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error)

	// Renew extends l by its TTL from now and returns it so.
	//
	// Errors: ErrLeaseLost when l is over or was granted again, and then the lease is as it was;
	// ErrInvalid; those of the journal. After ErrUnknownOutcome renewing again is safe.
	Renew(ctx context.Context, l Lease) (Lease, error)

	// Release gives l back, so that others need not wait for its end. If l is over, or was granted
	// again, Release changes nothing and returns nil. After ErrUnknownOutcome releasing again is
	// safe.
	Release(ctx context.Context, l Lease) error
}
