package arena

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// table is where one game is played: the game as this process knows it and what waits for it
// to go on. A table whose game is over never changes again.
type table struct {
	mu       sync.Mutex
	game     *record.Game
	changed  chan struct{} // closed when game is replaced
	watchers int

	deadline clock.Timer // of the side to move or of the game, nil before the arena is awake
	again    clock.Timer // tries again to let a bot think, nil unless that was refused
	thinking int         // a bot thinks or will think about move number thinking; 0: none does
}

func newTable(g *record.Game) *table { return &table{game: g, changed: make(chan struct{})} }

// now is the game as it stands.
func (t *table) now() *record.Game {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.game
}

// table finds the table of a game, at which everything has happened that the journal held when
// it was asked for, unless the table was there before.
func (a *Arena) table(ctx context.Context, id string) (*table, error) {
	if !validID(id) {
		return nil, unknown(id)
	}
	if t := a.cached(id); t != nil {
		return t, nil
	}
	g, err := a.read(ctx, record.New(id))
	if err != nil {
		return nil, err
	}
	if g.State() == record.Missing {
		return nil, unknown(id)
	}
	t := a.keep(g)
	if g.State() == record.Over {
		return t, nil
	}
	// Another process made the game a moment ago, and the feed may have been past some of
	// its events before the table was there: look once more.
	if _, err := a.refresh(ctx, t); err != nil {
		return nil, err
	}
	a.attend(t)
	return t, nil
}

// attend sets a new table's timer and its bot going, in an arena that is awake.
func (a *Arena) attend(t *table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.awake.Load() {
		a.set(t)
	}
}

func unknown(id string) error { return errUnknownGame.With("game_id", id) }

// cached is the table of a game, nil when there is none in memory.
func (a *Arena) cached(id string) *table {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[id]
	if t != nil {
		a.finished.touch(id)
	}
	return t
}

// keep gives a game that was read a table, or finds the one that it got meanwhile.
func (a *Arena) keep(g *record.Game) *table {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tables[g.ID]
	if t == nil && !a.closed {
		t = newTable(g)
		a.tables[g.ID] = t
		if g.State() == record.Over {
			a.retire(g.ID)
		}
	}
	if t == nil {
		return newTable(g)
	}
	return t
}

// retire lets a finished game be forgotten when it is the one not asked for longest. a.mu is
// held.
func (a *Arena) retire(id string) {
	if oldest, full := a.finished.add(id); full {
		delete(a.tables, oldest)
	}
}

// read is g with what the journal has after it.
func (a *Arena) read(ctx context.Context, g *record.Game) (*record.Game, error) {
	for recorded, err := range a.Journal.Read(ctx, streamPrefix+g.ID, g.Position()) {
		if err != nil {
			return nil, trouble(fmt.Errorf("read game %s: %w", g.ID, err))
		}
		e, err := eventOf(&recorded)
		if err != nil {
			return nil, trouble(err)
		}
		if g, err = g.With(e); err != nil {
			return nil, trouble(fmt.Errorf("%w: %w", journal.ErrCorrupt, err))
		}
	}
	return g, nil
}

// refresh brings a table up to date with the journal and returns the game as it stands then.
func (a *Arena) refresh(ctx context.Context, t *table) (*record.Game, error) {
	before := t.now()
	g, err := a.read(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := a.advance(t, g.Events[len(before.Events):]...); err != nil {
		return nil, trouble(err)
	}
	return t.now(), nil
}

// advance lets events happen at a table; those that have happened there already are left out.
func (a *Arena) advance(t *table, events ...record.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.game
	for _, e := range events {
		if e.Position <= t.game.Position() {
			continue
		}
		g, err := t.game.With(e)
		if err != nil {
			return fmt.Errorf("%w: %w", journal.ErrCorrupt, err)
		}
		t.game = g
	}
	if t.game == before {
		return nil
	}
	close(t.changed)
	t.changed = make(chan struct{})
	if t.game.State() == record.Over {
		t.disarm()
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.tables[t.game.ID] == t {
			a.retire(t.game.ID)
		}
		return nil
	}
	if a.awake.Load() {
		a.set(t)
	}
	return nil
}

// lru is a bounded set of ids, which knows which one was not asked for longest.
type lru struct {
	capacity int
	order    list.List // of string, the latest in front
	places   map[string]*list.Element
}

// add puts id in front and takes the last one out when there are too many.
func (l *lru) add(id string) (oldest string, full bool) {
	if l.places == nil {
		l.places = map[string]*list.Element{}
	}
	if l.touch(id) {
		return "", false
	}
	l.places[id] = l.order.PushFront(id)
	if l.order.Len() <= l.capacity {
		return "", false
	}
	oldest = l.order.Remove(l.order.Back()).(string)
	delete(l.places, oldest)
	return oldest, true
}

// touch puts id in front, if it is there.
func (l *lru) touch(id string) bool {
	place, ok := l.places[id]
	if ok {
		l.order.MoveToFront(place)
	}
	return ok
}
