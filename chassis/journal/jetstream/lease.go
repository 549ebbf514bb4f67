package jetstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// leases are those of a store. The body of a cell is fence, TTL in nanoseconds and end in nanoseconds since
// 1970, 8 bytes each, and the holder. The cell of one that was released or has expired stays, because the
// next fence is above its own.
type leases struct{ store *store }

const leaseHeader = 24

// Leases implements [journal.Journal].
func (s *store) Leases() journal.Leases { return leases{s} }

// Acquire implements [journal.Leases].
func (s leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error) {
	if err := journal.ValidateLease(name, holder, ttl); err != nil {
		return journal.Lease{}, err
	}
	return s.write(ctx, "acquire", name, func(last journal.Lease, now time.Time) (journal.Lease, error) {
		if last.Holder != holder && last.Held(now) {
			return last, &journal.HeldError{Name: name, Holder: last.Holder, Expires: last.Expires}
		}
		return journal.Lease{Name: name, Holder: holder, Fence: last.Fence + 1, TTL: ttl, Expires: ends(now, ttl)}, nil
	})
}

// Renew implements [journal.Leases].
func (s leases) Renew(ctx context.Context, l journal.Lease) (journal.Lease, error) {
	if err := journal.ValidateLease(l.Name, l.Holder, l.TTL); err != nil {
		return journal.Lease{}, err
	}
	return s.write(ctx, "renew", l.Name, func(last journal.Lease, now time.Time) (journal.Lease, error) {
		if !same(last, l) || !last.Held(now) {
			return last, fmt.Errorf("lease of %q under fence %d: %w", l.Holder, l.Fence, journal.ErrLeaseLost)
		}
		l.Expires = ends(now, l.TTL)
		return l, nil
	})
}

// Release implements [journal.Leases].
func (s leases) Release(ctx context.Context, l journal.Lease) error {
	if err := journal.ValidateLease(l.Name, l.Holder, l.TTL); err != nil {
		return err
	}
	_, err := s.write(ctx, "release", l.Name, func(last journal.Lease, _ time.Time) (journal.Lease, error) {
		if same(last, l) {
			last.Expires = time.Unix(0, 0).UTC()
		}
		return last, nil
	})
	return err
}

// same reports whether both are of one grant.
func same(a, b journal.Lease) bool { return a.Holder == b.Holder && a.Fence == b.Fence }

// ends is when a lease that is granted now ends, as it is stored.
func ends(now time.Time, ttl time.Duration) time.Time {
	return time.Unix(0, now.Add(ttl).UnixNano()).UTC()
}

// write makes the lease of a name what next says, which gets the last grant, the zero lease if there was
// none, and the time.
func (s leases) write(ctx context.Context, verb, name string, next func(last journal.Lease, now time.Time) (journal.Lease, error)) (journal.Lease, error) {
	var lease journal.Lease
	err := s.store.update(ctx, fmt.Sprintf("%s lease %q", verb, name), stateSubject(s.store.name, "lease", tokenOf(name)), func(b []byte) ([]byte, error) {
		last, err := decodeLease(name, b)
		if err != nil {
			return nil, err
		}
		if lease, err = next(last, s.store.clock.Now()); err != nil || lease == last {
			return b, err
		}
		return encodeLease(lease), nil
	})
	if err != nil {
		return journal.Lease{}, err
	}
	return lease, nil
}

func encodeLease(l journal.Lease) []byte {
	b := make([]byte, 0, leaseHeader+len(l.Holder))
	b = binary.LittleEndian.AppendUint64(b, uint64(l.Fence))
	b = binary.LittleEndian.AppendUint64(b, uint64(l.TTL))
	b = binary.LittleEndian.AppendUint64(b, uint64(l.Expires.UnixNano()))
	return append(b, l.Holder...)
}

// decodeLease takes apart a body; nil is the zero lease.
func decodeLease(name string, b []byte) (journal.Lease, error) {
	switch {
	case b == nil:
		return journal.Lease{}, nil
	case len(b) < leaseHeader:
		return journal.Lease{}, fmt.Errorf("%w: a lease of %d bytes", journal.ErrCorrupt, len(b))
	}
	return journal.Lease{
		Name:    name,
		Holder:  string(b[leaseHeader:]),
		Fence:   journal.Fence(binary.LittleEndian.Uint64(b)),
		TTL:     time.Duration(binary.LittleEndian.Uint64(b[8:])),
		Expires: time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:]))).UTC(),
	}, nil
}
