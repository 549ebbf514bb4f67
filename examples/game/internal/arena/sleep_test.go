package arena_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
)

func TestWhatOneArenaLeavesAnotherTakesUp(t *testing.T) {
	w := newWorld(t)
	first, stop := w.start()
	if err := first.Sleep(w.ctx); err != nil {
		t.Fatal(err)
	}
	g, err := first.Create(w.ctx, arena.Create{Red: bot.Easy, Yellow: bot.Easy})
	if err != nil {
		t.Fatal(err)
	}
	if n := first.Stats().Searches; n != 0 {
		t.Errorf("an arena that sleeps has searched for %d moves", n)
	}
	if now, err := first.Game(w.ctx, g.ID); err != nil || len(now.Moves) > 0 {
		t.Errorf("while it slept the game became %v, %v", now, err)
	}
	stop()

	second, _ := w.start()
	watch, err := second.Watch(w.ctx, g.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	for {
		_, more := watch.Next()
		if more == nil {
			break
		}
		select {
		case <-more:
		case <-w.ctx.Done():
			t.Fatal("the game does not end")
		}
	}
}

func TestAnArenaWakesOnlyWhenItKnowsEverything(t *testing.T) {
	w := newWorld(t)
	late, _ := w.open() // follows nothing: nobody runs it
	early, _ := w.start()
	if _, err := early.Create(w.ctx, arena.Create{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond)
	defer cancel()
	if err := late.Wake(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it woke, %v, although it has not seen the game", err)
	}
}
