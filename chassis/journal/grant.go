package journal

import (
	"context"
	"fmt"
	"time"
)

// A LeaseUpdate is how an engine keeps leases: it replaces the last grant of a name by what next makes of it,
// durably, and as if nobody else changed it meanwhile. next gets the last grant as it was stored, the
// zero Lease when there was none, and the time by the journal's clock. It may be called again when the
// engine tries again. An error of next is the answer: it is returned, wrapped or not, and nothing is
// stored. When next returns what it got, nothing need be stored. what says what is being done, for errors,
// such as `renew lease "mailer"`. An engine that gives up on ctx, with ErrUnknownOutcome, may still call next
// afterwards.
//
// Of a grant every field is stored, Expires to the nanosecond. The last one of a name is never removed,
// because the next fence is above its own.
type LeaseUpdate func(ctx context.Context, what, name string, next func(last Lease, now time.Time) (Lease, error)) error

// LeasesOn returns the leases of an engine that keeps them with update. They are safe for concurrent use
// when update is.
func LeasesOn(update LeaseUpdate) Leases { return leases{update} }

// leases are the rules of [Leases].
type leases struct{ update LeaseUpdate }

// Acquire implements [Leases].
func (l leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error) {
	wanted := Lease{Name: name, Holder: holder, TTL: ttl}
	return l.change(ctx, "acquire", wanted, func(last Lease, now time.Time) (Lease, error) {
		if last.Holder != holder && last.Held(now) {
			return last, &HeldError{Name: name, Holder: last.Holder, Expires: last.Expires}
		}
		wanted.Fence = last.Fence + 1
		return wanted.from(now), nil
	})
}

// Renew implements [Leases].
func (l leases) Renew(ctx context.Context, held Lease) (Lease, error) {
	return l.change(ctx, "renew", held, func(last Lease, now time.Time) (Lease, error) {
		if !held.granted(last) || !last.Held(now) {
			return last, fmt.Errorf("lease %q of %q under fence %d: %w", held.Name, held.Holder, held.Fence, ErrLeaseLost)
		}
		return held.from(now), nil
	})
}

// Release implements [Leases]. The grant that was given back stays, long over.
func (l leases) Release(ctx context.Context, held Lease) error {
	_, err := l.change(ctx, "release", held, func(last Lease, _ time.Time) (Lease, error) {
		if held.granted(last) {
			last.Expires = time.Unix(0, 0).UTC()
		}
		return last, nil
	})
	return err
}

// change does to a lease what verb says, and returns it as it is then.
func (l leases) change(ctx context.Context, verb string, of Lease, next func(last Lease, now time.Time) (Lease, error)) (Lease, error) {
	if err := ValidateLease(of.Name, of.Holder, of.TTL); err != nil {
		return Lease{}, err
	}
	// No named result: after an error the engine may still be at it, and a return would write what it writes.
	var became Lease
	err := l.update(ctx, fmt.Sprintf("%s lease %q", verb, of.Name), of.Name, func(last Lease, now time.Time) (_ Lease, err error) {
		became, err = next(last, now)
		return became, err
	})
	if err != nil {
		return Lease{}, err
	}
	return became, nil
}

// granted reports whether last is the grant that l is of.
func (l Lease) granted(last Lease) bool { return l.Holder == last.Holder && l.Fence == last.Fence }

// from returns l as it is when it begins now: what can be stored of a time, in UTC.
func (l Lease) from(now time.Time) Lease {
	l.Expires = time.Unix(0, now.Add(l.TTL).UnixNano()).UTC()
	return l
}
