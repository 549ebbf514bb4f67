package arena_test

import (
	"context"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestATokenCanBeToldFromTheJournalAlone(t *testing.T) {
	w := newWorld(t)
	a, _ := w.start()
	id, tokens := w.match(a, arena.Create{})
	for _, side := range []rules.Side{rules.Red, rules.Yellow} {
		if token, err := arena.Token(w.ctx, w.base, id, side); err != nil || token != tokens[side] {
			t.Errorf("the token of %v is %q, %v; Join gave %q", side, token, err, tokens[side])
		}
	}
}

func TestAJournalWithoutAnArenaHasNoTokens(t *testing.T) {
	host := &journal.Local{}
	j, err := journal.Open(t.Context(), host, "mem:", sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	if token, err := arena.Token(t.Context(), j, "game", rules.Red); err == nil {
		t.Errorf("there is a token, %q", token)
	}
	if err := host.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if token, err := arena.Token(t.Context(), j, "game", rules.Red); err == nil {
		t.Errorf("a closed journal has a token, %q", token)
	}
}
