package scenario

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// patience is how long events are waited for, generously: it only ends what will not come.
const patience = 30 * time.Second

// unclaimed is the subject of events in a stream that no answer told of.
const unclaimed = "a subject of which no answer told"

// happened is an event as it was found in the journal.
type happened struct {
	subject string
	kind    string
	data    []byte
}

func (h happened) String() string {
	text := h.kind + " " + string(h.data)
	if h.subject != "" {
		text = h.subject + ": " + text
	}
	return text
}

// outcome is what came of a command.
type outcome[A any] struct {
	failure int
	answer  A
	events  []happened
}

// how a scenario is played.
type how struct {
	twice   bool // each command is sent a second time
	replace bool // the service is replaced before the command
	lose    int  // the append whose answer is lost, counted from 1; 0 for none
}

// play runs a scenario once and returns what came of its command. lost reports whether the append
// came whose answer was to be lost.
func (s *Suite[E, C, A]) play(ctx context.Context, sys *System[C, A], sc *Scenario[E, C, A], h how) (seen outcome[A], lost bool, err error) {
	r, err := s.begin(sys)
	if err != nil {
		return seen, false, err
	}
	defer r.end()
	var head journal.Position
	for _, given := range sc.Given {
		if head, err = s.put(ctx, sys, r, given); err != nil {
			return seen, false, fmt.Errorf("put the history into the journal: %w", err)
		}
	}
	for i, c := range sc.Before {
		got := s.send(ctx, sys, r, r.key(i), c, h)
		if got.Err == nil && got.Failure != 0 {
			got.Err = fmt.Errorf("it failed with %d", got.Failure)
		}
		if got.Err != nil {
			return seen, false, fmt.Errorf("before: %v: %w", c, got.Err)
		}
	}
	if h.replace {
		if err := sys.Replace(ctx); err != nil {
			return seen, false, fmt.Errorf("replace the service: %w", err)
		}
	}
	// What falls due while the last history is put counts: nobody could tell it from what the command
	// brings.
	if len(sc.Before) > 0 || head == 0 {
		if head, err = r.journal.Head(ctx); err != nil {
			return seen, false, err
		}
	}
	if !sys.Beside {
		sys.Tap.arm(sc.Fault, h.lose)
		defer sys.Tap.disarm()
	}
	key := r.key(len(sc.Before))
	got := s.send(ctx, sys, r, key, sc.When, h)
	if h.lose > 0 && got.Err == nil && got.Failure != sc.Then.Failure && sys.Tap.lost() {
		// The service may tell its caller that it does not know. The caller asks again.
		got = s.send(ctx, sys, r, key, sc.When, h)
	}
	if got.Err != nil {
		return seen, false, got.Err
	}
	expected := len(sc.Then.Events)
	if got.Failure != sc.Then.Failure {
		expected = 0 // what does not come out as it should need not be waited for
	}
	events, err := s.since(ctx, r, head, expected)
	if err != nil {
		return seen, false, err
	}
	return outcome[A]{got.Failure, got.Answer, events}, sys.Tap.lost(), nil
}

// begin is a new run on a system.
func (s *Suite[E, C, A]) begin(sys *System[C, A]) (*Run, error) {
	j := sys.Tap.Journal()
	if j == nil {
		return nil, errNoJournal
	}
	return newRun(j), nil
}

// put puts a history into the journal and returns the position of its last event.
func (s *Suite[E, C, A]) put(ctx context.Context, sys *System[C, A], r *Run, given History[E]) (last journal.Position, err error) {
	events := make([]journal.Event, len(given.Events))
	for i, e := range given.Events {
		kind, data, err := s.Encode(e)
		if err != nil {
			return 0, err
		}
		events[i] = journal.Event{Type: kind, Data: data}
	}
	id, known := r.ids[given.Subject]
	if !known {
		id = s.NewID(r.unique + "/" + given.Subject)
		r.ids[given.Subject] = id
	}
	err = sys.Tap.ago(given.Ago, func() (err error) {
		last, err = r.journal.Append(ctx, s.Stream(id), journal.Any, events...)
		return err
	})
	return last, err
}

// send carries out a command, twice where that is wanted, and has happen what is due.
func (s *Suite[E, C, A]) send(ctx context.Context, sys *System[C, A], r *Run, key string, c C, h how) Result[A] {
	got := sys.Do(ctx, r, key, c)
	if h.twice && got.Err == nil {
		again := sys.Do(ctx, r, key, c)
		if again.Err == nil && !reflect.DeepEqual(again, got) {
			again.Err = fmt.Errorf("%v: the repeated command was answered %s, the first one %s", c, result(again), result(got))
		}
		got = again
	}
	if got.Made != "" {
		name := ""
		for _, taken := r.ids[name]; taken && r.ids[name] != got.Made; _, taken = r.ids[name] {
			name += "new"
		}
		r.ids[name] = got.Made
	}
	if sys.Settle != nil {
		sys.Settle()
	}
	return got
}

func result[A any](r Result[A]) string {
	if r.Failure != 0 {
		return fmt.Sprintf("failure %d", r.Failure)
	}
	return fmt.Sprintf("%q (made %q)", fmt.Sprint(r.Answer), r.Made)
}

// since is what happened in the run's subjects after a position, once that is as much as is expected.
func (s *Suite[E, C, A]) since(ctx context.Context, r *Run, head journal.Position, expected int) ([]happened, error) {
	if expected > 0 {
		if err := s.await(ctx, r, head, expected); err != nil {
			return nil, err
		}
	}
	var events []happened
	streams := s.streams(r)
	begun := map[string]bool{} // other streams, each looked at once: that reads a batch of it
	for e, err := range r.journal.All(ctx, head, journal.Filter{}) {
		if err != nil {
			return nil, err
		}
		subject, own := streams[e.Stream]
		if !own {
			known := false
			if own, known = begun[e.Stream]; !known {
				if own, err = begunSince(ctx, r.journal, e.Stream, head); err != nil {
					return nil, err
				}
				begun[e.Stream] = own
			}
			subject = unclaimed
		}
		if own {
			events = append(events, happened{subject, e.Type, e.Data})
		}
	}
	return events, nil
}

// await returns when as many events have happened as are expected, or will not.
func (s *Suite[E, C, A]) await(ctx context.Context, r *Run, head journal.Position, expected int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	streams := s.streams(r)
	for e, err := range r.journal.Subscribe(ctx, head, journal.Filter{}) {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil // what did not happen is told by who compares
		}
		if err != nil {
			return err
		}
		if _, own := streams[e.Stream]; own {
			expected--
		}
		if expected == 0 {
			return nil
		}
	}
	return nil
}

// streams are the run's streams with their subjects.
func (s *Suite[E, C, A]) streams(r *Run) map[string]string {
	streams := make(map[string]string, len(r.ids))
	for subject, id := range r.ids {
		streams[s.Stream(id)] = subject
	}
	return streams
}

// begunSince reports whether a stream has no event up to a position.
func begunSince(ctx context.Context, j journal.Journal, stream string, head journal.Position) (bool, error) {
	for e, err := range j.Read(ctx, stream, 0) {
		return err == nil && e.Position > head, err
	}
	return false, nil
}
