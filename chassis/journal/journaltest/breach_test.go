package journaltest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A breach is a journal that breaks promises, and which.
type breach struct {
	liar func(journal.Journal) journal.Journal
	want []string
}

func (l liar) AppendMany(ctx context.Context, batches ...journal.Batch) (journal.Position, error) {
	if l.many == nil {
		return l.Journal.AppendMany(ctx, batches...)
	}
	return l.many(l.Journal, ctx, batches)
}

func (l liar) Snapshots() journal.Snapshots {
	if l.snapshots == nil {
		return l.Journal.Snapshots()
	}
	return l.snapshots(l.Journal.Snapshots())
}

func (l liar) Checkpoints() journal.Checkpoints {
	if l.checkpoints == nil {
		return l.Journal.Checkpoints()
	}
	return l.checkpoints(l.Journal.Checkpoints())
}

func (l liar) Leases() journal.Leases {
	if l.leases == nil {
		return l.Journal.Leases()
	}
	return l.leases(l.Journal.Leases())
}

// saver is Snapshots that save, and maybe load, in another way.
type saver struct {
	journal.Snapshots
	save func(s journal.Snapshots, ctx context.Context, stream string, n journal.Snapshot) error
	load func(s journal.Snapshots, ctx context.Context, stream string, schema uint32) (journal.Snapshot, bool, error)
}

func (s saver) Save(ctx context.Context, stream string, n journal.Snapshot) error {
	return s.save(s.Snapshots, ctx, stream, n)
}

func (s saver) Load(ctx context.Context, stream string, schema uint32) (journal.Snapshot, bool, error) {
	if s.load == nil {
		return s.Snapshots.Load(ctx, stream, schema)
	}
	return s.load(s.Snapshots, ctx, stream, schema)
}

// mover is Checkpoints that move in another way.
type mover struct {
	journal.Checkpoints
	move func(c journal.Checkpoints, ctx context.Context, name string, fence journal.Fence, from, to journal.Position) error
}

func (m mover) Move(ctx context.Context, name string, fence journal.Fence, from, to journal.Position) error {
	return m.move(m.Checkpoints, ctx, name, fence, from, to)
}

// granter is Leases that are granted in another way.
type granter struct {
	journal.Leases
	acquire func(l journal.Leases, ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error)
}

func (g granter) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error) {
	return g.acquire(g.Leases, ctx, name, holder, ttl)
}

// breaches are those of AppendMany, of what is kept beside the events, and of time.
var breaches = map[string]breach{
	"appends to one stream after the other": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, many: func(j journal.Journal, ctx context.Context, batches []journal.Batch) (at journal.Position, err error) {
			for _, b := range batches {
				if at, err = j.Append(ctx, b.Stream, b.Expect, b.Events...); err != nil {
					break
				}
			}
			return at, err
		}}
	}, []string{
		"an append to several streams is stored whole or not at all",
		"appends to several streams outside the limits are refused as invalid",
	}},
	"stores a half": {func(inner journal.Journal) journal.Journal {
		var n atomic.Int64
		return liar{Journal: inner, many: func(j journal.Journal, ctx context.Context, batches []journal.Batch) (journal.Position, error) {
			if n.Add(1) != 5 {
				return j.AppendMany(ctx, batches...)
			}
			b := batches[0]
			if _, err := j.Append(ctx, b.Stream, journal.Any, b.Events...); err != nil {
				return 0, err
			}
			return 0, &journal.ConflictError{Stream: batches[1].Stream, Expected: batches[1].Expect}
		}}
	}, []string{"appends to several streams that race leave no halves"}},
	"cannot append to several streams, but does": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, many: func(j journal.Journal, ctx context.Context, batches []journal.Batch) (journal.Position, error) {
			_, err := j.AppendMany(ctx, batches...)
			return 0, errors.Join(err, journal.ErrUnsupported)
		}}
	}, []string{"an append to several streams is stored whole or not at all"}},
	"forgets the IDs of an append to several streams": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, many: func(j journal.Journal, ctx context.Context, batches []journal.Batch) (journal.Position, error) {
			batches = slices.Clone(batches)
			for i := range batches {
				batches[i].Expect, batches[i].Events = journal.Any, slices.Clone(batches[i].Events)
				for k := range batches[i].Events {
					batches[i].Events[k].ID = ""
				}
			}
			return j.AppendMany(ctx, batches...)
		}}
	}, []string{"a repeated append to several streams is stored once"}},

	"does not look at schemas": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, snapshots: func(s journal.Snapshots) journal.Snapshots {
			return saver{s, func(s journal.Snapshots, ctx context.Context, stream string, n journal.Snapshot) error {
				n.Schema = 0
				return s.Save(ctx, stream, n)
			}, func(s journal.Snapshots, ctx context.Context, stream string, schema uint32) (journal.Snapshot, bool, error) {
				n, ok, err := s.Load(ctx, stream, 0)
				n.Schema = schema
				return n, ok, err
			}}
		}}
	}, []string{"a snapshot is loaded as it was saved, by its schema only"}},
	"keeps what was saved last": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, snapshots: func(s journal.Snapshots) journal.Snapshots {
			return saver{Snapshots: s, save: func(s journal.Snapshots, ctx context.Context, stream string, n journal.Snapshot) error {
				other := n
				other.Schema += 1000
				return errors.Join(s.Save(ctx, stream, other), s.Save(ctx, stream, n))
			}}
		}}
	}, []string{"an older snapshot does not replace a newer one"}},
	"takes any snapshot": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, snapshots: func(s journal.Snapshots) journal.Snapshots {
			return saver{Snapshots: s, save: func(s journal.Snapshots, ctx context.Context, stream string, n journal.Snapshot) error {
				if err := s.Save(ctx, stream, n); !errors.Is(err, journal.ErrInvalid) {
					return err
				}
				return nil
			}}
		}}
	}, []string{"snapshots outside the limits, and of what has not happened, are refused"}},

	"moves checkpoints from anywhere": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, checkpoints: func(c journal.Checkpoints) journal.Checkpoints {
			return mover{c, func(c journal.Checkpoints, ctx context.Context, name string, fence journal.Fence, from, to journal.Position) (err error) {
				var elsewhere *journal.CheckpointError
				for err = c.Move(ctx, name, fence, from, to); errors.As(err, &elsewhere); {
					err = c.Move(ctx, name, fence, elsewhere.Actual, to)
				}
				return err
			}}
		}}
	}, []string{"a checkpoint moves only from where it is", "of many that move a checkpoint each step has one winner"}},
	"folds case in names of checkpoints": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, checkpoints: func(c journal.Checkpoints) journal.Checkpoints {
			return mover{c, func(c journal.Checkpoints, ctx context.Context, name string, fence journal.Fence, from, to journal.Position) error {
				return c.Move(ctx, strings.ToLower(name), fence, from, to)
			}}
		}}
	}, []string{"checkpoints and leases are told apart by their exact names"}},
	"knows no fences": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, checkpoints: func(c journal.Checkpoints) journal.Checkpoints {
			return mover{c, func(c journal.Checkpoints, ctx context.Context, name string, _ journal.Fence, from, to journal.Position) error {
				return c.Move(ctx, name, 7, from, to)
			}}
		}}
	}, []string{"a stale fence moves no checkpoint", "two processes share what the journal holds"}},

	"grants what is held": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, leases: func(l journal.Leases) journal.Leases {
			return granter{l, func(l journal.Leases, ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error) {
				lease, err := l.Acquire(ctx, name, holder, ttl)
				for held := (*journal.HeldError)(nil); errors.As(err, &held); {
					lease, err = l.Acquire(ctx, name, held.Holder, ttl)
				}
				lease.Holder = holder
				return lease, err
			}}
		}}
	}, []string{"a lease has one holder, and each grant a higher fence", "of many that want a lease one gets it"}},
	"gives every grant the same fence": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, leases: func(l journal.Leases) journal.Leases {
			return granter{l, func(l journal.Leases, ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error) {
				lease, err := l.Acquire(ctx, name, holder, ttl)
				lease.Fence = 1
				return lease, err
			}}
		}}
	}, []string{"a lease has one holder, and each grant a higher fence", "of many that want a lease one gets it", "a lease ends when its time is over"}},
	"never takes a lease from its holder": {func(inner journal.Journal) journal.Journal {
		first := ""
		return liar{Journal: inner, leases: func(l journal.Leases) journal.Leases {
			return granter{l, func(l journal.Leases, ctx context.Context, name, holder string, ttl time.Duration) (journal.Lease, error) {
				if first == "" {
					first = holder
				}
				if holder != first {
					return journal.Lease{}, &journal.HeldError{Name: name, Holder: first}
				}
				return l.Acquire(ctx, name, holder, ttl)
			}}
		}}
	}, []string{
		"a lease has one holder, and each grant a higher fence",
		"a lease ends when its time is over",
		"a clock that is set back keeps no lease for more than twice its time",
	}},

	"orders events by their time": {func(inner journal.Journal) journal.Journal {
		return liar{Journal: inner, all: func(seq iter.Seq2[journal.Recorded, error]) iter.Seq2[journal.Recorded, error] {
			return func(yield func(journal.Recorded, error) bool) {
				var events []journal.Recorded
				for e, err := range seq {
					if err != nil {
						yield(e, err)
						return
					}
					events = append(events, e)
				}
				slices.SortStableFunc(events, func(a, b journal.Recorded) int { return a.Time.Compare(b.Time) })
				for _, e := range events {
					if !yield(e, nil) {
						return
					}
				}
			}
		}}
	}, []string{"events keep their order when the clock jumps"}},
}
