package faketest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

const (
	delay = 10 * time.Millisecond // a latency that can be told from none
	cut   = 5                     // the byte at which answers are cut
	// What is written of an answer besides its body, or messages, has at least so many bytes, and that of a
	// failure, with what it says, so many.
	smallest        = 40
	smallestFailure = 150
)

// behind answers a call that a rule lets go on, so that no handler runs.
const behind = 503

// everyRule has each kind of rule strike at each door, once by itself and, as far as a call can ask for it,
// once by the header of the call; and it has rules refused that make no sense.
func everyRule(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := lookAround(ctx, f, false)
		if err != nil {
			return err
		}
		for _, d := range doors {
			for _, rule := range d.rules(f) {
				if d.ending == "" && runs(rule) {
					continue
				}
				err := d.strikes(ctx, f, rule, false)
				if err == nil && canAsk(rule) {
					err = d.strikes(ctx, f, rule, true)
				}
				if err != nil {
					return fmt.Errorf("%v: %w", d, err)
				}
			}
			if err := d.refusesHeaders(ctx, f); err != nil {
				return fmt.Errorf("%v: %w", d, err)
			}
		}
		return refuses(f.Install, f.Description().Failures[0].Number)
	})
}

// rules are all kinds that there are of a door: each phase with each failure, latency and action.
func (d *door) rules(f *fake.Fake) []fake.Rule {
	var rules []fake.Rule
	declared := f.Description().Failures
	code := fake.Code(declared[len(declared)-1].Number) // the service's own, if it has any
	for _, phase := range []fake.Phase{fake.Before, fake.AfterCommit, fake.DuringResponse, fake.Connect} {
		kinds := []fake.Rule{
			{Latency: delay}, {Spread: fake.Spread{P50: delay}, Seed: 1},
			{Action: fake.RST}, {Action: fake.FIN}, {Action: fake.Garbage}, {Action: fake.HalfOpen}, {Action: fake.Hold},
		}
		slow := fake.Rule{Action: fake.Slow, Rate: 5000}
		switch phase {
		case fake.Before, fake.AfterCommit:
			kinds = append(kinds, fake.Rule{Failure: code}, fake.Rule{Failure: fake.HTTPStatus(404)})
			slow.Failure = fake.HTTPStatus(404) // which is short
		case fake.DuringResponse:
			// An answer of whatever length takes 50 ms then.
			slow.Rate = 20 * int64(d.size+smallest)
		}
		if kinds = append(kinds, slow); phase == fake.AfterCommit || phase == fake.DuringResponse {
			kinds = append(kinds, fake.Rule{Action: fake.Truncate})
		}
		if d.protocol != http1 && phase != fake.Connect {
			kinds = append(kinds, fake.Rule{Action: fake.GoAway})
		}
		for _, rule := range kinds {
			rule.Phase, rule.Count = phase, 1
			rule.Match = d.match("")
			if phase != fake.Connect {
				rule.Match = d.match(cmp.Or(d.ending, d.route))
			}
			if phase == fake.DuringResponse && ends(rule.Action) {
				rule.At = cut
			}
			rules = append(rules, rule)
		}
	}
	return rules
}

// ends reports whether an action ends the connection.
func ends(a fake.Action) bool {
	return a == fake.RST || a == fake.FIN || a == fake.Truncate || a == fake.Garbage
}

// waits reports whether an action waits for its release.
func waits(a fake.Action) bool { return a == fake.Hold || a == fake.HalfOpen }

// runs reports whether the handler must run for the rule to be seen.
func runs(r fake.Rule) bool {
	return r.Phase == fake.AfterCommit || r.Phase == fake.DuringResponse || r.Phase == fake.Before && r.Action == fake.HalfOpen
}

// strikes installs the rule, or has a call ask for it, calls once by a new connection, and checks what the
// client sees and the fake records.
func (d *door) strikes(ctx context.Context, f *fake.Fake, rule fake.Rule, asked bool) error {
	name := rule.String()
	if asked {
		name = fmt.Sprintf("%s: %s", fake.FaultHeader, headerOf(rule))
	}
	err := d.visit(func(c *client) error {
		t := trial{door: d, client: c, rule: rule, asked: asked}
		return t.run(ctx, f)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// trial is one rule and the call that it is to strike.
type trial struct {
	door   *door
	client *client
	rule   fake.Rule
	asked  bool        // by the call's header
	fault  *fake.Fault // nil if it is asked for
	spared bool        // there was nothing to strike
}

func (t *trial) run(ctx context.Context, f *fake.Fake) error {
	defer f.Clear()
	var rules []fake.Rule
	var header map[string]string
	if t.asked {
		header = map[string]string{fake.FaultHeader: headerOf(t.rule)}
	} else {
		rules = append(rules, t.rule)
	}
	if !runs(t.rule) {
		rules = append(rules, fake.Rule{Match: t.door.match(""), Failure: fake.HTTPStatus(behind)})
	}
	faults, err := f.Install(rules...)
	if err != nil {
		return err
	}
	if !t.asked {
		t.fault = faults[0]
	}
	last := lastCall(f)
	seen, err := t.call(ctx, header)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	calls, err := callsAfter(ctx, f, last)
	if err == nil {
		err = t.check(f, seen, calls)
	}
	if err == nil && t.rule.Action == fake.GoAway && !t.spared {
		err = t.goesOn(ctx)
	}
	return err
}

// call makes the call, and has it released where it waits.
func (t *trial) call(ctx context.Context, header map[string]string) (sight, error) {
	route := cmp.Or(t.door.ending, t.door.route)
	if !waits(t.rule.Action) {
		return t.client.knock(ctx, route, header), nil
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan sight, 1)
	go func() {
		defer stop()
		done <- t.client.knock(ctx, route, header)
	}()
	if err := t.fault.WaitHeld(waiting, 1); err == nil {
		select {
		case seen := <-done:
			return seen, fmt.Errorf("it was held, and the client has seen %v", seen)
		default:
		}
		t.fault.Release()
	}
	return <-done, nil
}

// check compares what a client has seen, and what was recorded, with what the rule promises.
func (t *trial) check(f *fake.Fake, seen sight, calls []fake.Call) error {
	if t.rule.Phase == fake.Connect && ends(t.rule.Action) {
		if len(calls) > 0 {
			return fmt.Errorf("the connection was ended, and a call is recorded: %+v", calls)
		}
		return errors.Join(t.hit(1), t.sees(f, seen))
	}
	if len(calls) != 1 {
		return fmt.Errorf("one call, which saw %v, is recorded as %+v", seen, calls)
	}
	call := calls[0]
	if t.rule.Phase == fake.AfterCommit && call.Ran && !call.Committed {
		// The handler has answered a failure to what it was asked: nothing was committed.
		t.spared = true
		if seen.lost != nil || call.Sent != fake.SentAnswer {
			return fmt.Errorf("the handler has failed, and the client saw %v; recorded: %+v", seen, call)
		}
		return t.hit(0)
	}
	if err := t.hit(1); err != nil {
		return fmt.Errorf("%w; the client saw %v; recorded: %+v", err, seen, call)
	}
	if t.rule.Phase == fake.AfterCommit && call.Sent == fake.SentPart && seen.lost != nil {
		return nil // some of the answer was out, as of one that is flushed or long, and the rest is cut
	}
	if err := t.sees(f, seen); err != nil {
		return fmt.Errorf("%w; recorded: %+v", err, call)
	}
	return t.records(call)
}

// hit checks that the fault has struck so many calls, or connections.
func (t *trial) hit(want int) error {
	if t.fault != nil && t.fault.Hits() != want {
		return fmt.Errorf("%d hits, want %d", t.fault.Hits(), want)
	}
	return nil
}

// sees checks what the client has seen.
func (t *trial) sees(f *fake.Fake, seen sight) error {
	r := &t.rule
	if ends(r.Action) {
		if seen.lost == nil {
			return fmt.Errorf("the client saw %v, want a connection that ends", seen)
		}
		return nil
	}
	if seen.lost != nil {
		return fmt.Errorf("the client saw %v, want one", seen)
	}
	if least := t.least(seen); seen.took < least {
		return fmt.Errorf("the answer was there after %v, want %v or more", seen.took, least)
	}
	switch {
	case r.Failure == fake.HTTPStatus(404):
		return seen.injected(404)
	case r.Failure != fake.Failure{}:
		declared := f.Description().Failures
		return seen.isCode(declared[len(declared)-1])
	case !runs(*r):
		return seen.injected(behind)
	}
	return nil
}

// least is how long the call must have taken.
func (t *trial) least(seen sight) time.Duration {
	if t.rule.Action != fake.Slow {
		return t.rule.Latency
	}
	// Who reads the last piece, of which there are 50 a second, does not wait behind it.
	bytes := int64(seen.size + smallest)
	if seen.other == nil {
		bytes = max(bytes, smallestFailure)
	}
	bytes -= max(1, t.rule.Rate/50)
	return time.Duration(bytes) * time.Second / time.Duration(t.rule.Rate)
}

// goesOn checks that the next call, after GOAWAY, comes by another connection.
func (t *trial) goesOn(ctx context.Context) error {
	before := t.client.conns.Load()
	seen := t.client.knock(ctx, cmp.Or(t.door.ending, t.door.route), nil)
	if seen.lost != nil || t.client.conns.Load() != before+1 {
		return fmt.Errorf("the next call saw %v, by connection %d of the client, want %d", seen, t.client.conns.Load(), before+1)
	}
	return nil
}

// records checks what the fake knows of the call.
func (t *trial) records(call fake.Call) error {
	want := fake.Call{Ran: runs(t.rule), Sent: fake.SentFailure}
	switch r := t.rule; {
	case ends(r.Action):
		want.Sent = fake.SentNothing
		if r.Action == fake.Truncate || r.At > 0 {
			want.Sent = fake.SentPart
		}
	case want.Ran && r.Failure == fake.Failure{}:
		want.Sent = fake.SentAnswer
	}
	if call.Ran != want.Ran || call.Sent != want.Sent {
		return fmt.Errorf("it is recorded as %+v, want that the handler ran %t, and sent %q", call, want.Ran, want.Sent)
	}
	if t.rule.Phase == fake.Connect {
		return nil
	}
	does := t.rule.String()
	_, does, _ = strings.Cut(does, ": ")
	if !strings.Contains(call.Fault, does) || call.Latency < t.rule.Latency || t.rule.Spread != (fake.Spread{}) && (call.Latency <= 0 || call.Latency > delay) {
		return fmt.Errorf("it is recorded as %+v, want the rule that struck, with its latency", call)
	}
	return nil
}
