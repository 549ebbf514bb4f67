package scenarios_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
)

var (
	huntSeed      = flag.Uint64("hunt-seed", 1, "what the hunts try")
	huntSequences = flag.Int("hunt-sequences", 20, "how many sequences of commands each hunt tries")
)

type trace = scenario.Trace[record.Fact, scenarios.Command, scenarios.Answer]

// hunt plays games of Ann and Bob at random, with mistakes.
func hunt() scenario.Hunt[record.Fact, scenarios.Command, scenarios.Answer] {
	return scenario.Hunt[record.Fact, scenarios.Command, scenarios.Answer]{
		Seed: *huntSeed, Sequences: *huntSequences, Length: 60,
		Given: []scenario.History[record.Fact]{{Events: []record.Fact{record.Created{}}}},
		Next: func(r *rand.Rand) scenarios.Command {
			who := []string{"ann", "bob", "eve"}[r.IntN(3)]
			switch n := r.IntN(100); {
			case n < 20:
				return scenarios.Join{Name: who, Side: rules.Side(r.IntN(3))}
			case n < 90:
				return scenarios.Drop{By: who, Column: r.IntN(9) - 1}
			case n < 91:
				return scenarios.Resign{By: who}
			}
			return scenarios.Get{}
		},
		Rule: rule,
	}
}

// rule is what holds whatever anybody does: the rules of Connect Four, applied here once more.
func rule(t trace) error {
	g := record.New("")
	fold := func(facts []record.Fact) (err error) {
		for _, f := range facts {
			if g, err = g.With(record.Event{Position: g.Position() + journal.Position(1), Fact: f}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, h := range t.Given {
		if err := fold(h.Events); err != nil {
			return err
		}
	}
	for _, step := range t.Steps {
		wasOver := g.State() == record.Over
		if err := fold(step.Events); err != nil {
			return err
		}
		switch _, reads := step.Command.(scenarios.Get); {
		case (step.Result.Failure != 0 || reads) && len(step.Events) > 0:
			return fmt.Errorf("%v: it failed, or only reads, and something happened", step.Command)
		case step.Result.Failure == 0 && !reads && len(step.Events) == 0:
			return fmt.Errorf("%v: it succeeded and nothing happened", step.Command)
		case wasOver && len(step.Events) > 0:
			return errors.New("something happened after the end")
		}
		if m, ok := step.Result.Answer.(scenarios.Move); ok && m.Game.Moves != columns(g.Moves) {
			return fmt.Errorf("%v: the answer has moves %s, the journal %s", step.Command, m.Game.Moves, columns(g.Moves))
		}
		if shown, ok := step.Result.Answer.(scenarios.Game); ok && shown.State != g.State() {
			return fmt.Errorf("%v: the answer has state %d, the journal %d", step.Command, shown.State, g.State())
		}
		if end, over := record.Outcome(g.Board); over && (g.End.Ending != end.Ending || g.End.Winner != end.Winner) {
			return fmt.Errorf("the board says %v and the game %v", end, g.End)
		}
	}
	return nil
}

func columns(moves []int) (digits string) {
	for _, m := range moves {
		digits += fmt.Sprint(m)
	}
	return digits
}

func TestRandomGamesBreakNoRule(t *testing.T) {
	for name, open := range map[string]scenario.Open[scenarios.Command, scenarios.Answer]{
		"in process":    inProcess(inMemory),
		"over gRPC":     faked(overGRPC),
		"bytes of HTTP": faked(rawHTTP),
	} {
		t.Run(name, func(t *testing.T) {
			if err := scenarios.Suite.Hunt(t.Context(), open(t, ""), hunt()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRandomGamesComeOutTheSameOnEveryEngine(t *testing.T) {
	h := hunt()
	h.Against = inProcess(onDisk)(t, "")
	if err := scenarios.Suite.Hunt(t.Context(), inProcess(inMemory)(t, ""), h); err != nil {
		t.Error(err)
	}
}

// A hunt that never plays to the end would find nothing there.
func TestRandomGamesReachTheirEnds(t *testing.T) {
	ends := map[record.Ending]int{}
	h := hunt()
	h.Rule = func(t trace) error {
		if len(t.Steps) == h.Length {
			for _, step := range t.Steps {
				for _, f := range step.Events {
					if end, ok := f.(record.Finished); ok {
						ends[end.Ending]++
					}
				}
			}
		}
		return nil
	}
	if err := scenarios.Suite.Hunt(t.Context(), inProcess(inMemory)(t, ""), h); err != nil {
		t.Fatal(err)
	}
	if ends[record.Four] == 0 || ends[record.Resigned] == 0 {
		t.Errorf("of %d games ended, by how: %v; want some of each that random play reaches", h.Sequences, ends)
	}
}
