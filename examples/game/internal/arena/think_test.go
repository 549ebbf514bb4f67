package arena_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestBotsPlayToTheEnd(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	for _, pair := range [][2]bot.Strength{{bot.Easy, bot.Easy}, {bot.Medium, bot.Easy}, {bot.Easy, bot.Medium}} {
		g, err := a.Create(w.ctx, arena.Create{Red: pair[0], Yellow: pair[1]})
		if err != nil {
			t.Fatal(err)
		}
		events := w.watch(a, g.ID, 0)
		end := events[len(events)-1].Fact.(record.Finished)
		if end.Ending != record.Four && end.Ending != record.Draw || len(events) < 9 {
			t.Errorf("%v: %s", pair, story(events))
		}
	}
}

func TestABotMovesFirstWhenItIsRed(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, _ := w.match(a, arena.Create{Red: bot.Medium})
	if g := w.await(a, id, 3); len(g.Moves) != 1 || g.Turn() != rules.Yellow {
		t.Errorf("the game has moves %v and it is %v's turn", g.Moves, g.Turn())
	}
}

// hold keeps a queue's only worker busy until release.
func hold(w *world, q *queue.Queue) (release func()) {
	w.t.Helper()
	done := make(chan struct{})
	if err := q.Submit(w.ctx, queue.Meta{}, func(context.Context) error { <-done; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return sync.OnceFunc(func() { close(done) })
}

func TestABotThatFindsNoPlaceComesLater(t *testing.T) {
	w := newWorld(t)
	w.queue = queue.Limits{Workers: 1, Capacity: 1}
	a, bots := w.open()
	wake(t, a)
	release := hold(w, bots)
	var ids []string
	for range 4 {
		id, _ := w.match(a, arena.Create{Red: bot.Easy})
		ids = append(ids, id)
	}
	if s := bots.Stats(); s.Rejected["full"] != 3 {
		t.Errorf("%v bots were turned away, want 3", s.Rejected)
	}
	w.clock.Advance(time.Second) // turned away again
	if s := bots.Stats(); s.Rejected["full"] < 6 {
		t.Errorf("%v bots were turned away, want 6 and more", s.Rejected)
	}
	release()
	for _, id := range ids {
		for g := w.await(a, id, 2); len(g.Moves) == 0; g = w.await(a, id, 2) {
			w.clock.Advance(5 * time.Second)
		}
	}
	if err := errors.Join(a.Close(w.ctx), bots.Close(w.ctx)); err != nil {
		t.Error(err)
	}
}

func TestABotWhoseGameEndsMeanwhileDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.queue = queue.Limits{Workers: 1, Capacity: 1}
	a, bots := w.open()
	wake(t, a)
	release := hold(w, bots)
	defer release()
	var tokens [2][3]string
	var ids [2]string
	for i := range ids { // one waits in the queue, one for its timer
		ids[i], tokens[i] = w.match(a, arena.Create{Red: bot.Easy})
		if _, err := a.Resign(w.ctx, arena.Resign{Game: ids[i], Token: tokens[i][rules.Yellow]}); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Advance(time.Minute)
	release()
	if err := errors.Join(bots.Close(w.ctx), a.Close(w.ctx)); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if g, err := a.Game(w.ctx, id); err != nil || len(g.Moves) != 0 {
			t.Errorf("the bot moved: %v, %v", g.Moves, err)
		}
	}
}

func TestABotTriesAgainWhenSomethingFails(t *testing.T) {
	for name, fail := range map[string]func(w *world){
		"the journal": func(w *world) {
			left := times(2, journal.ErrFull)
			w.on(&w.flaky.append, left)
		},
		"randomness": func(w *world) {},
		"the search": func(w *world) {},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			source := &bytesFor{next: w.rand}
			w.rand = source
			a, bots := w.open()
			id, _ := w.match(a, arena.Create{Red: bot.Easy})
			fail(w)
			switch name {
			case "randomness":
				source.fail(2, func() error { return errors.New("no randomness") })
			case "the search":
				source.fail(2, func() error { panic("the search is lost") })
			}
			follow, leave := context.WithCancel(w.ctx)
			followed := make(chan error, 1)
			go func() { followed <- a.Run(follow) }()
			wake(t, a)
			for g := w.await(a, id, 2); len(g.Moves) == 0; g = w.await(a, id, 2) {
				w.clock.Advance(time.Second)
			}
			if s := bots.Stats(); s.Failed != 2 {
				t.Errorf("%d attempts failed, want 2", s.Failed)
			}
			leave()
			if err := errors.Join(<-followed, a.Close(w.ctx), bots.Close(w.ctx)); err != nil {
				t.Error(err)
			}
		})
	}
}

// bytesFor is randomness that can fail.
type bytesFor struct {
	mu   sync.Mutex
	next io.Reader
	left int
	do   func() error
}

func (b *bytesFor) fail(n int, do func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.do = n, do
}

func (b *bytesFor) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left > 0 {
		b.left--
		return 0, b.do()
	}
	return b.next.Read(p)
}

func TestAClosedArenaLetsNoBotThink(t *testing.T) {
	w := newWorld(t)
	w.queue = queue.Limits{Workers: 1, Capacity: 1}
	a, bots := w.open()
	wake(t, a)
	release := hold(w, bots)
	id, _ := w.match(a, arena.Create{Red: bot.Easy})
	if err := a.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	release()
	if err := bots.Close(w.ctx); err != nil {
		t.Fatal(err)
	}
	if g, err := a.Game(w.ctx, id); err != nil || len(g.Moves) != 0 {
		t.Errorf("the bot moved: %v, %v", g.Moves, err)
	}
	if n := w.clock.Pending(); n != 0 {
		t.Errorf("%d timers are left", n)
	}
}

func TestManyGamesOfBotsEnd(t *testing.T) {
	w := newWorld(t)
	w.queue = queue.Limits{Workers: 2, Capacity: 4}
	w.limits.Idle = 200 * 365 * 24 * time.Hour // the clock runs wild
	a, stop := w.start()
	const games = 30
	var wg sync.WaitGroup
	stories := make([]string, games)
	for i := range games {
		g, err := a.Create(w.ctx, arena.Create{Red: bot.Easy, Yellow: bot.Easy})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { stories[i] = story(w.watch(a, g.ID, 0)) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
			w.clock.Advance(10 * time.Second) // turned away ones come back
		}
	}
	for _, s := range stories {
		if !strings.Contains(s, "four") && !strings.Contains(s, "draw") {
			t.Errorf("a game was %q", s)
		}
	}
	stop()
}
