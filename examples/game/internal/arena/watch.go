package arena

import (
	"context"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// Watch is somebody who watches a game. One goroutine uses it; whoever got it closes it.
type Watch struct {
	arena *Arena
	table *table
	after journal.Position
	once  sync.Once
}

// Watch begins to watch a game after a position; 0 is before its first event.
func (a *Arena) Watch(ctx context.Context, id string, after journal.Position) (*Watch, error) {
	t, err := a.table(ctx, id)
	if err != nil {
		return nil, err
	}
	if after > t.now().Position() {
		// The position may have been seen elsewhere, a moment ago.
		if _, err := a.refresh(ctx, t); err != nil {
			return nil, err
		}
	}
	if last := t.now().Position(); after > last {
		return nil, errFuture.With("after_position", failure.Safe(after)).With("last_position", failure.Safe(last))
	}
	if !a.admit(t) {
		return nil, errTooManyWatchers.New()
	}
	return &Watch{arena: a, table: t, after: after}, nil
}

// admit counts one more watcher, if there may be one.
func (a *Arena) admit(t *table) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers >= a.Limits.WatchersPerGame {
		return false
	}
	if a.watchers.Add(1) > int64(a.Limits.Watchers) {
		a.watchers.Add(-1)
		return false
	}
	t.watchers++
	return true
}

// Next returns the events that happened since the last call, in order and maybe none, and a
// channel that is closed when there are more; nil when the game is over and nothing more will
// come.
func (w *Watch) Next() (events []record.Event, more <-chan struct{}) {
	w.table.mu.Lock()
	g, changed := w.table.game, w.table.changed
	w.table.mu.Unlock()
	events = g.After(w.after)
	w.after = max(w.after, g.Position())
	if g.State() == record.Over {
		return events, nil
	}
	return events, changed
}

// Close ends the watching. Closing twice is harmless.
func (w *Watch) Close() {
	w.once.Do(func() {
		w.table.mu.Lock()
		defer w.table.mu.Unlock()
		w.table.watchers--
		w.arena.watchers.Add(-1)
	})
}
