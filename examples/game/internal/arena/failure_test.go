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

// provoke has, for every failure, what provokes it in a world where Ann is to move.
var provoke = map[int]func(w *world, a *arena.Arena, id string, tokens [3]string) error{
	1001: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, err := a.Game(w.ctx, strings.Repeat("0", 26))
		return err
	},
	1002: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, _, err := a.Join(w.ctx, arena.Join{Game: id, Name: " Ann"})
		return err
	},
	1003: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		limit := time.Millisecond
		_, err := a.Create(w.ctx, arena.Create{TurnLimit: &limit})
		return err
	},
	1004: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		_, err := a.Create(w.ctx, arena.Create{Yellow: 4})
		return err
	},
	1005: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, _, err := a.Join(w.ctx, arena.Join{Game: id, Side: 3, Name: "Ann"})
		return err
	},
	1006: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		_, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: tokens[1], RequestID: "a\nb"})
		return err
	},
	1007: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		_, _, err := a.List(w.ctx, arena.List{State: 4})
		return err
	},
	1008: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		_, _, err := a.List(w.ctx, arena.List{Size: 101})
		return err
	},
	1009: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		_, _, err := a.List(w.ctx, arena.List{Token: "next"})
		return err
	},
	1010: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		if _, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1], Column: 1, RequestID: "r"}); err != nil {
			return err
		}
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1], Column: 2, RequestID: "r"})
		return err
	},
	1020: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		for range 10 {
			if _, err := a.Create(w.ctx, arena.Create{}); err != nil {
				return err
			}
		}
		return nil
	},
	1021: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, _, err := a.Join(w.ctx, arena.Join{Game: id, Side: rules.Red, Name: "Eve"})
		return err
	},
	1022: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, err := a.Watch(w.ctx, id, 1000)
		return err
	},
	1023: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		for range 10 {
			watch, err := a.Watch(w.ctx, id, 0)
			if err != nil {
				return err
			}
			defer watch.Close()
		}
		return nil
	},
	1030: func(w *world, a *arena.Arena, id string, _ [3]string) error {
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id})
		return err
	},
	1031: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1][1:] + "0"})
		return err
	},
	1040: func(w *world, a *arena.Arena, _ string, _ [3]string) error {
		g, err := a.Create(w.ctx, arena.Create{})
		if err != nil {
			return err
		}
		_, token, err := a.Join(w.ctx, arena.Join{Game: g.ID, Side: rules.Red, Name: "Ann"})
		if err != nil {
			return err
		}
		_, _, err = a.Drop(w.ctx, arena.Drop{Game: g.ID, Token: token})
		return err
	},
	1041: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Yellow]})
		return err
	},
	1042: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		w.play(a, id, tokens, "333333")
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red], Column: 3})
		return err
	},
	1043: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red], Column: -1})
		return err
	},
	1044: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		w.play(a, id, tokens, "0101010")
		_, err := a.Resign(w.ctx, arena.Resign{Game: id, Token: tokens[rules.Red]})
		return err
	},
	1201: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		w.on(&w.flaky.append, times(1, journal.ErrFull))
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red]})
		return err
	},
	1202: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		w.on(&w.flaky.append, times(3, journal.ErrUnknownOutcome))
		_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red]})
		return err
	},
	1203: func(w *world, a *arena.Arena, id string, tokens [3]string) error {
		w.on(&w.flaky.read, times(1, journal.ErrCorrupt))
		_, err := a.Game(w.ctx, id)
		return err
	},
}

func TestEveryFailureCanBeProvoked(t *testing.T) {
	for _, code := range arena.Failures.Codes() {
		t.Run(code.Message(), func(t *testing.T) {
			run := provoke[code.Number()]
			if run == nil {
				t.Fatalf("nothing provokes failure %d", code.Number())
			}
			w := newWorld(t)
			w.limits = arena.Limits{OpenGames: 3, WatchersPerGame: 2}
			a, _ := w.start()
			id, tokens := w.match(a, arena.Create{})
			w.wantNumber("this", run(w, a, id, tokens), code.Number())
		})
	}
}

func TestNothingIsStoredOfWhatIsRefused(t *testing.T) {
	for _, number := range []int{1002, 1003, 1004, 1005, 1006, 1021, 1030, 1031, 1041, 1043} {
		w := newWorld(t)
		a, _ := w.start()
		id, tokens := w.match(a, arena.Create{})
		before, err := w.Head(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		w.wantNumber("this", provoke[number](w, a, id, tokens), number)
		if after, err := w.Head(w.ctx); err != nil || after != before {
			t.Errorf("failure %d moved the journal from %d to %d, %v", number, before, after, err)
		}
	}
}

func TestNamesAreWhatOthersCanBeShown(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	for name, want := range map[string]int{
		"Ann": 0, "李小龍": 0, "O'Brien-Smith 3rd": 0, strings.Repeat("é", 40): 0,
		"": 1002, " ": 1002, "Ann ": 1002, strings.Repeat("a", 41): 1002, "a\tb": 1002, "a\x00b": 1002,
		"a\u202eb": 1002, "\xff": 1002,
	} {
		g, err := a.Create(w.ctx, arena.Create{})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = a.Join(w.ctx, arena.Join{Game: g.ID, Name: name})
		w.wantNumber("the name "+name, err, want)
	}
}

func TestIdsThatNoGameCanHaveAreUnknown(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	w.on(&w.flaky.read, func() error { return errors.New("nobody need look") })
	for _, id := range []string{"", "x", strings.Repeat("u", 26), strings.Repeat("\x00", 26), strings.Repeat("0", 27), strings.Repeat("é", 13)} {
		_, err := a.Game(w.ctx, id)
		w.wantNumber("the id "+id, err, 1001)
	}
}

func TestWhoeverGivesUpWaitingIsTold(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	for name, do := range map[string]func() error{
		"Create": func() error { _, err := a.Create(ctx, arena.Create{}); return err },
		"Drop": func() error {
			_, _, err := a.Drop(ctx, arena.Drop{Game: id, Token: tokens[1]})
			return err
		},
		"Game": func() error { _, err := a.Game(ctx, id); return err },
		"List": func() error { _, _, err := a.List(ctx, arena.List{}); return err },
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want that the context was cancelled", name, err)
		}
	}
	if g, err := a.Game(w.ctx, id); err != nil || len(g.Moves) != 0 {
		t.Errorf("the game is %+v, %v", g, err)
	}
}

func TestAnAppendOfUnknownOutcomeIsFoundOut(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	// Stored, but the answer is lost.
	w.on(&w.flaky.after, times(2, journal.ErrUnknownOutcome))
	g, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1], Column: 3})
	if err != nil || len(g.Moves) != 1 {
		t.Errorf("the move gives %v, %v", g, err)
	}
	// Not stored, until the third try.
	w.on(&w.flaky.after, nil)
	w.on(&w.flaky.append, times(2, journal.ErrUnknownOutcome))
	g, _, err = a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[2], Column: 3})
	if err != nil || len(g.Moves) != 2 {
		t.Errorf("the second move gives %v, %v", g, err)
	}
}

func TestAnUnknownOutcomeIsNotForgottenWhenTheJournalFails(t *testing.T) {
	w := newWorld(t)
	a, bots := w.open()
	done := make(chan error, 1)
	go func() { done <- a.Run(w.ctx) }()
	wake(t, a)
	id, tokens := w.match(a, arena.Create{})
	w.on(&w.flaky.after, func() error {
		w.on(&w.flaky.append, func() error { return journal.ErrFailed })
		return journal.ErrUnknownOutcome
	})
	_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1], Column: 3})
	w.wantNumber("a move that is stored, without an answer, by a journal that takes no more", err, 1202)
	if err := <-done; !errors.Is(err, journal.ErrFailed) {
		t.Errorf("running ended with %v", err)
	}
	if err := errors.Join(a.Close(w.ctx), bots.Close(w.ctx)); err != nil {
		t.Error(err)
	}
}

func TestAJournalThatAlwaysConflictsIsGivenUp(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	w.on(&w.flaky.append, func() error { return &journal.ConflictError{Stream: "game-" + id, Expected: journal.Any} })
	_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1]})
	w.wantNumber("a move", err, 1201)
}

func TestDamageIsNoticed(t *testing.T) {
	junk := journal.Event{Type: "created", Data: []byte("{")}
	twice := journal.Event{Type: "created", Data: []byte(`{"v":1}`)}

	t.Run("when the games are read", func(t *testing.T) {
		for name, e := range map[string]journal.Event{
			"junk": junk, "a move in a game that was never created": {Type: "dropped", Data: []byte(`{"v":1,"side":"red","cell":[0,0]}`)},
		} {
			w := newWorld(t)
			if _, err := w.Append(w.ctx, "game-x", journal.NoStream, e); err != nil {
				t.Fatal(err)
			}
			if _, err := arena.Open(w.ctx, arena.Options{Journal: w.flaky, Clock: w.clock, Rand: w.rand}); !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("%s: Open gives %v", name, err)
			}
		}
	})
	t.Run("when a game is read", func(t *testing.T) {
		for name, e := range map[string]journal.Event{"junk": junk, "a second beginning": twice, "an event of a newer release": {Type: "created", Data: []byte(`{"v":2}`)}} {
			w := newWorld(t)
			a, _ := w.open() // nobody follows
			id, _ := w.match(a, arena.Create{})
			if _, err := w.base.Append(w.ctx, "game-"+id, journal.Any, e); err != nil {
				t.Fatal(err)
			}
			_, err := a.Game(w.ctx, id)
			w.wantNumber(name, err, 1203)
		}
	})
	t.Run("when the journal is followed", func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.open()
		id, _ := w.match(a, arena.Create{})
		if _, err := w.base.Append(w.ctx, "game-"+id, journal.Any, twice); err != nil {
			t.Fatal(err)
		}
		if err := a.Run(w.ctx); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("Run gives %v", err)
		}
	})
}

// Who is told that the record cannot be read takes it that nothing was done.
func TestAWishThatIsStoredAndCannotBeReadIsNotAnsweredAsRefused(t *testing.T) {
	for name, damage := range map[string]error{"damaged": journal.ErrCorrupt, "out of reach": journal.ErrBusy} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, _ := w.open() // nobody follows, so that nobody else reads
			id, tokens := w.match(a, arena.Create{})
			wishes := map[string]func() error{
				"create": func() error {
					_, err := a.Create(w.ctx, arena.Create{})
					return err
				},
				"drop": func() error {
					_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red], Column: 3, RequestID: "drop"})
					return err
				},
			}
			for wish, do := range wishes {
				before, err := w.Head(w.ctx)
				if err != nil {
					t.Fatal(err)
				}
				w.on(&w.flaky.read, func() error { return damage })
				w.wantNumber(wish, do(), 1202)
				w.on(&w.flaky.read, nil)
				if after, err := w.Head(w.ctx); err != nil || after != before+1 {
					t.Errorf("%s: the journal went from %d to %d, %v; want one event more", wish, before, after, err)
				}
			}
			if err := wishes["drop"](); err != nil {
				t.Errorf("the move, repeated when the game can be read again: %v", err)
			}
			if g, err := a.Game(w.ctx, id); err != nil || len(g.Moves) != 1 {
				t.Errorf("the game has %d moves, %v; want the one", len(g.Moves), err)
			}
		})
	}
}

func TestAWishThatCameTooLateForAGameThatCannotBeReadIsRefused(t *testing.T) {
	w := newWorld(t)
	a, _ := w.open()
	id, tokens := w.match(a, arena.Create{})
	w.on(&w.flaky.append, func() error { return &journal.ConflictError{Stream: "game-" + id, Expected: journal.Any} })
	w.on(&w.flaky.read, func() error { return journal.ErrCorrupt })
	_, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[rules.Red], Column: 3})
	w.wantNumber("a move", err, 1203)
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	b, _ := w.start()
	if _, _, err := b.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1]}); err != nil {
		t.Errorf("another arena does not know the token: %v", err)
	}
	t.Run("by one of two that start together", func(t *testing.T) {
		w := newWorld(t)
		w.on(&w.flaky.append, func() error {
			w.on(&w.flaky.append, nil)
			_, err := w.Append(w.ctx, "key", journal.NoStream, journal.Event{Type: "made", Data: []byte(`{"v":1,"key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)})
			return err
		})
		w.open()
		if v, err := w.Version(w.ctx, "key"); err != nil || v != 1 {
			t.Errorf("the key is at %d, %v", v, err)
		}
	})
	for name, data := range map[string]string{"junk": "{", "another version": `{"v":2}`, "a short key": `{"v":1,"key":"AAAA"}`} {
		w := newWorld(t)
		if _, err := w.Append(w.ctx, "key", journal.NoStream, journal.Event{Type: "made", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		if _, err := arena.Open(w.ctx, arena.Options{Journal: w.flaky, Rand: w.rand}); err == nil {
			t.Errorf("%s is taken for a key", name)
		}
	}
	for name, break_ := range map[string]func(w *world){
		"a journal that is full":      func(w *world) { w.on(&w.flaky.append, times(1, journal.ErrFull)) },
		"a journal that is not there": func(w *world) { w.on(&w.flaky.read, times(1, journal.ErrClosed)) },
		"no randomness":               func(w *world) { w.rand = strings.NewReader("") },
	} {
		w := newWorld(t)
		break_(w)
		if _, err := arena.Open(w.ctx, arena.Options{Journal: w.flaky, Rand: w.rand}); err == nil {
			t.Errorf("%s gives a key", name)
		}
	}
}

func TestWithoutRandomnessNothingIsMade(t *testing.T) {
	w := newWorld(t)
	a, stop := w.start()
	id, tokens := w.match(a, arena.Create{})
	stop()
	w.rand = strings.NewReader("")
	a, _ = w.start()
	if _, err := a.Create(w.ctx, arena.Create{}); err == nil {
		t.Error("a game is made")
	}
	if _, _, err := a.Drop(w.ctx, arena.Drop{Game: id, Token: tokens[1]}); err == nil {
		t.Error("a move is made")
	}
	if g, err := a.Game(w.ctx, id); err != nil || g.State() != record.Running {
		t.Errorf("the game is %v, %v", g, err)
	}
}
