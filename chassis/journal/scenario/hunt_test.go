package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
)

type (
	jarHunt  = scenario.Hunt[fact, order, left]
	jarTrace = scenario.Trace[fact, order, left]
	jarPrey  = scenario.Prey[fact, order, left]
)

var errTooMany = errors.New("there are more than 10 biscuits in the jar")

// biscuitHunt looks for a jar with too many biscuits.
func biscuitHunt() jarHunt {
	return jarHunt{
		Seed: 1, Sequences: 6, Length: 40, Given: givenTwo,
		Next: func(r *rand.Rand) order {
			switch r.IntN(3) {
			case 0:
				return order{Do: "fill", Count: 1 + r.IntN(4)}
			case 1:
				return order{Do: "take", By: []string{"ann", "bob"}[r.IntN(2)]}
			}
			return order{Do: "look"}
		},
		Rule: func(t jarTrace) error {
			n := 2
			for _, step := range t.Steps {
				for _, f := range step.Events {
					n += f.Count
					if f.Kind == "taken" {
						n--
					}
				}
			}
			if n > 10 {
				return errTooMany
			}
			return nil
		},
	}
}

func TestAHuntFindsNothingWhereNothingIs(t *testing.T) {
	if err := suite().Hunt(t.Context(), start(t, nil), biscuitHunt()); err != nil {
		t.Error(err)
	}
}

func TestAHuntMakesWhatItFindsAsShortAsItCan(t *testing.T) {
	careless := start(t, func(j *jars) { j.careless = true })
	err := suite().Hunt(t.Context(), careless, biscuitHunt())
	prey, ok := errors.AsType[*jarPrey](err)
	if !ok || !errors.Is(err, errTooMany) {
		t.Fatalf("the hunt ended with %v", err)
	}
	// No biscuit needs to be taken, nobody has to look, and no order is repeated for the jar to overflow.
	for i, step := range prey.Trace.Steps {
		if step.Command.Do != "fill" || step.Repeated {
			t.Errorf("step %d could have been left out: %+v", i+1, step)
		}
	}
	// The jar has 2 biscuits; each order brings at most 4, and the last one is needed.
	sum := 2
	for _, step := range prey.Trace.Steps[:len(prey.Trace.Steps)-1] {
		sum += step.Command.Count
	}
	if n := len(prey.Trace.Steps); n < 3 || sum > 10 {
		t.Errorf("it takes %d orders, and without the last one there are %d biscuits:\n%v", n, sum, err)
	}
	for _, want := range []string{"the jars: seed 1, sequence ", "of 40 commands, made shorter to ", "given  a jar was bought; 2 biscuits were put in\n",
		"when   somebody puts ", "broken: there are more than 10 biscuits in the jar"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	again := suite().Hunt(t.Context(), careless, biscuitHunt())
	if again == nil || again.Error() != err.Error() {
		t.Errorf("the same seed finds\n%v\nand then\n%v", err, again)
	}
}

func TestAHuntFindsThatARepeatedOrderIsCarriedOutTwice(t *testing.T) {
	err := suite().Hunt(t.Context(), start(t, func(j *jars) { j.forgetful = true }), biscuitHunt())
	prey, ok := errors.AsType[*jarPrey](err)
	if !ok || len(prey.Trace.Steps) != 1 || !prey.Trace.Steps[0].Repeated {
		t.Fatalf("the hunt ended with %v, want one order that was sent twice", err)
	}
	if !strings.Contains(err.Error(), ", sent twice: no answer") {
		t.Errorf("the error does not say that it was sent twice: %v", err)
	}
}

func TestAHuntFindsThatTwoSystemsDiffer(t *testing.T) {
	for _, test := range []struct {
		name    string
		mistake func(*jars)
		want    string
	}{
		{"by a failure", func(j *jars) { j.careless = true }, `the jars: failure 1002 "a jar holds 10 biscuits"; no events; the jars:`},
		{"by an answer", func(j *jars) { j.fickle = true }, "the jars:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := biscuitHunt()
			h.Rule = func(jarTrace) error { return nil }
			h.Against = start(t, test.mistake)
			err := suite().Hunt(t.Context(), start(t, nil), h)
			if _, ok := errors.AsType[*jarPrey](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the hunt ended with %v, want one that says %q", err, test.want)
			}
		})
	}
	h := biscuitHunt()
	h.Next = func(*rand.Rand) order { return order{Do: "look"} }
	h.Against = start(t, func(j *jars) { j.mute = true })
	h.Against.Name = "the mute jars"
	if err := suite().Hunt(t.Context(), start(t, nil), h); !errors.Is(err, errMute) || !strings.Contains(err.Error(), "broken: the mute jars: ") {
		t.Errorf("the hunt ended with %v", err)
	}
	h = biscuitHunt()
	h.Against = start(t, nil)
	if err := suite().Hunt(t.Context(), start(t, nil), h); err != nil {
		t.Errorf("of two equal systems: %v", err)
	}
}

func TestAHuntWithoutPreyOrEndIsRefused(t *testing.T) {
	for name, change := range map[string]func(*jarHunt){
		"Next and Rule are needed":                 func(h *jarHunt) { h.Rule = nil },
		"got 0 of 40":                              func(h *jarHunt) { h.Sequences = 0 },
		"want 1 or more sequences":                 func(h *jarHunt) { h.Length = 0 },
		"put the history into the journal: a fact": func(h *jarHunt) { h.Given = []jarHistory{{Events: []fact{{}}}} },
	} {
		h := biscuitHunt()
		change(&h)
		err := suite().Hunt(t.Context(), start(t, nil), h)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, want one that says %q", err, name)
		}
	}
}

func TestAHuntEndsWhenItCannotGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := biscuitHunt()
	h.Rule = func(t jarTrace) error {
		if len(t.Steps) == 3 {
			cancel()
		}
		return nil
	}
	if err := suite().Hunt(ctx, start(t, nil), h); !errors.Is(err, context.Canceled) {
		t.Errorf("a hunt whose context ended ends with %v", err)
	}
	if err := suite().Hunt(t.Context(), start(t, func(j *jars) { j.crumbly = true }), biscuitHunt()); err == nil || !strings.Contains(err.Error(), "nobody knows this kind") {
		t.Errorf("a hunt whose events cannot be read ends with %v", err)
	}
	if err := suite().Hunt(t.Context(), &jarSystem{Tap: start(t, nil).Tap, Do: (&jars{mute: true}).do}, biscuitHunt()); !errors.Is(err, errMute) {
		t.Errorf("a hunt without answers ends with %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	h = biscuitHunt()
	h.Rule = func(t jarTrace) error {
		if len(t.Steps) == 4 {
			cancel() // while the sequence is made shorter
			return errTooMany
		}
		return nil
	}
	if err := suite().Hunt(ctx, start(t, nil), h); !errors.Is(err, context.Canceled) || !strings.Contains(fmt.Sprint(err), "while it was made shorter") {
		t.Errorf("a hunt that ends while it makes what it found shorter ends with %v", err)
	}
}

func TestSequencesOfASeedAreAlwaysTheSame(t *testing.T) {
	var orders [2][]order
	for i := range orders {
		h := biscuitHunt()
		h.Rule = func(t jarTrace) error {
			orders[i] = append(orders[i], t.Steps[len(t.Steps)-1].Command)
			return nil
		}
		if err := suite().Hunt(t.Context(), start(t, nil), h); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(orders[0], orders[1]) {
		t.Error("two hunts with one seed tried different orders")
	}
}
