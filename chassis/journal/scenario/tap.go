package scenario

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A Tap is a way into the journal of a service: hand the service [Tap.Engine] in place of its own
// engine, and scenarios can put histories into what it opens, read what comes of commands, and have
// it fail. Make one with [NewTap]. It is safe for concurrent use.
type Tap struct {
	engine journal.Engine

	mu      sync.Mutex
	journal journal.Journal // the latest that was opened
	shift   time.Duration   // how far the journal's clock is put back
	fault   Fault
	lose    int // appends until the one whose answer is lost; 0 loses none
}

// NewTap returns a tap on the journal that a service will open with engine.
func NewTap(engine journal.Engine) *Tap { return &Tap{engine: engine} }

// Engine is the engine to be handed to the service.
func (t *Tap) Engine() journal.Engine {
	return journal.Engine{
		Schemes: t.engine.Schemes,
		Open: func(ctx context.Context, r journal.Request) (journal.Journal, error) {
			r.Clock = shifted{r.Clock, t}
			j, err := t.engine.Open(ctx, r)
			if err != nil {
				return nil, err
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.journal = j
			return tapped{j, t}, nil
		},
	}
}

// Journal is the journal that was opened last, without the tap's faults; nil before. Whoever opened
// it closes it.
func (t *Tap) Journal() journal.Journal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.journal
}

// ago has f append what the journal shall date back by d. So it does with what the service itself
// appends meanwhile: nothing is ordered by time.
func (t *Tap) ago(d time.Duration, f func() error) error {
	set := func(d time.Duration) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.shift = d
	}
	set(d)
	defer set(0)
	return f()
}

// arm has the journal fail, and lose the answer to the n-th append from now on; 0 loses none.
func (t *Tap) arm(f Fault, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault, t.lose = f, n
}

// disarm ends what arm began.
func (t *Tap) disarm() { t.arm(Fault{}, 0) }

// lost reports whether the append came whose answer was to be lost.
func (t *Tap) lost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lose == 0
}

// next is what is wrong with the append that comes now.
func (t *Tap) next() Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lose > 0 {
		if t.lose--; t.lose == 0 {
			return Fault{Appends: errLost, Stored: true}
		}
	}
	return t.fault
}

var errLost = fmt.Errorf("the answer was lost: %w", journal.ErrUnknownOutcome)

// tapped is the journal as the service sees it.
type tapped struct {
	journal.Journal
	tap *Tap
}

// Append implements journal.Journal.
func (j tapped) Append(ctx context.Context, stream string, expect journal.Expect, events ...journal.Event) (journal.Version, error) {
	return j.append(func() (journal.Position, error) { return j.Journal.Append(ctx, stream, expect, events...) })
}

// AppendMany implements journal.Journal.
func (j tapped) AppendMany(ctx context.Context, batches ...journal.Batch) (journal.Position, error) {
	return j.append(func() (journal.Position, error) { return j.Journal.AppendMany(ctx, batches...) })
}

// append appends, or fails as the tap wants it.
func (j tapped) append(store func() (journal.Position, error)) (journal.Position, error) {
	f := j.tap.next()
	if f.Appends == nil {
		return store()
	}
	if f.Stored {
		if _, err := store(); err != nil {
			return 0, err // there is no answer to lose: nothing was stored
		}
	}
	return 0, f.Appends
}

// Read implements journal.Journal.
func (j tapped) Read(ctx context.Context, stream string, after journal.Version) iter.Seq2[journal.Recorded, error] {
	j.tap.mu.Lock()
	err := j.tap.fault.Reads
	j.tap.mu.Unlock()
	if err != nil {
		return func(yield func(journal.Recorded, error) bool) { yield(journal.Recorded{}, err) }
	}
	return j.Journal.Read(ctx, stream, after)
}

// Backup implements journal.Backuper.
func (j tapped) Backup(ctx context.Context, path string) error {
	return journal.Backup(ctx, j.Journal, path)
}

// shifted is a clock that the tap can put back.
type shifted struct {
	clock.Clock
	tap *Tap
}

// Now implements clock.Clock.
func (c shifted) Now() time.Time {
	c.tap.mu.Lock()
	defer c.tap.mu.Unlock()
	return c.Clock.Now().Add(-c.tap.shift)
}

var errNoJournal = errors.New("the service has not opened its journal with Tap.Engine")
