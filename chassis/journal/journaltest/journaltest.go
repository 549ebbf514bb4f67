// Package journaltest checks that an engine keeps the promises of chassis/journal.
//
// Whoever writes an engine, or wraps one, runs it in a test of their own:
//
//	func TestJournal(t *testing.T) {
//		journaltest.Run(t, func(t *testing.T) journal.Journal {
//			return openEmptyJournal(t)
//		})
//	}
//
// Each promise is a subtest whose name says what is promised; a failure also says why services
// rely on it. A journal that never answers fails its rule after 30 seconds instead of hanging.
package journaltest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// patience bounds each rule, generously: it only ends what hangs.
const patience = 30 * time.Second

// An Option adds to what [Run] checks.
type Option func(*suite)

type suite struct {
	open     func(testing.TB) journal.Journal
	reopen   func(testing.TB, journal.Journal) journal.Journal // nil when the journal cannot be opened again
	patience time.Duration
}

// Reopen has Run check what a journal must keep when it is closed and opened again. reopen is
// given a journal that open returned and that is closed by now, and opens the same one.
func Reopen(reopen func(t *testing.T, closed journal.Journal) journal.Journal) Option {
	return func(s *suite) {
		s.reopen = func(t testing.TB, j journal.Journal) journal.Journal { return reopen(t.(*testing.T), j) }
	}
}

// Run checks the journals that open returns, each of which must be new and empty, in one subtest
// per rule. It closes them; closing one again must do nothing.
func Run(t *testing.T, open func(t *testing.T) journal.Journal, options ...Option) {
	t.Helper()
	s := suite{
		open:     func(t testing.TB) journal.Journal { return open(t.(*testing.T)) },
		patience: patience,
	}
	for _, o := range options {
		o(&s)
	}
	for _, r := range rules() {
		t.Run(r.promise, func(t *testing.T) { r.run(t, s) })
	}
}

// A rule is one promise, why it matters, and how it is checked.
type rule struct {
	promise string
	why     string
	check   func(p *probe)
	reopens bool // the check needs suite.reopen
}

func rules() []rule {
	var all []rule
	all = append(all, appendRules...)
	all = append(all, readRules...)
	all = append(all, subscribeRules...)
	return append(all, concurrencyRules...)
}

func (r rule) run(t testing.TB, s suite) {
	if r.reopens && s.reopen == nil {
		t.Skip("no Reopen option was given")
	}
	j := s.open(t)
	if j == nil {
		t.Fatal("open returned no journal")
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.patience)
	p := &probe{TB: t, Journal: j, ctx: ctx, suite: s}
	defer func() {
		cancel()
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			t.Logf("the rule %q matters: %s", r.promise, r.why)
		}
	}()
	r.check(p)
}

// A probe is a journal under test with the helpers that rules share.
type probe struct {
	testing.TB
	journal.Journal
	ctx   context.Context
	suite suite
}

// event returns an event without an ID whose data says what it is.
func event(data string) journal.Event { return journal.Event{Type: "noted", Data: []byte(data)} }

// identified returns an event with an ID.
func identified(id, data string) journal.Event {
	return journal.Event{ID: id, Type: "noted", Data: []byte(data)}
}

// numbered returns n events with data "0", "1" and so on.
func numbered(n int) []journal.Event {
	events := make([]journal.Event, n)
	for i := range events {
		events[i] = event(fmt.Sprint(i))
	}
	return events
}

// must appends and fails the rule when that fails.
func (p *probe) must(stream string, expect journal.Expect, events ...journal.Event) journal.Version {
	p.Helper()
	v, err := p.Append(p.ctx, stream, expect, events...)
	if err != nil {
		p.Fatalf("Append(%q, %v, %d events): %v", stream, expect, len(events), err)
	}
	return v
}

// collect returns what a sequence yields before its error.
func collect(seq func(func(journal.Recorded, error) bool)) ([]journal.Recorded, error) {
	var all []journal.Recorded
	for e, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// stream returns all events of a stream.
func (p *probe) stream(name string) []journal.Recorded {
	p.Helper()
	events, err := collect(p.Read(p.ctx, name, 0))
	if err != nil {
		p.Fatalf("Read(%q): %v", name, err)
	}
	return events
}

// all returns the events after a position that the filter selects.
func (p *probe) all(after journal.Position, f journal.Filter) []journal.Recorded {
	p.Helper()
	events, err := collect(p.All(p.ctx, after, f))
	if err != nil {
		p.Fatalf("All(after %d, %+v): %v", after, f, err)
	}
	return events
}

// version returns the version of a stream.
func (p *probe) version(stream string) journal.Version {
	p.Helper()
	v, err := p.Version(p.ctx, stream)
	if err != nil {
		p.Fatalf("Version(%q): %v", stream, err)
	}
	return v
}

// head returns the journal's head.
func (p *probe) head() journal.Position {
	p.Helper()
	h, err := p.Head(p.ctx)
	if err != nil {
		p.Fatalf("Head: %v", err)
	}
	return h
}

// data returns what the events say, for comparing.
func data(events []journal.Recorded) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = string(e.Data)
	}
	return all
}
