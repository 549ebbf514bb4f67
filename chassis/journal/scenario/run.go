package scenario

import (
	"context"
	"fmt"
	"slices"
	"testing"
)

// A Mode is a way to run scenarios. Whatever the mode, the scenario must come out the same.
type Mode string

// The modes.
const (
	// Once runs scenarios as they stand.
	Once Mode = "once"
	// Retried sends every command twice with the same key. Both must be answered alike, and what
	// the command makes happen must happen once.
	Retried Mode = "retried"
	// Replaced replaces the service between what is given and the command. It needs
	// [System.Replace].
	Replaced Mode = "replaced"
	// AnswerLost runs each scenario once for each append that its command makes. That append is
	// stored, and the service is told journal.ErrUnknownOutcome. If the command then ends
	// otherwise than it should, it is sent once more with the same key. It needs a tap that is not
	// [System.Beside].
	AnswerLost Mode = "answer lost"
)

// maxLost bounds how many appends of one command lose their answers, one at a time: a service
// that always appends once more would have AnswerLost go on for ever.
const maxLost = 50

// An Open gives the system to run scenarios of a setting on; nil says that it cannot have this
// setting. It registers with t what ends the system.
type Open[C, A any] func(t testing.TB, setting string) *System[C, A]

// Run runs every scenario of the suite in a mode, each in a subtest that is called by its name.
// Scenarios that the system cannot run, or that except the mode, are skipped with the reason.
func (s *Suite[E, C, A]) Run(t *testing.T, open Open[C, A], mode Mode) {
	t.Helper()
	systems := s.systems(t, open)
	for _, sc := range s.all() {
		t.Run(sc.Name, func(t *testing.T) {
			sys := systems[sc.Setting]
			if why := s.Skips(sys, &sc, mode); why != "" {
				t.Skip(why)
			}
			if err := s.Check(t.Context(), sys, sc, mode); err != nil {
				t.Errorf("%s, %s:\n%s%v", sys.Name, mode, s.Text(sc), err)
			}
		})
	}
}

// systems checks the suite and opens a system for each setting, for the length of t.
func (s *Suite[E, C, A]) systems(t testing.TB, open Open[C, A]) map[string]*System[C, A] {
	t.Helper()
	opened := map[string]*System[C, A]{}
	err := s.check()
	for _, sc := range s.all() {
		if _, known := opened[sc.Setting]; err == nil && !known {
			opened[sc.Setting] = open(t, sc.Setting)
			err = s.checkUnable(opened[sc.Setting])
		}
	}
	if err != nil {
		t.Fatalf("suite %s: %v", s.Name, err)
	}
	return opened
}

// checkUnable refuses exceptions for scenarios that there are not: they have been renamed.
func (s *Suite[E, C, A]) checkUnable(sys *System[C, A]) error {
	if sys == nil {
		return nil
	}
	for name := range sys.Unable {
		if !slices.ContainsFunc(s.all(), func(sc Scenario[E, C, A]) bool { return sc.Name == name }) {
			return fmt.Errorf("%s is unable to run %q, which is no scenario", sys.Name, name)
		}
	}
	return nil
}

// Skips says why a scenario cannot be run on a system in a mode; empty when it can. A nil system is
// one that cannot have the scenario's setting.
func (s *Suite[E, C, A]) Skips(sys *System[C, A], sc *Scenario[E, C, A], mode Mode) string {
	why, excepted := sc.Except[mode]
	switch {
	case sys == nil:
		return fmt.Sprintf("this system cannot have the setting %q", sc.Setting)
	case excepted:
		return why
	case sys.Unable[sc.Name] != "":
		return sys.Name + ": " + sys.Unable[sc.Name]
	case sc.Fault.isSet() && sys.Beside:
		return fmt.Sprintf("%s: the journal of another process cannot be made to fail", sys.Name)
	case mode == AnswerLost && sc.Fault.isSet():
		return "the journal is at fault already"
	case mode == AnswerLost && sys.Beside:
		return fmt.Sprintf("%s: the answers of another process's journal cannot be lost", sys.Name)
	case mode == Replaced && sys.Replace == nil:
		return fmt.Sprintf("%s cannot be replaced", sys.Name)
	}
	return ""
}

// Check runs one scenario, for which [Suite.Skips] has nothing to say, and returns how it came out
// otherwise than it should, in lines. It is what [Suite.Run] does without the testing.
func (s *Suite[E, C, A]) Check(ctx context.Context, sys *System[C, A], sc Scenario[E, C, A], mode Mode) error {
	if mode != AnswerLost {
		_, err := s.checkOnce(ctx, sys, &sc, how{twice: mode == Retried, replace: mode == Replaced})
		return err
	}
	for n := 1; n <= maxLost; n++ {
		lost, err := s.checkOnce(ctx, sys, &sc, how{lose: n})
		if err != nil {
			return fmt.Errorf("the answer to append %d was lost: %w", n, err)
		}
		if !lost {
			return nil
		}
	}
	return fmt.Errorf("the command appends more than %d times", maxLost)
}

func (s *Suite[E, C, A]) checkOnce(ctx context.Context, sys *System[C, A], sc *Scenario[E, C, A], h how) (lost bool, err error) {
	want, err := s.expected(&sc.Then)
	if err != nil {
		return false, err
	}
	got, lost, err := s.play(ctx, sys, sc, h)
	if err != nil {
		return false, err
	}
	if d := s.differ(want, got, isSet(want.answer)); d != "" {
		return false, fmt.Errorf("it came out otherwise (- wanted, + got):\n%s", d)
	}
	return lost, nil
}

// Compare runs every scenario on two systems, in one subtest each, and holds what came of it against
// each other: the failure or the answer, and each event with its data. What the scenario itself
// wants is not looked at, so that two releases can be compared of which neither is right; only an
// answer that the scenario leaves open is not compared, since it does so where time decides. Scenarios
// that one of the systems cannot run are skipped.
func (s *Suite[E, C, A]) Compare(t *testing.T, one, other Open[C, A]) {
	t.Helper()
	ones, others := s.systems(t, one), s.systems(t, other)
	for _, sc := range s.all() {
		t.Run(sc.Name, func(t *testing.T) {
			a, b := ones[sc.Setting], others[sc.Setting]
			for _, sys := range []*System[C, A]{a, b} {
				if why := s.Skips(sys, &sc, Once); why != "" {
					t.Skip(why)
				}
			}
			if err := s.compare(t.Context(), a, b, &sc); err != nil {
				t.Errorf("%s (-) and %s (+):\n%s%v", a.Name, b.Name, s.Text(sc), err)
			}
		})
	}
}

func (s *Suite[E, C, A]) compare(ctx context.Context, a, b *System[C, A], sc *Scenario[E, C, A]) error {
	one, _, err := s.play(ctx, a, sc, how{})
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	other, _, err := s.play(ctx, b, sc, how{})
	if err != nil {
		return fmt.Errorf("%s: %w", b.Name, err)
	}
	if d := s.differ(one, other, isSet(sc.Then.Answer) || sc.Then.Failure != 0); d != "" {
		return fmt.Errorf("they differ:\n%s", d)
	}
	return nil
}
