package sqlite

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	queryCheckpoints = `SELECT name, pos, fence, sum FROM checkpoints`
	queryCheckpoint  = queryCheckpoints + ` WHERE name = ?`
	putCheckpoint    = `INSERT OR REPLACE INTO checkpoints(name, pos, fence, sum) VALUES(?, ?, ?, ?)`
)

// checkpoints are those of a store.
type checkpoints struct{ store *store }

// A mark is where a checkpoint is.
type mark struct {
	pos   journal.Position
	fence journal.Fence
}

// Checkpoints implements [journal.Journal].
func (s *store) Checkpoints() journal.Checkpoints { return checkpoints{s} }

// Load implements [journal.Checkpoints].
func (s checkpoints) Load(ctx context.Context, name string) (journal.Position, error) {
	if err := journal.ValidateCheckpoint(name); err != nil {
		return 0, err
	}
	var at mark
	err := s.store.with(ctx, func(c *conn) (err error) {
		at, err = c.checkpoint(name)
		return err
	})
	if err != nil {
		return 0, s.store.readError(fmt.Sprintf("checkpoint %q", name), err)
	}
	return at.pos, nil
}

// Move implements [journal.Checkpoints].
func (s checkpoints) Move(ctx context.Context, name string, fence journal.Fence, from, to journal.Position) error {
	if err := journal.ValidateMove(name, fence, from, to); err != nil {
		return err
	}
	return s.store.do(ctx, &request{change: &change{
		what: fmt.Sprintf("move checkpoint %q", name),
		do: func(c *conn, _ time.Time) (wrote bool, refusal, err error) {
			at, err := c.checkpoint(name)
			switch {
			case err != nil:
				return false, nil, err
			case fence < at.fence:
				return false, &journal.FencedError{Name: name, Fence: fence, Current: at.fence}, nil
			case from != at.pos:
				return false, &journal.CheckpointError{Name: name, From: from, Actual: at.pos}, nil
			case at == mark{to, fence}:
				return false, nil, nil
			}
			return true, nil, c.putCheckpoint(name, mark{to, fence})
		},
	}})
}

// checkpoint returns where the checkpoint is, which is the zero mark when it was never moved.
func (c *conn) checkpoint(name string) (at mark, err error) {
	err = each(c.Query(queryCheckpoint).Text(1, name), func(row *sqlite.Stmt) error {
		at, err = decodeCheckpoint(row)
		return err
	})
	return at, err
}

// decodeCheckpoint takes apart a row of queryCheckpoints.
func decodeCheckpoint(row *sqlite.Stmt) (mark, error) {
	name, pos, fence := row.ColumnText(0), row.ColumnInt64(1), row.ColumnInt64(2)
	if int64(checkpointSum(name, pos, fence)) != row.ColumnInt64(3) {
		return mark{}, fmt.Errorf("%w: the checksum of checkpoint %q is wrong", journal.ErrCorrupt, name)
	}
	return mark{journal.Position(pos), journal.Fence(fence)}, nil
}

func (c *conn) putCheckpoint(name string, m mark) error {
	pos, fence := int64(m.pos), int64(m.fence)
	return c.Query(putCheckpoint).Text(1, name).Number(2, pos).Number(3, fence).Number(4, int64(checkpointSum(name, pos, fence))).Run()
}

func checkpointSum(name string, pos, fence int64) sum {
	return sum(0).text(name).number(pos).number(fence)
}
