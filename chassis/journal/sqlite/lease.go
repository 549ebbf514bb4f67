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

// Leases implements [journal.Journal].
func (s *store) Leases() journal.Leases { return journal.LeasesOn(s.updateLease) }

// updateLease is the [journal.LeaseUpdate] of a store.
func (s *store) updateLease(ctx context.Context, what, name string, next func(last journal.Lease, now time.Time) (journal.Lease, error)) error {
	return s.do(ctx, &request{change: &change{
		what: what,
		do: func(c *conn, now time.Time) (wrote bool, refusal, err error) {
			last, err := c.lease(name)
			if err != nil {
				return false, nil, err
			}
			lease, refusal := next(last, now)
			if refusal != nil || lease == last {
				return false, refusal, nil
			}
			return true, nil, c.putLease(lease)
		},
	}})
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
