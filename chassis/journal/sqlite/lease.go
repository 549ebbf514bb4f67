package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	queryLeases = `SELECT name, holder, fence, ttl, expires, sum FROM leases`
	queryLease  = queryLeases + ` WHERE name = ?`
	putLease    = `INSERT OR REPLACE INTO leases(name, holder, fence, ttl, expires, sum) VALUES(?, ?, ?, ?, ?, ?)`
)

// leases are those of a store. The row of one that was released or has expired stays, because the
// next fence is above its own.
type leases struct{ store *store }

// Leases implements [journal.Journal].
func (s *store) Leases() journal.Leases { return leases{s} }

// Acquire implements [journal.Leases].
func (s leases) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (granted journal.Lease, err error) {
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
func (s leases) Renew(ctx context.Context, l journal.Lease) (renewed journal.Lease, err error) {
	if err := journal.ValidateLease(l.Name, l.Holder, l.TTL); err != nil {
		return journal.Lease{}, err
	}
	return s.write(ctx, "renew", l.Name, func(last journal.Lease, now time.Time) (journal.Lease, error) {
		if !same(last, l) || !last.Held(now) {
			return last, fmt.Errorf("lease %q of %q under fence %d: %w", l.Name, l.Holder, l.Fence, journal.ErrLeaseLost)
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

// write makes the lease of a name what next says, which gets the last grant, the zero lease if there
// was none, and the time.
func (s leases) write(ctx context.Context, verb, name string, next func(last journal.Lease, now time.Time) (journal.Lease, error)) (journal.Lease, error) {
	var lease journal.Lease
	err := s.store.do(ctx, &request{change: &change{
		what: fmt.Sprintf("%s lease %q", verb, name),
		do: func(c *conn, now time.Time) (wrote bool, refusal, err error) {
			last, err := c.lease(name)
			if err != nil {
				return false, nil, err
			}
			if lease, refusal = next(last, now); refusal != nil || lease == last {
				return false, refusal, nil
			}
			return true, nil, c.putLease(lease)
		},
	}})
	if err != nil {
		return journal.Lease{}, err
	}
	return lease, nil
}

// lease returns the last grant of a name, the zero lease if there was none.
func (c *conn) lease(name string) (l journal.Lease, err error) {
	err = each(c.Query(queryLease).Text(1, name), func(row *sqlite.Stmt) error {
		l, err = decodeLease(row)
		return err
	})
	return l, err
}

// decodeLease takes apart a row of queryLeases.
func decodeLease(row *sqlite.Stmt) (journal.Lease, error) {
	l := journal.Lease{
		Name:    row.ColumnText(0),
		Holder:  row.ColumnText(1),
		Fence:   journal.Fence(row.ColumnInt64(2)),
		TTL:     time.Duration(row.ColumnInt64(3)),
		Expires: time.Unix(0, row.ColumnInt64(4)).UTC(),
	}
	if int64(leaseSum(l)) != row.ColumnInt64(5) {
		return journal.Lease{}, fmt.Errorf("%w: the checksum of lease %q is wrong", journal.ErrCorrupt, l.Name)
	}
	return l, nil
}

func (c *conn) putLease(l journal.Lease) error {
	q := c.Query(putLease).Text(1, l.Name).Text(2, l.Holder).Number(3, int64(l.Fence)).Number(4, int64(l.TTL))
	return q.Number(5, l.Expires.UnixNano()).Number(6, int64(leaseSum(l))).Run()
}

func leaseSum(l journal.Lease) sum {
	return sum(0).text(l.Name).text(l.Holder).number(int64(l.Fence)).number(int64(l.TTL)).number(l.Expires.UnixNano())
}
