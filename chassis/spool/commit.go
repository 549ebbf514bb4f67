package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A task is one call on its way to the writer.
type task struct {
	bytes int // of the record that it puts, 0 if it puts none
	// apply does the call in the transaction under way. A refusal is the answer to a call that changed
	// nothing but counters; err is an error of SQLite, after which all is undone.
	apply func(*committer) (refusal, err error)
	err   error // the answer
}

// A committer runs transactions on its connection. It is used by one goroutine at a time.
type committer struct {
	sqlitefile.Conn
	cfg      Config
	clock    clock.Clock
	patience time.Duration // with other processes that write
	reserve  *reserve
	failed   error  // once set, nothing is done any more
	onPeer   func() // there are signs of another process
	onDone   func(before, after *numbers)
	step     func(string) // called between the steps of a transaction; does nothing outside tests

	n    numbers // of the transaction under way
	last numbers // after the last transaction
	now  int64
}

// commit does the tasks of the group, in one transaction if it puts no more than maxPut.
func (t *committer) commit(group []*task) {
	for len(group) > 0 {
		n, bytes := 0, 0
		for n < len(group) && (n == 0 || bytes+group[n].bytes <= maxPut) {
			bytes += group[n].bytes
			n++
		}
		t.commitPart(group[:n])
		group = group[n:]
	}
}

// storing reports whether a task puts a record.
func storing(k *task) bool { return k.bytes > 0 }

// commitPart does the tasks of the group in one transaction.
func (t *committer) commitPart(group []*task) {
	group = slices.Clone(group)
	if slices.ContainsFunc(group, storing) {
		if err := t.reserve.fill(); err != nil {
			group = refuse(group, err)
		}
	}
	relieved := 0
	for len(group) > 0 {
		if t.failed != nil {
			fail(group, t.failed)
			return
		}
		culprit, err := t.transact(group)
		switch {
		case err == nil:
			return
		case culprit != nil:
			// What this task did is undone together with the rest, so the rest goes again.
			culprit.err = err
			group = slices.DeleteFunc(group, func(k *task) bool { return k == culprit })
		case errors.Is(err, ErrDiskFull) && relieved < 3:
			relieved++
			group = t.relieve(relieved, group, err)
		default:
			fail(group, err)
			return
		}
	}
}

// relieve does the next thing that may help on a full disk, and returns what is left of the group.
func (t *committer) relieve(step int, group []*task, err error) []*task {
	switch step {
	case 2: // what only removes records, or marks them, needs less
		return refuse(group, err)
	case 3:
		_ = t.reserve.give() // if that fails nothing is gained, and the transaction says so again
	}
	// What has been committed may go to its place now, after which the log is written from its beginning
	// and need not grow.
	_ = sqlitefile.Exec(t.Conn.Conn, "PRAGMA wal_checkpoint(RESTART)")
	return group
}

// refuse fails the tasks that put records, and returns the others.
func refuse(group []*task, err error) []*task {
	return slices.DeleteFunc(group, func(k *task) bool {
		if storing(k) {
			k.err = err
		}
		return storing(k)
	})
}

func fail(group []*task, err error) {
	for _, k := range group {
		k.err = err
	}
}

// transact tries the whole group. An error with a culprit concerns that task alone; any other error
// all of them. In both cases the transaction is undone.
func (t *committer) transact(group []*task) (culprit *task, err error) {
	defer func() {
		if err != nil {
			sqlitefile.Rollback(t.Conn.Conn)
		}
	}()
	if err = sqlitefile.Begin(context.Background(), t.Conn, t.patience, t.onPeer); err == nil {
		err = t.load()
	}
	if err != nil {
		return nil, t.failure(err)
	}
	t.step("begun")
	before := t.n
	if before != t.last {
		t.last = before
		t.onPeer()
	}
	t.now = t.clock.Now().UnixNano()
	for _, k := range group {
		var err error
		if k.err, err = k.apply(t); err != nil {
			if sqlitefile.Diagnose(err) == sqlitefile.Request {
				return k, err
			}
			return nil, t.failure(err)
		}
		t.step("applied")
	}
	if err := t.save(&before); err != nil {
		return nil, t.failure(err)
	}
	t.step("saved")
	if err := t.Query("COMMIT").Run(); err != nil {
		if err = t.failure(err); t.failed != nil {
			// The commit may have reached the disk before the error did.
			err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
		}
		return nil, err
	}
	t.step("committed")
	t.last = t.n
	t.onDone(&before, &t.n)
	return nil, nil
}

// failure says what an error of the transaction means, and stops the spool when it means that the
// storage failed.
func (t *committer) failure(err error) error {
	storage := sqlitefile.Diagnose(err) == sqlitefile.Storage
	err = kind.Mark(err)
	if storage {
		t.failed = err
	}
	return err
}

// load reads the counters.
func (t *committer) load() error {
	t.n = numbers{}
	q := t.Query(queryCounters)
	defer q.End()
	for {
		row, err := q.Next()
		if err != nil || !row {
			return err
		}
		if c := slices.Index(counterNames[:], q.Stmt.ColumnText(0)); c >= 0 {
			t.n[c] = q.Stmt.ColumnInt64(1)
		}
	}
}

// save writes the counters that have changed.
func (t *committer) save(before *numbers) error {
	for c, n := range t.n {
		if n != before[c] {
			if err := t.Query(updateCounter).Text(1, counterNames[c]).Number(2, n).Run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// next draws the next number of a sequence, which no other transaction gets.
func (t *committer) next(c counter) int64 {
	t.n[c]++
	return t.n[c]
}
