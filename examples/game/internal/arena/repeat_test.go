package arena_test

import (
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// answer is what a wish was answered with.
type answer struct {
	game  *record.Game
	token string
	cell  rules.Cell
}

// history makes the wishes of a whole game, all with request ids, and returns their answers.
// Asked again, it repeats every one of them.
func history(w *world, a *arena.Arena) []answer {
	w.t.Helper()
	var all []answer
	add := func(what string, err error, got answer) answer {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("%s: %v", what, err)
		}
		all = append(all, got)
		return got
	}
	limit := time.Hour
	g, err := a.Create(w.ctx, arena.Create{TurnLimit: &limit, RequestID: "create"})
	id := add("create", err, answer{game: g}).game.ID
	g, token, err := a.Join(w.ctx, arena.Join{Game: id, Name: "Ann", RequestID: "ann"})
	ann := add("join", err, answer{game: g, token: token}).token
	g, token, err = a.Join(w.ctx, arena.Join{Game: id, Side: rules.Yellow, Name: "Bob", RequestID: "bob"})
	bob := add("join", err, answer{game: g, token: token}).token
	for i, column := range []int{3, 3, 4, 3, 5, 3, 6} {
		seat := []string{ann, bob}[i%2]
		g, cell, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: seat, Column: column, RequestID: "move" + string(rune('a'+i))})
		add("drop", err, answer{game: g, cell: cell})
	}
	g, err = a.Create(w.ctx, arena.Create{RequestID: "other"})
	id = add("create", err, answer{game: g}).game.ID
	for _, name := range []string{"Ann", "Bob"} {
		g, token, err = a.Join(w.ctx, arena.Join{Game: id, Name: name, RequestID: name})
		ann = add("join", err, answer{game: g, token: token}).token
	}
	g, err = a.Resign(w.ctx, arena.Resign{Game: id, Token: ann, RequestID: "resign"})
	add("resign", err, answer{game: g})
	return all
}

func TestARepeatedWishIsGrantedOnceAndAnsweredTheSame(t *testing.T) {
	w := newWorld(t)
	a, stop := w.start()
	first := history(w, a)
	head, err := w.Head(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	check := func(where string, a *arena.Arena) {
		t.Helper()
		w.clock.Advance(time.Minute)
		for i, got := range history(w, a) {
			if !reflect.DeepEqual(got, first[i]) {
				t.Errorf("%s, answer %d is %+v, want %+v", where, i, got, first[i])
			}
		}
		if now, err := w.Head(w.ctx); err != nil || now != head {
			t.Errorf("%s, the journal went from %d to %d, %v", where, head, now, err)
		}
	}
	check("in the same process", a)
	b, _ := w.start()
	check("in another process", b)
	stop()
	a, _ = w.start()
	check("after a restart", a)
}

func TestARepeatedWishIsGrantedOnceAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	b, _ := w.start()
	answers := make([][]answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = history(w, []*arena.Arena{a, b}[i%2]) })
	}
	wg.Wait()
	for i := range answers {
		if !reflect.DeepEqual(answers[i], answers[0]) {
			t.Errorf("repetition %d was answered %+v, want %+v", i, answers[i], answers[0])
		}
	}
	if head, err := w.Head(w.ctx); err != nil || head != 1+11+4 {
		t.Errorf("the journal has %d events, %v, want 16", head, err)
	}
}

func TestARequestIDIsForOneWish(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	limit := time.Hour
	g, err := a.Create(w.ctx, arena.Create{TurnLimit: &limit, RequestID: "create"})
	if err != nil {
		t.Fatal(err)
	}
	id := g.ID
	_, ann, err := a.Join(w.ctx, arena.Join{Game: id, Side: rules.Red, Name: "Ann", RequestID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, bob, err := a.Join(w.ctx, arena.Join{Game: id, Name: "Bob", RequestID: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: ann, Column: 3, RequestID: "move"}); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"creating another game": func() error {
			_, err := a.Create(w.ctx, arena.Create{Red: bot.Easy, TurnLimit: &limit, RequestID: "create"})
			return err
		},
		"creating it without limit": func() error { _, err := a.Create(w.ctx, arena.Create{RequestID: "create"}); return err },
		"joining by another name": func() error {
			_, _, err := a.Join(w.ctx, arena.Join{Game: id, Name: "Eve", RequestID: "ann"})
			return err
		},
		"joining the other side": func() error {
			_, _, err := a.Join(w.ctx, arena.Join{Game: id, Side: rules.Yellow, Name: "Ann", RequestID: "ann"})
			return err
		},
		"a move elsewhere": func() error {
			_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: ann, Column: 4, RequestID: "move"})
			return err
		},
		"a move by the other side": func() error {
			_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: bob, Column: 3, RequestID: "move"})
			return err
		},
		"a move instead of joining": func() error {
			_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: ann, Column: 3, RequestID: "ann"})
			return err
		},
		"resigning instead of moving": func() error {
			_, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: ann, RequestID: "move"})
			return err
		},
	} {
		w.wantNumber(name, do(), 1010)
	}
	// A repetition still needs the token.
	_, _, err = a.Drop(w.ctx, arena.Drop{Game: id, Token: "x", Column: 3, RequestID: "move"})
	w.wantNumber("a repetition with a wrong token", err, 1031)
	// What was refused may be tried again with the same id.
	_, _, err = a.Drop(w.ctx, arena.Drop{Game: id, Token: ann, Column: 3, RequestID: "again"})
	w.wantNumber("a move out of turn", err, 1041)
	w.play(a, id, [3]string{"", bob, ann}, "0")
	_, _, err = a.Drop(w.ctx, arena.Drop{Game: id, Token: ann, Column: 3, RequestID: "again"})
	w.wantNumber("the same move in turn", err, 0)
}

func TestAGameThatCannotBeReadIsNotMadeAgain(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	if _, err := a.Create(w.ctx, arena.Create{RequestID: "create"}); err != nil {
		t.Fatal(err)
	}
	w.on(&w.flaky.read, times(1, journal.ErrBusy))
	_, err := a.Create(w.ctx, arena.Create{RequestID: "create"})
	w.wantNumber("a repetition while the journal is busy", err, 1201)
}
