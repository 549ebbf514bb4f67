package jetstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// The body of a lease's cell is fence, TTL in nanoseconds and end in nanoseconds since 1970, 8 bytes each, and
// the holder.
const leaseHeader = 24

// Leases implements [journal.Journal].
func (s *store) Leases() journal.Leases { return journal.LeasesOn(s.updateLease) }

// updateLease is the [journal.LeaseUpdate] of a store.
func (s *store) updateLease(ctx context.Context, what, name string, next func(last journal.Lease, now time.Time) (journal.Lease, error)) error {
	return s.update(ctx, what, stateSubject(s.name, "lease", tokenOf(name)), func(b []byte) ([]byte, error) {
		last, err := decodeLease(name, b)
		if err != nil {
			return nil, err
		}
		lease, err := next(last, s.clock.Now())
		if err != nil || lease == last {
			return b, err
		}
		return encodeLease(lease), nil
	})
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
