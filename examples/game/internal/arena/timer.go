package arena

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// retryPause is how long a timer waits after the journal refused what it brought.
const retryPause = 5 * time.Second

// ending is when an open game ends if nothing happens, and how.
func (a *Arena) ending(g *record.Game) (time.Time, record.Finished) {
	if at, ok := g.TurnDeadline(); ok {
		return at, record.Finished{Ending: record.Timeout, Winner: g.Turn().Opponent()}
	}
	return g.Touched().Add(a.Limits.Idle), record.Finished{Ending: record.Abandoned}
}

// due is the end for which a game's time has come, and false when it has not.
func (a *Arena) due(g *record.Game) (record.Finished, bool) {
	if g.State() == record.Over {
		return record.Finished{}, false
	}
	at, end := a.ending(g)
	return end, !a.Clock.Now().Before(at)
}

// Wake sets the timers of all games and lets bots think whose turn it is. Before that it waits
// until Run has followed the journal to its head: an arena that slept before may have made moves
// that this one has not seen.
func (a *Arena) Wake(ctx context.Context) error {
	head, err := a.Journal.Head(ctx)
	if err == nil {
		err = a.index.wait(ctx, head)
	}
	if err != nil {
		return fmt.Errorf("follow the games: %w", err)
	}
	a.awake.Store(true)
	a.mu.Lock()
	tables := make([]*table, 0, len(a.tables))
	for _, t := range a.tables {
		tables = append(tables, t)
	}
	a.mu.Unlock()
	for _, t := range tables {
		t.mu.Lock()
		a.set(t)
		t.mu.Unlock()
	}
	return nil
}

// set sets a table's timer and lets a bot think if it is its turn. It may be called at any
// time. t.mu is held.
func (a *Arena) set(t *table) {
	g := t.game
	if g.State() == record.Over || a.base.Err() != nil {
		return
	}
	at, _ := a.ending(g)
	a.wake(t, at.Sub(a.Clock.Now()))
	a.letThink(t)
}

// wake has a table looked at after d. t.mu is held.
func (a *Arena) wake(t *table, d time.Duration) {
	if t.deadline != nil {
		t.deadline.Stop()
	}
	t.deadline = a.Clock.AfterFunc(d, func() { a.expire(t) })
}

// expire ends a table's game if its time has come.
func (a *Arena) expire(t *table) {
	if !a.begin() {
		return
	}
	defer a.end()
	g, err := a.apply(a.base, change{
		game:   t.now().ID,
		admit:  anybody,
		decide: func(*record.Game) ([]record.Fact, error) { return nil, nil },
	})
	switch {
	case err != nil && a.base.Err() == nil:
		a.Log.Error("a game could not be ended in time", zap.String("game", t.now().ID), zap.Error(err))
		t.mu.Lock()
		defer t.mu.Unlock()
		a.wake(t, retryPause)
	case err == nil && g.State() != record.Over:
		// The timer was early: wall clocks are adjusted.
		t.mu.Lock()
		defer t.mu.Unlock()
		a.set(t)
	}
}

// disarm stops what waits for the game to go on. t.mu is held.
func (t *table) disarm() {
	if t.deadline != nil {
		t.deadline.Stop()
	}
	if t.again != nil {
		t.again.Stop()
	}
	t.thinking = 0
}
