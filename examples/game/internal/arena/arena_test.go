package arena_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// world is what arenas in a test are built on.
type world struct {
	t     *testing.T
	ctx   context.Context
	clock *clock.Virtual
	base  journal.Journal // as it is
	*flaky
	rand   io.Reader
	limits arena.Limits
	queue  queue.Limits
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clk := clock.NewVirtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	host := &journal.Local{Time: clk}
	j, err := journal.Open(t.Context(), host, "mem:", sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(func() {
		cancel()
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, ctx: ctx, clock: clk, base: j, flaky: &flaky{Journal: j}, rand: rand.Reader, queue: queue.Limits{Workers: 2, Capacity: 64}}
}

// open opens an arena that is not run yet.
func (w *world) open() (*arena.Arena, *queue.Queue) {
	w.t.Helper()
	bots, err := queue.New("bots", w.queue, queue.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := arena.Open(w.ctx, arena.Options{
		Journal: w.flaky, Clock: w.clock, Rand: w.rand, Bots: bots, Log: zap.NewNop(), Limits: w.limits,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a, bots
}

// start opens an arena and runs it until stop, or the end of the test.
func (w *world) start() (a *arena.Arena, stop func()) {
	w.t.Helper()
	a, bots := w.open()
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	wake(w.t, a)
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, a.Close(w.ctx), bots.Close(w.ctx)); err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return a, stop
}

// match makes a game of two humans and returns it with their tokens.
func (w *world) match(a *arena.Arena, create arena.Create) (id string, tokens [3]string) {
	w.t.Helper()
	g, err := a.Create(w.ctx, create)
	if err != nil {
		w.t.Fatal(err)
	}
	for side, name := range map[rules.Side]string{rules.Red: "Ann", rules.Yellow: "Bob"} {
		if g.Seat(side).Bot != 0 {
			continue
		}
		if _, tokens[side], err = a.Join(w.ctx, arena.Join{Game: g.ID, Side: side, Name: name}); err != nil {
			w.t.Fatal(err)
		}
	}
	return g.ID, tokens
}

// play drops discs in turn, Red first.
func (w *world) play(a *arena.Arena, id string, tokens [3]string, columns string) *record.Game {
	w.t.Helper()
	var g *record.Game
	for i, c := range columns {
		var err error
		if g, _, err = a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1+i%2], Column: int(c - '0')}); err != nil {
			w.t.Fatalf("move %d of %s: %v", i+1, columns, err)
		}
	}
	return g
}

// watch collects the events of a game from a position on until it is over.
func (w *world) watch(a *arena.Arena, id string, after journal.Position) []record.Event {
	w.t.Helper()
	watch, err := a.Watch(w.ctx, id, after)
	if err != nil {
		w.t.Fatal(err)
	}
	defer watch.Close()
	var all []record.Event
	for {
		events, more := watch.Next()
		all = append(all, events...)
		if more == nil {
			return all
		}
		select {
		case <-more:
		case <-w.ctx.Done():
			w.t.Fatalf("game %s is not over, after %v", id, story(all))
		}
	}
}

// await returns when n events of a game have happened.
func (w *world) await(a *arena.Arena, id string, n int) *record.Game {
	w.t.Helper()
	watch, err := a.Watch(w.ctx, id, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer watch.Close()
	for seen := 0; ; {
		events, more := watch.Next()
		if seen += len(events); seen >= n || more == nil {
			g, err := a.Game(w.ctx, id)
			if err != nil {
				w.t.Fatal(err)
			}
			return g
		}
		select {
		case <-more:
		case <-w.ctx.Done():
			w.t.Fatalf("game %s has %d events, want %d", id, seen, n)
		}
	}
}

// story is what happened, in short.
func story(events []record.Event) string {
	var words []string
	for _, e := range events {
		switch f := e.Fact.(type) {
		case record.Created:
			words = append(words, "created")
		case record.Joined:
			words = append(words, f.Name)
		case record.Dropped:
			words = append(words, fmt.Sprint(f.Cell.Column))
		case record.Finished:
			words = append(words, f.Ending.String(), f.Winner.String())
		}
	}
	return strings.Join(words, " ")
}

// number is the failure code of err, 0 for none.
func number(err error) int {
	if err == nil {
		return 0
	}
	return failure.From(err).Code().Number()
}

func (w *world) wantNumber(what string, err error, want int) {
	w.t.Helper()
	if got := number(err); got != want {
		w.t.Errorf("%s gives failure %d (%v), want %d", what, got, err, want)
	}
}

// flaky is a journal that does what a test wants instead of what it is asked for.
type flaky struct {
	journal.Journal
	mu     sync.Mutex
	append func() error // nil or an error: append normally; run before each append
	after  func() error // run after each append that was done
	read   func() error // run before each event that is read
}

func (f *flaky) on(field *func() error, run func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*field = run
}

func (f *flaky) run(field *func() error) error {
	f.mu.Lock()
	run := *field
	f.mu.Unlock()
	if run == nil {
		return nil
	}
	return run()
}

func (f *flaky) Append(ctx context.Context, stream string, expect journal.Expect, events ...journal.Event) (journal.Version, error) {
	if err := f.run(&f.append); err != nil {
		return 0, err
	}
	v, err := f.Journal.Append(ctx, stream, expect, events...)
	if err == nil {
		err = f.run(&f.after)
	}
	return v, err
}

func (f *flaky) Read(ctx context.Context, stream string, after journal.Version) iter.Seq2[journal.Recorded, error] {
	return func(yield func(journal.Recorded, error) bool) {
		if err := f.run(&f.read); err != nil {
			yield(journal.Recorded{}, err)
			return
		}
		f.Journal.Read(ctx, stream, after)(yield)
	}
}

// times is a function that returns err the first n times.
func times(n int, err error) func() error {
	var mu sync.Mutex
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func TestTwoPeoplePlay(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	if len(id) != 26 || tokens[1] == tokens[2] || len(tokens[1]) != 32 {
		t.Errorf("game %q has tokens %q", id, tokens)
	}
	g := w.play(a, id, tokens, "0101010")
	if g.State() != record.Over || g.End.Ending != record.Four || g.End.Winner != rules.Red || len(g.End.Cells) != 4 {
		t.Errorf("the game ends with %+v", g.End)
	}
	got := story(w.watch(a, id, 0))
	if got != "created Ann Bob 0 1 0 1 0 1 0 four red" && got != "created Bob Ann 0 1 0 1 0 1 0 four red" {
		t.Errorf("a watcher sees %q", got)
	}
	if again := w.watch(a, id, g.Events[8].Position); story(again) != "0 four red" {
		t.Errorf("a watcher who continues sees %q", story(again))
	}
	if s := a.Stats(); s.Watchers != 0 {
		t.Errorf("%d watchers are left", s.Watchers)
	}
}

func TestAnOpenSeatIsFoundForWhoeverJoins(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	g, err := a.Create(w.ctx, arena.Create{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []rules.Side{rules.Red, rules.Yellow} {
		g, _, err := a.Join(w.ctx, arena.Join{Game: g.ID, Name: "Ann"})
		if err != nil {
			t.Fatal(err)
		}
		if side := g.Events[len(g.Events)-1].Fact.(record.Joined).Side; side != want {
			t.Errorf("the seat is %v, want %v", side, want)
		}
	}
	_, _, err = a.Join(w.ctx, arena.Join{Game: g.ID, Name: "Ann"})
	w.wantNumber("joining a full game", err, 1021)
}

func TestLosersCanResignOutOfTurn(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	g, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: tokens[rules.Yellow]})
	if err != nil || g.End.Ending != record.Resigned || g.End.Winner != rules.Red {
		t.Errorf("Yellow resigns: %+v, %v", g.End, err)
	}
}

func TestADrawnGameIsOver(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	g := w.play(a, id, tokens, "510465540343244065342100053663125613621221")
	if g.End.Ending != record.Draw || g.End.Winner != rules.None || len(g.Moves) != 42 {
		t.Errorf("the game ends with %+v after %d moves", g.End, len(g.Moves))
	}
}

func wake(t testing.TB, a *arena.Arena) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Wake(ctx); err != nil {
		t.Fatal(err)
	}
}
