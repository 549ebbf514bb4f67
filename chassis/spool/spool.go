package spool

import (
	"context"
	"errors"
	"time"
)

// A Spool is a bounded, durable queue. Its methods are safe for concurrent use. Whoever opened it
// closes it.
type Spool struct{}

// Open opens the spool in the file at path, or makes it. The directory must exist and be writable, on
// a local disk. ctx bounds the opening only. A file that is damaged gives an error that wraps
// [ErrCorrupt], unless [Config].SetAside; one that is no spool, or of a newer release, wraps
// [ErrInvalid].
func Open(ctx context.Context, path string, cfg Config) (*Spool, error) {
	return nil, errors.ErrUnsupported
}

// Put stores a record. When it returns nil the record is on the disk. A record with an ID that is in
// the spool already is kept once, as it was first put, and that is no error.
//
// When there is no room, it does what [Limit].OnFull says; the error then wraps [ErrFull]. An error
// that wraps [ErrUnknownOutcome] says that ctx ended while the record was being written.
func (s *Spool) Put(ctx context.Context, r Record) error { return errors.ErrUnsupported }

// Lease hands out up to n of the records that are ready, 1,000 and 16 MiB of bodies at most, in the
// order in which they were first put. Nobody else gets them before ttl has passed, 24 hours at most.
// It does not wait: without any ready record it returns none. The caller owns the bodies.
func (s *Spool) Lease(ctx context.Context, n int, ttl time.Duration) ([]Leased, error) {
	return nil, errors.ErrUnsupported
}

// Ack removes records that have been delivered, be their leases over or not: what is delivered need
// not be delivered again. Those that are gone already are no error.
func (s *Spool) Ack(ctx context.Context, leased ...Leased) error { return errors.ErrUnsupported }

// Nack gives records back that could not be delivered, and were at fault themselves as far as can be
// told: they are ready again once after has passed (at once when it is 0), or parked when
// they have been tried [Config].MaxTries times. Records whose lease has ended are left as they are.
func (s *Spool) Nack(ctx context.Context, after time.Duration, leased ...Leased) error {
	return errors.ErrUnsupported
}

// Release gives records back without counting a try: the receiver was not there, or the caller stops.
// Otherwise it is like Nack.
func (s *Spool) Release(ctx context.Context, after time.Duration, leased ...Leased) error {
	return errors.ErrUnsupported
}

// Park takes records out of the way that can never be delivered, before they have been tried
// [Config].MaxTries times. reason is for operators; 1,000 bytes of it are kept. Records whose lease
// has ended are left as they are.
func (s *Spool) Park(ctx context.Context, reason string, leased ...Leased) error {
	return errors.ErrUnsupported
}

// Parked lists up to n parked records, 1,000 and 16 MiB of bodies at most, in the order in which they
// were first put, beginning behind the one with the ID after; "" begins with the first.
func (s *Spool) Parked(ctx context.Context, after string, n int) ([]Parked, error) {
	return nil, errors.ErrUnsupported
}

// Requeue makes parked records ready again, with no try counted, and returns how many of the IDs were
// parked. Without IDs it is all that are parked.
func (s *Spool) Requeue(ctx context.Context, ids ...string) (int, error) {
	return 0, errors.ErrUnsupported
}

// Discard removes parked records, counts them under [Discarded], and returns how many of the IDs were
// parked. Without IDs it removes nothing.
func (s *Spool) Discard(ctx context.Context, ids ...string) (int, error) {
	return 0, errors.ErrUnsupported
}

// Stats returns the figures now.
func (s *Spool) Stats(ctx context.Context) (Stats, error) { return Stats{}, errors.ErrUnsupported }

// Close ends what is being written and closes the file. Leases that are open stay until they end. More
// calls than one are no error.
func (s *Spool) Close() error { return errors.ErrUnsupported }
