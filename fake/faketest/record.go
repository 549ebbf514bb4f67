package faketest

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

// testLatency is long enough to be told from a call without it.
const testLatency = 25 * time.Millisecond

func recorded(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		return atDoors(f, func(d *door, c *client) error {
			f.Clear()
			before := len(f.Calls())
			f.Latency(testLatency, fake.On(d.route))
			f.Fail(fake.HTTPStatus(503), fake.OnListener(d.listener))
			seen := c.knock(ctx, d.route, nil)
			got, err := seen.fault()
			if err != nil {
				return err
			}
			if got.grpc != failure.GRPCUnavailable || seen.took < testLatency {
				return fmt.Errorf("%s: a status 503 after %v became %v after %v", d.route, testLatency, got.grpc, seen.took)
			}
			calls := f.Calls()
			if len(calls) != before+1 || calls[before].Route != d.route || calls[before].Listener != d.listener || !calls[before].Injected {
				return fmt.Errorf("%s: one injected call is recorded as %+v", d.route, calls[before:])
			}
			return nil
		})
	})
}

// recordedOnce checks that each call is recorded once, as what it was and with what became of it, whether its
// handler ran or not, and that one which repeats a call whose answer was lost is known as its duplicate.
func recordedOnce(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := lookAround(ctx, f, false)
		if err != nil {
			return err
		}
		lost := map[string]uint64{} // what was called, to the first call that was committed and not answered
		for _, d := range doors {
			err := d.visit(func(c *client) error {
				if err := c.recordsRefused(ctx, f); err != nil || d.ending == "" {
					return err
				}
				return c.recordsRun(ctx, f, lost)
			})
			if err != nil {
				return fmt.Errorf("%v: %w", d, err)
			}
		}
		return nil
	})
}

// recordsRefused calls every route, with a fault that answers in the handler's place.
func (c *client) recordsRefused(ctx context.Context, f *fake.Fake) error {
	d := c.door
	defer f.Clear()
	f.Fail(fake.HTTPStatus(behind), d.match(""))
	for _, route := range d.routes[:min(len(d.routes), maxProbed)] {
		if d.shadowed(route) {
			continue
		}
		call, err := c.record(ctx, f, route)
		if err != nil {
			return err
		}
		if call.Ran || call.Committed || call.Sent != fake.SentFailure || !call.Injected || call.Status != behind || call.Fault == "" {
			return fmt.Errorf("%s: a call that a fault answered with %d is recorded as %+v", route, behind, call)
		}
	}
	return nil
}

// record calls a route once and returns what was recorded of it.
func (c *client) record(ctx context.Context, f *fake.Fake, route string) (*fake.Call, error) {
	last := lastCall(f)
	seen := c.knock(ctx, route, nil)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	call, err := onlyCall(ctx, f, last)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; the client saw %v", route, err, seen)
	}
	if call.Seq != last+1 || call.Listener != c.door.listener || call.Route != route || call.Method != c.door.method(route) || call.Time.IsZero() {
		return nil, fmt.Errorf("call %d, %s of listener %q, is recorded as %+v", last+1, route, c.door.listener, call)
	}
	if call.Failure != 0 && !call.Injected && call.Failure != seen.failure.code {
		return nil, fmt.Errorf("%s: the client saw %v, and it is recorded as %+v", route, seen, call)
	}
	return call, nil
}

// recordsRun has a handler run three times. The answer to the second call is lost, if it succeeds.
func (c *client) recordsRun(ctx context.Context, f *fake.Fake, lost map[string]uint64) error {
	d, route := c.door, c.door.ending
	_, path := splitPattern(route)
	target := d.method(route) + " " + pathOf(path)
	if d.protocol == grpc2 {
		target = route
	}
	call, err := c.record(ctx, f, route)
	if err != nil {
		return err
	}
	if !call.Ran || call.Sent != fake.SentAnswer || call.Committed != (call.Failure == 0) || call.Fault != "" || call.Injected || call.Duplicate != lost[target] {
		return fmt.Errorf("%s: a call that its handler answered is recorded as %+v", route, call)
	}
	f.Inject(fake.Rule{Phase: fake.AfterCommit, Failure: fake.HTTPStatus(behind)}, d.match(route))
	second, err := c.record(ctx, f, route)
	f.Clear()
	if err != nil {
		return err
	}
	if second.Committed && lost[target] == 0 {
		lost[target] = second.Seq
	}
	third, err := c.record(ctx, f, route)
	if err != nil {
		return err
	}
	if third.Duplicate != lost[target] {
		return fmt.Errorf("%s: a call that repeats %+v is recorded as %+v, want it to be a duplicate of %d", route, second, third, lost[target])
	}
	return nil
}
