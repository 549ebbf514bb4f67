package arena_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestTwoArenasPlayOneGame(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, _ := w.start()
	g, err := a.Create(w.ctx, arena.Create{})
	if err != nil {
		t.Fatal(err)
	}
	var seen [2][]record.Event
	var wg sync.WaitGroup
	for i, arena := range []*arena.Arena{a, b} {
		wg.Go(func() { seen[i] = w.watch(arena, g.ID, 0) })
	}
	var tokens [3]string
	for i, on := range []*arena.Arena{b, a} {
		if _, tokens[1+i], err = on.Join(w.ctx, arena.Join{Game: g.ID, Name: "AB"[i : i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	// Each move is made where the other one was not, at once after it was acknowledged.
	for i, column := range []int{0, 1, 0, 1, 0, 1, 0} {
		on := []*arena.Arena{a, b}[i%2]
		if _, _, err := on.Drop(w.ctx, arena.Drop{Game: g.ID, Token: tokens[1+i%2], Column: column}); err != nil {
			t.Fatalf("move %d: %v", i+1, err)
		}
	}
	wg.Wait()
	for i := range seen {
		if got := story(seen[i]); got != "created A B 0 1 0 1 0 1 0 four red" {
			t.Errorf("a watcher at arena %d sees %q", i, got)
		}
	}
}

func TestOnlyOneOfManyMovesAtATimeIsMade(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	errs := make([]error, 14)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = []*arena.Arena{a, b}[i%2].Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red], Column: i / 2})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			w.wantNumber("a move that was not made", err, 1041)
		}
	}
	if g, err := b.Game(w.ctx, id); err != nil || made != 1 || len(g.Moves) != 1 {
		t.Errorf("%d moves were made, the game has %v, %v", made, g.Moves, err)
	}
}

func TestAGameMadeElsewhereIsKnownBeforeTheFeedTellsOfIt(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, bots := w.open() // does not follow yet
	defer bots.Close(w.ctx)
	id, tokens := w.match(a, arena.Create{Yellow: bot.Easy})
	g := w.play(b, id, tokens, "3")
	if len(g.Moves) != 1 {
		t.Errorf("the game is %+v", g)
	}
	if g := w.await(a, id, 4); len(g.Moves) < 2 {
		t.Errorf("the bot did not move: %v", g.Moves)
	}
	watch, err := b.Watch(w.ctx, id, g.Position()+1)
	if err != nil {
		t.Fatalf("the position after the bot's move is unknown: %v", err)
	}
	watch.Close()
	if err := b.Close(w.ctx); err != nil {
		t.Error(err)
	}
	// A closed arena still answers what is under way.
	if _, err := b.Game(w.ctx, id); err != nil {
		t.Error(err)
	}
}

func TestTimersAndBotsOfTwoArenasActOnce(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, _ := w.start()
	limit := time.Minute
	id, _ := w.match(a, arena.Create{TurnLimit: &limit})
	w.await(b, id, 3)
	w.clock.Advance(time.Minute)
	for _, arena := range []*arena.Arena{a, b} {
		if got := story(w.watch(arena, id, 0)); !strings.HasSuffix(got, "timeout yellow") || strings.Count(got, "timeout") != 1 {
			t.Errorf("a watcher sees %q", got)
		}
	}
	for range 5 {
		g, err := a.Create(w.ctx, arena.Create{Red: bot.Easy, Yellow: bot.Medium})
		if err != nil {
			t.Fatal(err)
		}
		one, other := w.watch(a, g.ID, 0), w.watch(b, g.ID, 0)
		if story(one) != story(other) {
			t.Errorf("one arena sees %q, the other %q", story(one), story(other))
		}
	}
}

func TestGamesSurviveARestart(t *testing.T) {
	w := newWorld(t)
	a, stop := w.start()
	limit := time.Minute
	late, _ := w.match(a, arena.Create{TurnLimit: &limit})
	id, tokens := w.match(a, arena.Create{Red: bot.Easy})
	w.await(a, id, 3)
	stop()

	// The move is stored while no bot can think.
	a, bots := w.open()
	w.play(a, id, [3]string{"", tokens[rules.Yellow], ""}, "0")
	if err := errors.Join(a.Close(w.ctx), bots.Close(w.ctx)); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)

	a, _ = w.start()
	if g := w.await(a, id, 5); len(g.Moves) != 3 {
		t.Errorf("the bot whose turn it was has not moved: %v", g.Moves)
	}
	w.clock.Advance(0)
	if got := story(w.watch(a, late, 0)); !strings.HasSuffix(got, "timeout yellow") {
		t.Errorf("the game whose time was over while nobody was there is %q", got)
	}
}

func TestRunSaysWhenItCannotFollow(t *testing.T) {
	w := newWorld(t)
	a, _ := w.open()
	if err := w.base.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Run(w.ctx); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Run gives %v", err)
	}
	if _, err := arena.Open(w.ctx, arena.Options{Journal: w.flaky, Rand: w.rand}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("Open gives %v", err)
	}
}

func TestAJournalThatHasFailedEndsTheRun(t *testing.T) {
	w := newWorld(t)
	a, bots := w.open()
	defer bots.Close(w.ctx)
	done := make(chan error, 1)
	go func() { done <- a.Run(w.ctx) }()
	w.on(&w.flaky.append, times(1, journal.ErrFailed))
	_, err := a.Create(w.ctx, arena.Create{})
	w.wantNumber("a wish", err, 1201)
	if err := <-done; !errors.Is(err, journal.ErrFailed) {
		t.Errorf("Run gives %v", err)
	}
	if err := a.Close(w.ctx); err != nil {
		t.Error(err)
	}
}
