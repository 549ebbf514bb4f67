package arena_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestWhoeverThinksTooLongLoses(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	limit := time.Minute
	id, tokens := w.match(a, arena.Create{TurnLimit: &limit})
	w.clock.Advance(limit - 1)
	g := w.play(a, id, tokens, "3")
	if at, ok := g.TurnDeadline(); !ok || !at.Equal(w.clock.Now().Add(limit)) {
		t.Errorf("Yellow has until %v, %v", at, ok)
	}
	w.clock.Advance(limit - 1)
	if g, _ := a.Game(w.ctx, id); g.State() != record.Running {
		t.Errorf("the game is over too early: %+v", g.End)
	}
	w.clock.Advance(1)
	g, err := a.Game(w.ctx, id)
	if err != nil || g.End.Ending != record.Timeout || g.End.Winner != rules.Red || !g.Touched().Equal(w.clock.Now()) {
		t.Errorf("the game ends with %+v at %v, %v", g.End, g.Touched(), err)
	}
	if n := w.clock.Pending(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

func TestTimeDoesNotRunBeforeBothAreThere(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	limit := time.Minute
	g, err := a.Create(w.ctx, arena.Create{TurnLimit: &limit})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	if g, err = a.Game(w.ctx, g.ID); err != nil || g.State() != record.Waiting {
		t.Errorf("the game is in state %v, %v", g.State(), err)
	}
}

func TestGamesInWhichNothingHappensAreGivenUp(t *testing.T) {
	w := newWorld(t)
	w.limits.Idle = time.Hour
	a, _ := w.start()
	waiting, err := a.Create(w.ctx, arena.Create{})
	if err != nil {
		t.Fatal(err)
	}
	running, _ := w.match(a, arena.Create{})
	w.clock.Advance(time.Hour)
	for _, id := range []string{waiting.ID, running} {
		g, err := a.Game(w.ctx, id)
		if err != nil || g.End.Ending != record.Abandoned || g.End.Winner != rules.None {
			t.Errorf("the game ends with %+v, %v", g.End, err)
		}
	}
	_, _, err = a.Join(w.ctx, arena.Join{Game: waiting.ID, Name: "Ann"})
	w.wantNumber("joining a game that was given up", err, 1044)
	if _, _, err := a.List(w.ctx, arena.List{}); err != nil {
		t.Fatal(err)
	}
	if s := a.Stats(); s.Open != 0 || s.Finished[record.Abandoned] != 2 {
		t.Errorf("the figures are %+v", s)
	}
}

func TestAMoveThatComesTooLateEndsTheGame(t *testing.T) {
	w := newWorld(t)
	a, bots := w.open() // no timers
	defer bots.Close(w.ctx)
	limit := time.Minute
	id, tokens := w.match(a, arena.Create{TurnLimit: &limit})
	w.clock.Advance(limit)
	_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red]})
	w.wantNumber("a late move", err, 1044)
	if g, err := a.Game(w.ctx, id); err != nil || g.End.Ending != record.Timeout || len(g.Moves) != 0 {
		t.Errorf("the game is %+v, %v", g, err)
	}
}

func TestATimerTriesAgainWhenTheJournalFails(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	limit := time.Minute
	id, _ := w.match(a, arena.Create{TurnLimit: &limit})
	w.on(&w.flaky.append, times(2, journal.ErrFull))
	w.clock.Advance(limit)
	if g, err := a.Game(w.ctx, id); err != nil || g.State() != record.Running {
		t.Errorf("the game is in state %v, %v", g.State(), err)
	}
	w.clock.Advance(10 * time.Second)
	if g, err := a.Game(w.ctx, id); err != nil || g.End.Ending != record.Timeout {
		t.Errorf("the game ends with %+v, %v", g.End, err)
	}
}

func TestATimerThatIsEarlyWaitsOn(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	limit := time.Minute
	id, _ := w.match(a, arena.Create{TurnLimit: &limit})
	// The move is stored by another process and not told of yet when the timer fires.
	gone := make(chan struct{})
	w.on(&w.flaky.read, func() error {
		select {
		case <-gone:
		default:
			close(gone)
			_, err := w.base.Append(w.ctx, "game-"+id, journal.Any, journal.Event{Type: "dropped", Data: []byte(`{"v":1,"side":"red","cell":[0,0]}`)})
			return err
		}
		return nil
	})
	w.on(&w.flaky.append, times(1, &journal.ConflictError{Stream: "game-" + id, Expected: journal.Any}))
	w.clock.Advance(limit)
	if g, err := a.Game(w.ctx, id); err != nil || g.State() != record.Running || len(g.Moves) != 1 {
		t.Errorf("the game is %+v, %v", g, err)
	}
	w.clock.Advance(limit)
	if g, err := a.Game(w.ctx, id); err != nil || g.End.Ending != record.Timeout || g.End.Winner != rules.Red {
		t.Errorf("the game ends with %+v, %v", g.End, err)
	}
}

func TestCloseWaitsForTimersAtWork(t *testing.T) {
	w := newWorld(t)
	a, stop := w.start()
	limit := time.Minute
	w.match(a, arena.Create{TurnLimit: &limit})
	reached, release := make(chan struct{}), make(chan struct{})
	w.on(&w.flaky.append, func() error {
		close(reached)
		<-release
		return errors.New("too late")
	})
	go w.clock.Advance(limit)
	<-reached
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := a.Close(ended); err == nil || !strings.Contains(err.Error(), "still at work") {
		t.Errorf("Close gives %v", err)
	}
	close(release)
	stop()
	w.clock.Advance(time.Hour)
}
