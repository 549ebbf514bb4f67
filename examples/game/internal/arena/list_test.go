package arena_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// list walks through all pages and returns the ids.
func (w *world) list(a *arena.Arena, state record.State, size int) (ids []string, pages int) {
	w.t.Helper()
	for token := ""; ; {
		games, next, err := a.List(w.ctx, arena.List{State: state, Size: size, Token: token})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, g := range games {
			ids = append(ids, g.ID)
		}
		pages++
		if next == "" {
			return ids, pages
		}
		token = next
	}
}

// room makes n games and lets those at the given places begin or end.
func room(w *world, a *arena.Arena, n int, run, over map[int]bool) []string {
	w.t.Helper()
	var ids []string
	for i := range n {
		if run[i] || over[i] {
			id, tokens := w.match(a, arena.Create{})
			ids = append(ids, id)
			if over[i] {
				if _, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: tokens[rules.Red]}); err != nil {
					w.t.Fatal(err)
				}
			}
			continue
		}
		g, err := a.Create(w.ctx, arena.Create{})
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, g.ID)
	}
	return ids
}

func TestListsShowTheNewestFirst(t *testing.T) {
	w := newWorld(t)
	a, stop := w.start()
	ids := room(w, a, 25, map[int]bool{3: true, 9: true}, map[int]bool{4: true})
	all := slices.Clone(ids)
	slices.Reverse(all)
	check := func(where string, a *arena.Arena) {
		t.Helper()
		for _, tt := range []struct {
			state record.State
			size  int
			want  []string
			pages int
		}{
			{record.Missing, 0, all, 2},
			{record.Missing, 7, all, 4},
			{record.Missing, 25, all, 1},
			{record.Missing, 100, all, 1},
			{record.Running, 1, []string{ids[9], ids[3]}, 2},
			{record.Over, 1, []string{ids[4]}, 1},
			{record.Waiting, 22, slices.DeleteFunc(slices.Clone(all), func(id string) bool { return id == ids[3] || id == ids[4] || id == ids[9] }), 1},
		} {
			if got, pages := w.list(a, tt.state, tt.size); !slices.Equal(got, tt.want) || pages != tt.pages {
				t.Errorf("%s, games in state %v by %d: %d pages with %v, want %d with %v", where, tt.state, tt.size, pages, got, tt.pages, tt.want)
			}
		}
	}
	check("in the first process", a)
	b, _ := w.start()
	check("in another process", b)
	stop()
	a, _ = w.start()
	check("after a restart", a)
}

func TestAListHasEveryGameThatWasMadeBefore(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, _ := w.start()
	for i := range 50 {
		g, err := a.Create(w.ctx, arena.Create{})
		if err != nil {
			t.Fatal(err)
		}
		games, _, err := b.List(w.ctx, arena.List{Size: 1})
		if err != nil || len(games) != 1 || games[0].ID != g.ID {
			t.Fatalf("game %d is not the first of the list: %v, %v", i, games, err)
		}
	}
}

func TestAListThatIsNotAwaitedEnds(t *testing.T) {
	w := newWorld(t)
	a, _ := w.open() // nobody follows
	room(w, a, 1, nil, nil)
	ctx, cancel := context.WithTimeout(w.ctx, time.Millisecond)
	defer cancel()
	if _, _, err := a.List(ctx, arena.List{}); err == nil {
		t.Error("the list is answered without the game")
	}
}

func TestPageTokensBelongToTheirList(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	room(w, a, 3, nil, nil)
	_, next, err := a.List(w.ctx, arena.List{State: record.Waiting, Size: 1})
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	for _, token := range []string{next[1:], next + "A", "AAAAAAAAAAAA", "%", "AQAAAAAAAAAAAAAAAAAA"} {
		_, _, err := a.List(w.ctx, arena.List{State: record.Waiting, Token: token})
		w.wantNumber(fmt.Sprintf("the token %q", token), err, 1009)
	}
	_, _, err = a.List(w.ctx, arena.List{State: record.Running, Token: next})
	w.wantNumber("the token of another list", err, 1009)
	_, _, err = a.List(w.ctx, arena.List{Size: -1})
	w.wantNumber("a negative page size", err, 1008)
}

func TestGamesThatAreForgottenAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.limits = arena.Limits{CachedGames: 2, ListedGames: 16}
	a, stop := w.start()
	over := map[int]bool{}
	for i := range 30 {
		over[i] = i != 5
	}
	ids := room(w, a, 30, nil, over)
	check := func(where string, a *arena.Arena) {
		t.Helper()
		listed, _ := w.list(a, record.Missing, 10)
		if len(listed) < 16+1 || len(listed) > 16+2+1 || listed[0] != ids[29] || listed[len(listed)-1] != ids[5] {
			t.Errorf("%s, the list has %d games: %v", where, len(listed), listed)
		}
		for i, id := range ids {
			g, err := a.Game(w.ctx, id)
			if err != nil || (g.State() == record.Over) != over[i] {
				t.Errorf("%s, game %d is %v, %v", where, i, g, err)
			}
			if events := w.watchSome(a, id); len(events) != len(g.Events) {
				t.Errorf("%s, a watcher of game %d sees %q", where, i, story(events))
			}
		}
	}
	check("at first", a)
	stop()
	a, _ = w.start()
	check("after a restart", a)
	w.on(&w.flaky.read, times(1, journal.ErrBusy))
	_, err := a.Game(w.ctx, ids[0])
	w.wantNumber("a game that cannot be read", err, 1201)
	w.on(&w.flaky.read, times(1, journal.ErrBusy))
	_, _, err = a.List(w.ctx, arena.List{Size: 100})
	w.wantNumber("a list with a game that cannot be read", err, 1201)
}

// watchSome is what a watcher sees at once.
func (w *world) watchSome(a *arena.Arena, id string) []record.Event {
	w.t.Helper()
	watch, err := a.Watch(w.ctx, id, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer watch.Close()
	events, _ := watch.Next()
	return events
}

func TestLimitsHaveDefaultsAndBounds(t *testing.T) {
	var l arena.Limits
	l.SetDefaults()
	if err := l.Validate(); err != nil || l.OpenGames != 10_000 || l.Idle != 14*24*time.Hour {
		t.Errorf("the defaults are %+v, %v", l, err)
	}
	for _, change := range []func(*arena.Limits){
		func(l *arena.Limits) { l.OpenGames = -1 },
		func(l *arena.Limits) { l.CachedGames = -1 },
		func(l *arena.Limits) { l.ListedGames = -1 },
		func(l *arena.Limits) { l.Watchers = -1 },
		func(l *arena.Limits) { l.WatchersPerGame = -1 },
		func(l *arena.Limits) { l.Idle = time.Millisecond },
	} {
		bad := l
		change(&bad)
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v is allowed", bad)
		}
	}
}
