package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// store is the journal of one life of the service, as its fake sees it.
type store struct {
	begin *State // what is to be in it at first; nil for what is there

	mu      sync.Mutex
	journal journal.Journal // nil before the service has opened it
	opened  int             // journals
	keep    bool            // its last state is wanted
	last    []journal.Recorded
	err     error // why there is no last state
}

// ErrSeveralJournals is what Snapshot, Restore, Given and Fork say of a service that keeps several journals: it
// has no state that could be taken or put back. See [State].
var ErrSeveralJournals = errors.New("the service keeps several journals, and a state is of one")

// open is the service's World.OpenJournal.
func (s *store) open(ctx context.Context, e journal.Engine, r journal.Request) (journal.Journal, error) {
	back := &backdated{Clock: r.Clock}
	r.Clock = back
	j, err := e.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened++; s.opened > 1 {
		if s.begin.empty() {
			return j, nil
		}
		return nil, errors.Join(ErrSeveralJournals, j.Close())
	}
	if s.begin != nil {
		missing, err := s.missing(ctx, j)
		if err == nil {
			err = fill(ctx, j, back, missing)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("put the state into the journal: %w", err), j.Close())
		}
	}
	s.journal = j
	return &kept{j, s}, nil
}

// missing is what the state has behind what is in the journal already: of one that is kept from one start
// to the next, on a disk, nothing can be taken away.
func (s *store) missing(ctx context.Context, j journal.Journal) ([]journal.Recorded, error) {
	there, err := readAll(ctx, j)
	if err != nil {
		return nil, err
	}
	if n := len(there); n > len(s.begin.Events) || !slices.EqualFunc(there, s.begin.Events[:n], sameEvent) {
		return nil, fmt.Errorf("it has %d events of its own when it is opened: want one that is empty then, as mem: is", n)
	}
	return s.begin.Events[len(there):], nil
}

// sameEvent reports whether two journals have the same event, be it in other positions.
func sameEvent(a, b journal.Recorded) bool {
	return a.Stream == b.Stream && a.ID == b.ID && a.Type == b.Type && a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data)
}

// filled reports whether the service has opened what the state was to be put into.
func (s *store) filled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == 0 && !s.begin.empty() {
		return errors.New("the service keeps no journal that events could be put into")
	}
	return nil
}

// read is what is in the journal now; nothing if there is none.
func (s *store) read(ctx context.Context) ([]journal.Recorded, error) {
	s.mu.Lock()
	j, opened := s.journal, s.opened
	s.mu.Unlock()
	switch {
	case opened > 1:
		return nil, ErrSeveralJournals
	case j == nil:
		return nil, nil
	}
	return readAll(ctx, j)
}

// want has what is in the journal kept when it is closed.
func (s *store) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = true
}

// final is what was in the journal at the end of the service.
func (s *store) final() ([]journal.Recorded, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.opened > 1:
		return nil, ErrSeveralJournals
	case s.keep && s.journal != nil: // the service has ended, and left it open
		return readAll(context.Background(), s.journal)
	}
	return s.last, s.err
}

// kept is a journal whose last state may be wanted.
type kept struct {
	journal.Journal
	store *store
}

// Close implements journal.Journal. Whatever could still append has ended when it is called.
func (k *kept) Close() error {
	k.store.mu.Lock()
	if k.store.keep {
		k.store.last, k.store.err = readAll(context.Background(), k.Journal)
		k.store.keep = false
	}
	k.store.mu.Unlock()
	return k.Journal.Close()
}

// Backup implements journal.Backuper.
func (k *kept) Backup(ctx context.Context, path string) error {
	return journal.Backup(ctx, k.Journal, path)
}

const (
	// MaxStateEvents is how many events a state has at most, and MaxStateBytes how many bytes of data.
	MaxStateEvents = 100_000
	MaxStateBytes  = 64 << 20
)

func readAll(ctx context.Context, j journal.Journal) ([]journal.Recorded, error) {
	var events []journal.Recorded
	size := 0
	for e, err := range j.All(ctx, 0, journal.Filter{}) {
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if size += len(e.Data); len(events) == MaxStateEvents || size > MaxStateBytes {
			return nil, fmt.Errorf("the journal has more than the %d events, or %d bytes, of a state", MaxStateEvents, MaxStateBytes)
		}
		e.Data = slices.Clone(e.Data)
		events = append(events, e)
	}
	return events, nil
}

// backdated is the clock of a journal, which can record what has happened before.
type backdated struct {
	clock.Clock
	then atomic.Pointer[time.Time] // nil: it is now
}

// Now implements clock.Clock.
func (b *backdated) Now() time.Time {
	if then := b.then.Load(); then != nil {
		return *then
	}
	return b.Clock.Now()
}

// fill appends events to a journal, with their times.
func fill(ctx context.Context, j journal.Journal, back *backdated, events []journal.Recorded) error {
	defer back.then.Store(nil)
	for batch := range batches(events) {
		back.then.Store(&batch[0].Time)
		appended := make([]journal.Event, len(batch))
		for i := range batch {
			appended[i] = batch[i].Event
		}
		if _, err := j.Append(ctx, batch[0].Stream, journal.Any, appended...); err != nil {
			return err
		}
	}
	return nil
}

// batches are events that one append can take, one after another.
func batches(events []journal.Recorded) iter.Seq[[]journal.Recorded] {
	return func(yield func([]journal.Recorded) bool) {
		for len(events) > 0 {
			first, n, size := events[0], 1, len(events[0].Data)
			for n < min(len(events), journal.MaxEvents) {
				e := events[n]
				if size += len(e.Data); size > journal.MaxAppendBytes || e.Stream != first.Stream || !e.Time.Equal(first.Time) || (e.ID == "") != (first.ID == "") {
					break
				}
				n++
			}
			if !yield(events[:n]) {
				return
			}
			events = events[n:]
		}
	}
}
