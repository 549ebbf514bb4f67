package journaltest_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/journaltest"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

func open(t testing.TB, url string) journal.Journal { return openAt(t, clock.Real(), url) }

func openAt(t testing.TB, c clock.Clock, url string) journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), &journal.Local{Time: c}, url, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// An engine's own test looks like this. See also the tests of chassis/journal/sqlite.
func ExampleRun() {
	_ = func(t *testing.T) {
		journaltest.Run(t, func(t *testing.T) journal.Journal { return open(t, "mem:") })
	}
	// Output:
}

func TestAGoodJournalPasses(t *testing.T) {
	urls := map[journal.Journal]string{}
	journaltest.Run(t, func(t *testing.T) journal.Journal {
		url := "file:" + filepath.Join(t.TempDir(), "j.db")
		j := open(t, url)
		urls[j] = url
		return j
	},
		journaltest.Reopen(func(t *testing.T, closed journal.Journal) journal.Journal { return open(t, urls[closed]) }),
		journaltest.Peer(func(t *testing.T, first journal.Journal) journal.Journal { return open(t, urls[first]) }),
		journaltest.Clocked(func(t *testing.T, c clock.Clock) journal.Journal { return openAt(t, c, "mem:") }))
}

// maker opens the journals that a rule needs, each changed by wrap: in a file where it is opened more
// than once, else in memory.
func maker(t *testing.T, promise string, wrap func(journal.Journal) journal.Journal) journaltest.Maker {
	url := "mem:"
	if journaltest.OpensTwice(promise) {
		url = "file:" + filepath.Join(t.TempDir(), "j.db")
	}
	again := func(t testing.TB, _ journal.Journal) journal.Journal { return wrap(open(t, url)) }
	return journaltest.Maker{
		Open:    func(t testing.TB) journal.Journal { return wrap(open(t, url)) },
		Reopen:  again,
		Peer:    again,
		Clocked: func(t testing.TB, c clock.Clock) journal.Journal { return wrap(openAt(t, c, url)) },
	}
}

// liar is a journal that breaks a promise where one of its functions is set.
type liar struct {
	journal.Journal
	append    func(j journal.Journal, ctx context.Context, stream string, expect journal.Expect, events []journal.Event) (journal.Version, error)
	version   func(v journal.Version) journal.Version
	all       func(iter.Seq2[journal.Recorded, error]) iter.Seq2[journal.Recorded, error]
	subscribe func(j journal.Journal, ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error]
	close     func(j journal.Journal) error

	many        func(j journal.Journal, ctx context.Context, batches []journal.Batch) (journal.Position, error)
	snapshots   func(journal.Snapshots) journal.Snapshots
	checkpoints func(journal.Checkpoints) journal.Checkpoints
	leases      func(journal.Leases) journal.Leases
}

func (l liar) Append(ctx context.Context, stream string, expect journal.Expect, events ...journal.Event) (journal.Version, error) {
	if l.append == nil {
		return l.Journal.Append(ctx, stream, expect, events...)
	}
	return l.append(l.Journal, ctx, stream, expect, events)
}

func (l liar) Version(ctx context.Context, stream string) (journal.Version, error) {
	v, err := l.Journal.Version(ctx, stream)
	if l.version != nil && err == nil {
		v = l.version(v)
	}
	return v, err
}

func (l liar) All(ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
	if l.all == nil {
		return l.Journal.All(ctx, after, f)
	}
	return l.all(l.Journal.All(ctx, after, f))
}

func (l liar) Subscribe(ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
	if l.subscribe == nil {
		return l.Journal.Subscribe(ctx, after, f)
	}
	return l.subscribe(l.Journal, ctx, after, f)
}

func (l liar) Close() error {
	if l.close == nil {
		return l.Journal.Close()
	}
	return l.close(l.Journal)
}

// change yields what seq yields, after edit; an event that edit refuses is left out.
func change(seq iter.Seq2[journal.Recorded, error], edit func(*journal.Recorded) bool) iter.Seq2[journal.Recorded, error] {
	return func(yield func(journal.Recorded, error) bool) {
		for e, err := range seq {
			if (err != nil || edit(&e)) && !yield(e, err) {
				return
			}
		}
	}
}

func TestEveryBrokenPromiseIsFound(t *testing.T) {
	const (
		expectations = "an append is stored only if the stream is as expected"
		conflict     = "a conflict stores nothing and names the actual version"
		allOrNone    = "an append is stored whole or not at all"
		yourWrites   = "whoever appended reads what they wrote"
		fidelity     = "events come back as they were appended"
		repetition   = "the same IDs and content are stored once and answered alike"
		reusedIDs    = "the same IDs with other content are refused"
		names        = "odd names are kept exactly"
		limits       = "arguments outside the limits are refused as invalid"
		endedContext = "an append whose context has ended stores nothing"
		ranges       = "reads begin after the given position and end at the head"
		filters      = "filters select by stream, prefix and type"
		loops        = "loops may call the journal, stop early and start again"
		future       = "a position from the future is an error"
		closed       = "a closed journal answers ErrClosed"
		reopen       = "a journal opened again holds what it held"
		from         = "a subscription goes on from any position without a gap"
		life         = "a subscription waits, wakes and ends with its context"
		slow         = "a slow subscriber skips nothing and holds nothing up"
		filtered     = "a subscription sees what its filter selects"
		order        = "no event appears late at a lower position"
		winners      = "of many writers to one stream each version has one winner"
		onlyWriter   = "the only writer of a stream never sees a conflict"
		racing       = "repetitions that race are stored once"
		closing      = "closing answers every append, and truly"
		kept         = "snapshots, checkpoints and leases outlive a restart"
		peers        = "two processes share what the journal holds"
		contention   = "two processes that append lose, double and skip nothing"
	)
	pass := func(j journal.Journal, ctx context.Context, stream string, expect journal.Expect, events []journal.Event) (journal.Version, error) {
		return j.Append(ctx, stream, expect, events...)
	}
	proven := map[string]bool{}
	all := map[string]breach{
		"ignores expectations": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, _ journal.Expect, e []journal.Event) (journal.Version, error) {
				return j.Append(ctx, s, journal.Any, e...)
			}}
		}, []string{expectations, conflict, winners}},
		"names no version in conflicts": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				v, err := j.Append(ctx, s, x, e...)
				if c := (*journal.ConflictError)(nil); errors.As(err, &c) {
					c.Actual = 0
				}
				return v, err
			}}
		}, []string{conflict, winners}},
		"stores events one by one": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, events []journal.Event) (v journal.Version, err error) {
				if len(events) == 0 || len(events) > journal.MaxEvents {
					return pass(j, ctx, s, x, events)
				}
				for _, e := range events {
					if v, err = j.Append(ctx, s, x, e); err != nil {
						return v, err
					}
					x = journal.At(v)
				}
				return v, nil
			}}
		}, []string{allOrNone, limits}},
		"acknowledges without storing": {func(inner journal.Journal) journal.Journal {
			var n atomic.Uint64
			return &liar{Journal: inner, append: func(_ journal.Journal, _ context.Context, _ string, _ journal.Expect, _ []journal.Event) (journal.Version, error) {
				return journal.Version(n.Add(1)), nil
			}}
		}, []string{yourWrites, expectations, ranges, from, slow, filtered, order, limits, endedContext, loops}},
		"cuts data": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, events []journal.Event) (journal.Version, error) {
				events = slices.Clone(events)
				for i := range events {
					events[i].Data = bytes.TrimRight(events[i].Data, "\x00")
				}
				return pass(j, ctx, s, x, events)
			}}
		}, []string{fidelity}},
		"forgets IDs": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, events []journal.Event) (journal.Version, error) {
				if err := journal.ValidateAppend(s, events); err != nil {
					return 0, err
				}
				events = slices.Clone(events)
				for i := range events {
					events[i].ID = ""
				}
				return pass(j, ctx, s, x, events)
			}}
		}, []string{fidelity, repetition, reusedIDs, racing}},
		"trusts IDs without looking at content": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				v, err := j.Append(ctx, s, x, e...)
				if r := (*journal.IDReusedError)(nil); errors.As(err, &r) {
					return r.Position, nil
				}
				return v, err
			}}
		}, []string{reusedIDs}},
		"folds case in names": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				return j.Append(ctx, strings.ToLower(s), x, e...)
			}}
		}, []string{names}},
		"ignores contexts": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, _ context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				return j.Append(context.Background(), s, x, e...)
			}}
		}, []string{endedContext}},
		"has stale versions": {func(inner journal.Journal) journal.Journal {
			last := journal.Version(0)
			return &liar{Journal: inner, version: func(v journal.Version) journal.Version {
				defer func() { last = v }()
				return last
			}}
		}, []string{yourWrites, winners}},
		"skips every hundredth event": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, all: func(seq iter.Seq2[journal.Recorded, error]) iter.Seq2[journal.Recorded, error] {
				return change(seq, func(e *journal.Recorded) bool { return e.Position%100 != 0 })
			}}
		}, []string{ranges, order}},
		"mixes types up": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, all: func(seq iter.Seq2[journal.Recorded, error]) iter.Seq2[journal.Recorded, error] {
				return change(seq, func(e *journal.Recorded) bool { e.Type = "t9"; return e.Position%7 != 0 })
			}}
		}, []string{filters}},
		"subscribes from the beginning": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, subscribe: func(j journal.Journal, ctx context.Context, _ journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
				return j.Subscribe(ctx, 0, f)
			}}
		}, []string{from, future}},
		"subscribes to everything": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, subscribe: func(j journal.Journal, ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
				return j.Subscribe(ctx, after, journal.Filter{})
			}}
		}, []string{filtered, limits}},
		"does not wait": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, subscribe: func(j journal.Journal, ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
				return j.All(ctx, after, f)
			}}
		}, []string{life, from, slow, order}},
		"drops what a slow subscriber has not taken": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, subscribe: func(j journal.Journal, ctx context.Context, after journal.Position, f journal.Filter) iter.Seq2[journal.Recorded, error] {
				return change(j.Subscribe(ctx, after, f), func(e *journal.Recorded) bool {
					head, err := j.Head(ctx)
					return err != nil || head-e.Position < 500
				})
			}}
		}, []string{slow}},
		"conflicts for no reason": {func(inner journal.Journal) journal.Journal {
			var mu sync.Mutex
			n := 0
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				mu.Lock()
				n++
				spurious := n == 150
				mu.Unlock()
				if spurious {
					return 0, &journal.ConflictError{Stream: s, Expected: x}
				}
				return pass(j, ctx, s, x, e)
			}}
		}, []string{onlyWriter}},
		"closes twice with an error": {func(inner journal.Journal) journal.Journal {
			var once sync.Once
			return &liar{Journal: inner, close: func(j journal.Journal) error {
				err := errors.New("closed already")
				once.Do(func() { err = j.Close() })
				return err
			}}
		}, []string{closed}},
		"says closed of what is stored": {func(inner journal.Journal) journal.Journal {
			return &liar{Journal: inner, append: func(j journal.Journal, ctx context.Context, s string, x journal.Expect, e []journal.Event) (journal.Version, error) {
				v, err := j.Append(ctx, s, x, e...)
				if len(e) == 1 && strings.HasSuffix(e[0].ID, ".2") {
					return 0, journal.ErrClosed
				}
				return v, err
			}}
		}, []string{closing}},
		another: {func(inner journal.Journal) journal.Journal { return inner }, []string{reopen, kept, peers, contention}},
	}
	maps.Copy(all, breaches)
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			for _, promise := range c.want {
				proven[promise] = true
				m := maker(t, promise, c.liar)
				if name == another {
					m.Reopen = func(t testing.TB, _ journal.Journal) journal.Journal { return open(t, "mem:") }
					m.Peer = m.Reopen
				}
				if !journaltest.Breaks(t, promise, m) {
					t.Errorf("a journal that %s passes %q", name, promise)
				}
			}
		})
	}
	for _, promise := range journaltest.Promises() {
		if !proven[promise] {
			t.Errorf("no broken journal shows that %q is checked", promise)
		}
	}
}

// another is the breach that is in the maker, not in the journal.
const another = "opens another journal"
