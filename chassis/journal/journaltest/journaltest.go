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
// With the options [Reopen], [Peer] and [Clocked] it checks more, which every engine that can should
// have checked.
//
// Each promise is a subtest whose name says what is promised; a failure also says why services
// rely on it. A journal that never answers fails its rule after 30 seconds instead of hanging.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// patience bounds each rule, generously: it only ends what hangs.
const patience = 30 * time.Second

// An Option adds to what [Run] checks.
type Option func(*suite)

type suite struct {
	open     func(testing.TB) journal.Journal
	reopen   func(testing.TB, journal.Journal) journal.Journal // nil when the journal cannot be opened again
	peer     func(testing.TB, journal.Journal) journal.Journal // nil when it cannot be opened twice
	clocked  func(testing.TB, clock.Clock) journal.Journal     // nil when its clock cannot be chosen
	patience time.Duration
}

// Reopen has Run check what a journal must keep when it is closed and opened again. reopen is
// given a journal that open returned and that is closed by now, and opens the same one.
func Reopen(reopen func(t *testing.T, closed journal.Journal) journal.Journal) Option {
	return func(s *suite) {
		s.reopen = func(t testing.TB, j journal.Journal) journal.Journal { return reopen(t.(*testing.T), j) }
	}
}

// Peer has Run check what two processes may rely on that have the same journal open. peer is given a
// journal that open returned and opens the same one once more.
func Peer(peer func(t *testing.T, first journal.Journal) journal.Journal) Option {
	return func(s *suite) {
		s.peer = func(t testing.TB, j journal.Journal) journal.Journal { return peer(t.(*testing.T), j) }
	}
}

// Clocked has Run check what a journal does by the clock that it is opened with, in
// [journal.Request]. open opens a new, empty journal with the clock c.
func Clocked(open func(t *testing.T, c clock.Clock) journal.Journal) Option {
	return func(s *suite) {
		s.clocked = func(t testing.TB, c clock.Clock) journal.Journal { return open(t.(*testing.T), c) }
	}
}

// Patience has each rule take up to d instead of 30 seconds: rules append hundreds of events one after
// another, which takes an engine with a network and several disks longer.
func Patience(d time.Duration) Option {
	return func(s *suite) { s.patience = d }
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
	peers   bool // the check needs suite.peer
	clocked bool // the check needs suite.clocked
}

func rules() []rule {
	var all []rule
	all = append(all, appendRules...)
	all = append(all, readRules...)
	all = append(all, subscribeRules...)
	all = append(all, concurrencyRules...)
	all = append(all, manyRules...)
	all = append(all, snapshotRules...)
	all = append(all, checkpointRules...)
	all = append(all, leaseRules...)
	return append(all, sharedRules...)
}

func (r rule) run(t testing.TB, s suite) {
	for option, missing := range map[string]bool{
		"Reopen":  r.reopens && s.reopen == nil,
		"Peer":    r.peers && s.peer == nil,
		"Clocked": r.clocked && s.clocked == nil,
	} {
		if missing {
			t.Skipf("no %s option was given", option)
		}
	}
	c, open := &jumpingClock{Virtual: clock.NewVirtual(epoch)}, s.open
	if r.clocked {
		open = func(t testing.TB) journal.Journal { return s.clocked(t, c) }
	}
	j := open(t)
	if j == nil {
		t.Fatal("open returned no journal")
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.patience)
	p := &probe{TB: t, Journal: j, ctx: ctx, suite: s, clock: c}
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
	clock *jumpingClock // the journal's, if the rule is clocked
}

// epoch is when the clocks of rules start.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A jumpingClock can be set back, as the machine's clock can.
type jumpingClock struct {
	*clock.Virtual
	mu   sync.Mutex
	back time.Duration
}

// Now implements [clock.Clock].
func (c *jumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Virtual.Now().Add(-c.back)
}

// setBack lets the clock show a time d before what it shows.
func (c *jumpingClock) setBack(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.back += d
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

// everything makes each call that a journal knows, with arguments that are good, and returns the
// errors. One that the engine does not support is left out.
func (p *probe) everything(ctx context.Context) map[string]error {
	errs := map[string]error{}
	call := func(name string, err error) {
		if name != "AppendMany" || !errors.Is(err, journal.ErrUnsupported) {
			errs[name] = err
		}
	}
	_, err := p.Append(ctx, "s", journal.Any, event("never"))
	call("Append", err)
	_, err = p.AppendMany(ctx, batch("s", journal.Any, event("never")), batch("t", journal.Any, event("never")))
	call("AppendMany", err)
	_, err = p.Version(ctx, "s")
	call("Version", err)
	_, err = p.Head(ctx)
	call("Head", err)
	_, err = collect(p.Read(ctx, "s", 0))
	call("Read", err)
	_, err = collect(p.All(ctx, 0, journal.Filter{}))
	call("All", err)
	_, err = collect(p.Subscribe(ctx, 0, journal.Filter{}))
	call("Subscribe", err)
	_, _, err = p.Snapshots().Load(ctx, "s", 1)
	call("Snapshots.Load", err)
	call("Snapshots.Save", p.Snapshots().Save(ctx, "s", journal.Snapshot{Version: 1}))
	_, err = p.Checkpoints().Load(ctx, "reader")
	call("Checkpoints.Load", err)
	call("Checkpoints.Move", p.Checkpoints().Move(ctx, "reader", 0, 0, 1))
	_, err = p.Leases().Acquire(ctx, "lease", "ann", ttl)
	call("Leases.Acquire", err)
	lease := journal.Lease{Name: "lease", Holder: "ann", Fence: 1, TTL: ttl}
	_, err = p.Leases().Renew(ctx, lease)
	call("Leases.Renew", err)
	call("Leases.Release", p.Leases().Release(ctx, lease))
	return errs
}

// data returns what the events say, for comparing.
func data(events []journal.Recorded) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = string(e.Data)
	}
	return all
}
