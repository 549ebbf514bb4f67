package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	querySnapshots = `SELECT stream, version, schema, sum, data FROM snapshots`
	querySnapshot  = querySnapshots + ` WHERE stream = ?`
	queryNewer     = `SELECT 1 FROM snapshots WHERE stream = ? AND schema = ? AND version > ?`
	putSnapshot    = `INSERT OR REPLACE INTO snapshots(stream, version, schema, sum, data) VALUES(?, ?, ?, ?, ?)`
)

// snapshots are those of a store.
type snapshots struct{ store *store }

// Snapshots implements [journal.Journal].
func (s *store) Snapshots() journal.Snapshots { return snapshots{s} }

// Load implements [journal.Snapshots].
func (s snapshots) Load(ctx context.Context, stream string, schema uint32) (found journal.Snapshot, ok bool, err error) {
	if err := journal.ValidateStream(stream); err != nil {
		return journal.Snapshot{}, false, err
	}
	err = s.store.with(ctx, func(c *conn) error {
		number, err := c.find(stream)
		if err == nil {
			found, ok, err = c.snapshot(number)
		}
		return err
	})
	if err != nil {
		return journal.Snapshot{}, false, s.store.readError(fmt.Sprintf("snapshot of stream %q", stream), err)
	}
	if !ok || found.Schema != schema {
		return journal.Snapshot{}, false, nil
	}
	return found, true, nil
}

// Save implements [journal.Snapshots].
func (s snapshots) Save(ctx context.Context, stream string, n journal.Snapshot) error {
	if err := journal.ValidateSnapshot(stream, n); err != nil {
		return err
	}
	return s.store.do(ctx, &request{change: &change{
		what: fmt.Sprintf("save a snapshot of stream %q", stream),
		size: len(n.Data),
		do: func(c *conn, _ time.Time) (wrote bool, refusal, err error) {
			number, err := c.find(stream)
			if err != nil {
				return false, nil, err
			}
			version, err := c.version(number)
			if err != nil {
				return false, nil, err
			}
			if n.Version > version {
				return false, fmt.Errorf("snapshot of stream %q: %w: it is of version %d, and the stream has reached %d", stream, journal.ErrInvalid, n.Version, version), nil
			}
			newer, err := c.Query(queryNewer).Number(1, number).Number(2, int64(n.Schema)).Number(3, int64(n.Version)).One()
			if err != nil || newer != 0 {
				return false, nil, err
			}
			return true, nil, c.putSnapshot(number, n)
		},
	}})
}

// snapshot returns the snapshot of a stream by its number, and whether there is one.
func (c *conn) snapshot(stream int64) (s journal.Snapshot, ok bool, err error) {
	err = each(c.Query(querySnapshot).Number(1, stream), func(row *sqlite.Stmt) error {
		ok = true
		s, err = decodeSnapshot(row)
		return err
	})
	return s, ok, err
}

// decodeSnapshot takes apart a row of querySnapshots.
func decodeSnapshot(row *sqlite.Stmt) (journal.Snapshot, error) {
	stream, version, schema := row.ColumnInt64(0), row.ColumnInt64(1), row.ColumnInt64(2)
	data := make([]byte, row.ColumnLen(4))
	row.ColumnBytes(4, data)
	if int64(snapshotSum(stream, version, schema, data)) != row.ColumnInt64(3) {
		return journal.Snapshot{}, fmt.Errorf("%w: the checksum of the snapshot of stream number %d is wrong", journal.ErrCorrupt, stream)
	}
	return journal.Snapshot{Version: journal.Version(version), Schema: uint32(schema), Data: data}, nil
}

func (c *conn) putSnapshot(stream int64, s journal.Snapshot) error {
	version, schema := int64(s.Version), int64(s.Schema)
	q := c.Query(putSnapshot).Number(1, stream).Number(2, version).Number(3, schema)
	return q.Number(4, int64(snapshotSum(stream, version, schema, s.Data))).Blob(5, s.Data).Run()
}

func snapshotSum(stream, version, schema int64, data []byte) sum {
	return sum(0).number(stream).number(version).number(schema).bytes(data)
}
