package arena_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestAWatcherContinuesFromAnyPosition(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	other, others := w.match(a, arena.Create{})
	id, tokens := w.match(a, arena.Create{})
	for i, c := range "010101" {
		w.play(a, other, [3]string{"", others[1+i%2]}, string(c)) // positions between those of the game
		w.play(a, id, [3]string{"", tokens[1+i%2]}, string(c))
	}
	g, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: tokens[rules.Red]})
	if err != nil {
		t.Fatal(err)
	}
	for after := journal.Position(0); after <= g.Position(); after++ {
		events := w.watch(a, id, after)
		want := len(g.After(after))
		if len(events) != want {
			t.Errorf("after position %d a watcher sees %d events, want %d", after, len(events), want)
		}
		if want > 0 && (events[0].Position <= after || events[want-1].Position != g.Position()) {
			t.Errorf("after position %d a watcher sees positions %d to %d", after, events[0].Position, events[want-1].Position)
		}
	}
	_, err = a.Watch(w.ctx, id, g.Position()+1)
	w.wantNumber("a position after the last", err, 1022)
	w.on(&w.flaky.read, times(1, journal.ErrBusy))
	_, err = a.Watch(w.ctx, id, g.Position()+1)
	w.wantNumber("a position that cannot be looked up", err, 1201)
	_, err = a.Watch(w.ctx, "nothing", 0)
	w.wantNumber("an unknown game", err, 1001)
}

func TestWatchersAreBounded(t *testing.T) {
	w := newWorld(t)
	w.limits = arena.Limits{Watchers: 3, WatchersPerGame: 2}
	a, _ := w.start()
	ids := room(w, a, 2, nil, nil)
	var open []*arena.Watch
	watch := func(id string, want int) {
		t.Helper()
		watch, err := a.Watch(w.ctx, id, 0)
		w.wantNumber("watching", err, want)
		if err == nil {
			open = append(open, watch)
		}
	}
	watch(ids[0], 0)
	watch(ids[0], 0)
	watch(ids[0], 1023) // too many of one game
	watch(ids[1], 0)
	watch(ids[1], 1023) // too many altogether
	if s := a.Stats(); s.Watchers != 3 || s.Open != 2 {
		t.Errorf("the figures are %+v", s)
	}
	open[0].Close()
	open[0].Close()
	watch(ids[1], 0)
	watch(ids[1], 1023)
	for _, o := range open {
		o.Close()
	}
	if s := a.Stats(); s.Watchers != 0 {
		t.Errorf("%d watchers are left", s.Watchers)
	}
}
