package arena

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// How long a bot that was turned away waits: the first time, and at most.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// botsTurn reports whether a bot is to make move number n, counted from 1.
func botsTurn(g *record.Game, n int) bool {
	turn := g.Turn()
	return turn != rules.None && g.Seat(turn).Bot != 0 && len(g.Moves)+1 == n
}

// letThink queues the thinking about the next move, once, if it is a bot's. t.mu is held.
func (a *Arena) letThink(t *table) {
	n := len(t.game.Moves) + 1
	if t.thinking == n || !botsTurn(t.game, n) {
		return
	}
	t.thinking = n
	a.enqueue(t, n, 0)
}

// enqueue puts the thinking about move n into the queue, or tries again later. t.mu is held.
func (a *Arena) enqueue(t *table, n, attempt int) {
	err := a.Bots.Submit(a.base, queue.Meta{}, func(ctx context.Context) error { return a.think(ctx, t, n, attempt) })
	if err != nil {
		a.later(t, n, attempt, err)
	}
}

// later tries again after a pause that doubles with each attempt. t.mu is held.
func (a *Arena) later(t *table, n, attempt int, err error) {
	if a.base.Err() != nil {
		return
	}
	pause := min(firstPause<<min(attempt, 10), lastPause)
	var full *queue.Rejected
	if errors.As(err, &full) {
		pause = max(pause, full.RetryAfter)
	}
	t.again = a.Clock.AfterFunc(pause, func() {
		if !a.begin() {
			return
		}
		defer a.end()
		t.mu.Lock()
		defer t.mu.Unlock()
		if botsTurn(t.game, n) {
			a.enqueue(t, n, attempt+1)
		}
	})
}

// think finds and makes move n. Whatever goes wrong, a panic included, it is tried again; the
// queue's owner hears of it.
func (a *Arena) think(ctx context.Context, t *table, n, attempt int) (err error) {
	if !a.begin() {
		return nil
	}
	defer a.end()
	err = errors.New("the search panicked")
	defer func() {
		if err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			a.later(t, n, attempt, err)
		}
	}()
	g := t.now()
	if err = a.botMove(ctx, g, n); err != nil {
		err = fmt.Errorf("game %s: a bot's move %d: %w", g.ID, n, err)
	}
	return err
}

// botMove makes move n of a game, unless somebody did.
func (a *Arena) botMove(ctx context.Context, g *record.Game, n int) error {
	if !botsTurn(g, n) {
		return nil
	}
	var seed [16]byte
	if _, err := io.ReadFull(a.Rand, seed[:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(seed[:]), binary.BigEndian.Uint64(seed[8:])))
	a.searches.Add(1)
	column, err := bot.Move(ctx, g.Board, g.Seat(g.Turn()).Bot, random)
	if err != nil {
		return err
	}
	_, err = a.apply(ctx, change{
		game:    g.ID,
		id:      fmt.Sprintf("bot.%d", n),
		admit:   anybody,
		repeats: func(record.Fact) bool { return true },
		decide: func(g *record.Game) ([]record.Fact, error) {
			if !botsTurn(g, n) {
				return nil, nil
			}
			return move(g, column)
		},
	})
	return err
}
