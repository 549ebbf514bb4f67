package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
)

// A Hunt is a search for a sequence of commands that breaks a rule. All fields but Given and Against
// are needed.
type Hunt[E any, C, A fmt.Stringer] struct {
	// Seed decides what is tried: the same seed, the same sequences. An error of [Suite.Hunt] names
	// it.
	Seed uint64
	// Sequences is how many are tried, Length how many commands each has. Every fourth command,
	// by chance, is sent twice with one key.
	Sequences, Length int
	// Given is what happened before each sequence.
	Given []History[E]
	// Next makes a command. All its chance must come from r. Commands name what they are about
	// ("ann drops into column 3"), so that they still mean something when others before them are
	// left out.
	Next func(r *rand.Rand) C
	// Rule says what is wrong with what has happened so far; it is asked after each command.
	Rule func(Trace[E, C, A]) error
	// Against, if not nil, is a second system that each sequence is run on too: that it answers
	// otherwise, or that other events happen, breaks a rule of its own.
	Against *System[C, A]
}

// A Trace is a sequence of commands and what came of them.
type Trace[E any, C, A fmt.Stringer] struct {
	Given []History[E]
	Steps []Step[E, C, A]
}

// A Step is one command and what came of it.
type Step[E any, C, A fmt.Stringer] struct {
	Command  C
	Repeated bool // it was sent twice, and both times answered alike
	Result   Result[A]
	Events   []E // what happened from when it was sent until it was answered
}

// A Prey is what a hunt found: an error of [Suite.Hunt].
type Prey[E any, C, A fmt.Stringer] struct {
	Seed     uint64
	Sequence int // counted from 1
	Length   int // of the sequence before it was made shorter
	Trace    Trace[E, C, A]
	Broken   error // what the rule said, of Trace

	text string
}

// Error tells the seed, the rule that is broken and the shortest sequence that was found to break it.
func (p *Prey[E, C, A]) Error() string { return p.text }

// Unwrap returns what the rule said.
func (p *Prey[E, C, A]) Unwrap() error { return p.Broken }

// maxShrinking bounds how often a sequence is run again while it is made shorter.
const maxShrinking = 1000

// move is a command of a sequence.
type move[C any] struct {
	command C
	twice   bool
}

// Hunt tries sequences of commands until one breaks the rule. Of that one it leaves out whatever can be
// left out with some rule still broken, and returns a *[Prey]. It returns nil when all rules held, and
// other errors when the hunt cannot go on.
func (s *Suite[E, C, A]) Hunt(ctx context.Context, sys *System[C, A], h Hunt[E, C, A]) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("suite %s: %w", s.Name, err)
	}
	if h.Next == nil || h.Rule == nil {
		return errors.New("hunt: Next and Rule are needed")
	}
	if h.Sequences < 1 || h.Length < 1 {
		return fmt.Errorf("hunt: want 1 or more sequences of 1 or more commands, got %d of %d", h.Sequences, h.Length)
	}
	for n := range h.Sequences {
		r := rand.New(rand.NewPCG(h.Seed, uint64(n)))
		moves := make([]move[C], h.Length)
		for i := range moves {
			moves[i] = move[C]{h.Next(r), r.IntN(4) == 0}
		}
		trace, broken, err := s.try(ctx, sys, &h, moves)
		if err != nil {
			return fmt.Errorf("hunt: seed %d, sequence %d: %w", h.Seed, n+1, err)
		}
		if broken == nil {
			continue
		}
		trace, broken, err = s.shrink(ctx, sys, &h, moves[:len(trace.Steps)], trace, broken)
		if err != nil {
			return fmt.Errorf("hunt: seed %d, sequence %d: while it was made shorter: %w", h.Seed, n+1, err)
		}
		p := &Prey[E, C, A]{Seed: h.Seed, Sequence: n + 1, Length: h.Length, Trace: trace, Broken: broken}
		p.text = s.tellPrey(sys, p)
		return p
	}
	return nil
}

// try runs a sequence, up to where a rule is broken.
func (s *Suite[E, C, A]) try(ctx context.Context, sys *System[C, A], h *Hunt[E, C, A], moves []move[C]) (t Trace[E, C, A], broken, err error) {
	t, broken, err = s.walk(ctx, sys, h, moves)
	if err != nil || broken != nil || h.Against == nil {
		return t, broken, err
	}
	other, broken, err := s.walk(ctx, h.Against, h, moves)
	if broken != nil {
		broken = fmt.Errorf("%s: %w", h.Against.Name, broken)
	}
	if err != nil || broken != nil {
		return other, broken, err
	}
	for i := range t.Steps {
		a, b := t.Steps[i], other.Steps[i]
		// Ids are each system's own.
		if a.Result.Failure != b.Result.Failure || !reflect.DeepEqual(a.Result.Answer, b.Result.Answer) || !reflect.DeepEqual(a.Events, b.Events) {
			return Trace[E, C, A]{Given: t.Given, Steps: other.Steps[:i+1]}, fmt.Errorf("%s: %s; %s: %s",
				sys.Name, s.tellStep(a), h.Against.Name, s.tellStep(b)), nil
		}
	}
	return t, nil, nil
}

// walk runs a sequence on one system.
func (s *Suite[E, C, A]) walk(ctx context.Context, sys *System[C, A], h *Hunt[E, C, A], moves []move[C]) (t Trace[E, C, A], broken, err error) {
	t.Given = h.Given
	r, err := s.begin(sys)
	if err != nil {
		return t, nil, err
	}
	defer r.end()
	for _, given := range h.Given {
		if _, err := s.put(ctx, sys, r, given); err != nil {
			return t, nil, fmt.Errorf("put the history into the journal: %w", err)
		}
	}
	for i, m := range moves {
		if err := ctx.Err(); err != nil {
			return t, nil, err
		}
		head, err := r.journal.Head(ctx)
		if err != nil {
			return t, nil, err
		}
		step := Step[E, C, A]{Command: m.command, Repeated: m.twice}
		step.Result = s.send(ctx, sys, r, r.key(i), m.command, how{twice: m.twice})
		found, err := s.since(ctx, r, head, 0)
		if err != nil {
			return t, nil, err
		}
		for _, f := range found {
			e, err := s.Decode(f.kind, f.data)
			if err != nil {
				return t, nil, err
			}
			step.Events = append(step.Events, e)
		}
		t.Steps = append(t.Steps, step)
		broken := step.Result.Err
		if broken == nil {
			broken = h.Rule(t)
		}
		if broken != nil {
			return t, broken, nil
		}
	}
	return t, nil, nil
}

// shrink leaves out of a sequence that breaks a rule what can be left out: first long stretches,
// then shorter ones, then second sendings.
func (s *Suite[E, C, A]) shrink(ctx context.Context, sys *System[C, A], h *Hunt[E, C, A], moves []move[C], trace Trace[E, C, A], broken error) (Trace[E, C, A], error, error) {
	tries := 0
	var gone error
	works := func(candidate []move[C]) bool {
		if tries++; tries > maxShrinking || gone != nil {
			return false
		}
		t, b, err := s.try(ctx, sys, h, candidate)
		if err != nil {
			gone = err
			return false
		}
		if b == nil {
			return false
		}
		moves, trace, broken = candidate[:len(t.Steps)], t, b
		return true
	}
	for before := -1; before != len(moves); {
		before = len(moves)
		for size := max(len(moves)/2, 1); size >= 1; size /= 2 {
			for i := 0; i+size <= len(moves); {
				if !works(slices.Concat(moves[:i], moves[i+size:])) {
					i += size
				}
			}
		}
	}
	for i := range moves {
		if i < len(moves) && moves[i].twice {
			once := slices.Clone(moves)
			once[i].twice = false
			works(once)
		}
	}
	return trace, broken, gone
}

func (s *Suite[E, C, A]) tellPrey(sys *System[C, A], p *Prey[E, C, A]) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: seed %d, sequence %d of %d commands, made shorter to %d:\n", sys.Name, p.Seed, p.Sequence, p.Length, len(p.Trace.Steps))
	given := Scenario[E, C, A]{Given: p.Trace.Given}
	paragraph(&b, "given", s.given(&given))
	for i, step := range p.Trace.Steps {
		word := "then"
		if i == 0 {
			word = "when"
		}
		command := step.Command.String()
		if step.Repeated {
			command += ", sent twice"
		}
		paragraph(&b, word, []string{command + ": " + s.tellStep(step)})
	}
	fmt.Fprintf(&b, "broken: %v", p.Broken)
	return b.String()
}

// tellStep is what came of a command.
func (s *Suite[E, C, A]) tellStep(step Step[E, C, A]) string {
	var words []string
	switch {
	case step.Result.Err != nil:
		words = append(words, "no answer")
	case step.Result.Failure != 0:
		words = append(words, s.failure(step.Result.Failure))
	case isSet(step.Result.Answer):
		words = append(words, step.Result.Answer.String())
	}
	if len(step.Events) == 0 {
		return strings.Join(append(words, "no events"), "; ")
	}
	return strings.Join(append(words, s.Tell(step.Events)...), "; ")
}
