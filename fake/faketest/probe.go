package faketest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

const (
	// maxProbed is how many routes of a door have their handlers run, when nothing is known of them.
	maxProbed = 40
	// probeLimit is how long such a handler may take. One that takes longer, as on a slow machine, is not used;
	// that it is slow is no mistake.
	probeLimit = 10 * time.Second
)

// lookAround finds for each door a route whose handler ends when it is called with nothing, and succeeds if
// there is such a route: faults that strike after the handler has run, or while it answers, need one. Streams
// do not end and are not run. It looks until it has found one, first where calls change nothing, or at all.
func lookAround(ctx context.Context, f *fake.Fake, all bool) ([]*door, error) {
	doors, err := doorsOf(f)
	if err != nil {
		return nil, err
	}
	for _, d := range doors {
		if err := d.visit(func(c *client) error { return c.lookAround(ctx, f, all) }); err != nil {
			return nil, fmt.Errorf("%v: %w", d, err)
		}
	}
	return doors, nil
}

func (c *client) lookAround(ctx context.Context, f *fake.Fake, all bool) error {
	d := c.door
	var safe, other []string
	for _, route := range d.routes {
		if d.protocol == grpc2 || d.method(route) == "GET" {
			safe = append(safe, route)
		} else {
			other = append(other, route)
		}
	}
	routes := append(safe, other...)
	succeeds := false
	for _, route := range routes[:min(len(routes), maxProbed)] {
		call, seen, err := c.probe(ctx, f, route)
		if err != nil {
			return fmt.Errorf("%s: %w", route, err)
		}
		if call == nil || call.Sent != fake.SentAnswer {
			continue
		}
		d.quick = append(d.quick, route)
		if d.ending == "" || call.Committed && !succeeds {
			d.ending, d.size, succeeds = route, seen.size, call.Committed
		}
		if succeeds && !all {
			return nil
		}
	}
	return nil
}

// probe runs the handler of a route. The call is nil when it is one of a stream, or does not end soon, or
// another route has taken it.
func (c *client) probe(ctx context.Context, f *fake.Fake, route string) (*fake.Call, sight, error) {
	stream, err := c.streams(ctx, f, route)
	if err != nil || stream {
		return nil, sight{}, err
	}
	last := lastCall(f)
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	seen := c.knock(limited, route, nil)
	if ctx.Err() != nil {
		return nil, sight{}, ctx.Err()
	}
	if seen.lost != nil {
		return nil, sight{}, nil
	}
	call, err := onlyCall(ctx, f, last)
	if err != nil || call.Route != route {
		return nil, seen, err
	}
	return call, seen, nil
}

// streams reports whether calls of a route are streams, or the service does not let them come to their
// handler, which does not run. It holds one at the door and asks whether the fake waits for it, as it does for
// no stream.
func (c *client) streams(ctx context.Context, f *fake.Fake, route string) (bool, error) {
	match := c.door.match(route)
	faults, err := f.Install(fake.Rule{Match: match, Action: fake.Hold}, fake.Rule{Match: match, Failure: fake.HTTPStatus(behind)})
	if err != nil {
		return false, err
	}
	defer f.Clear()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan sight, 1)
	go func() {
		defer stop()
		done <- c.knock(ctx, route, nil)
	}()
	arrived := faults[0].WaitHeld(waiting, 1)
	now, cancel := context.WithCancel(ctx)
	cancel()
	stream := arrived != nil || f.WaitQuiescent(now) == nil
	faults[0].Release()
	<-done
	return stream, ctx.Err()
}

// match selects the calls of a route at the door.
func (d *door) match(route string) fake.Match {
	return fake.Match{Listener: d.listener, Route: route}
}

// lastCall is the Seq of the call that was recorded last, 0 if there is none.
func lastCall(f *fake.Fake) uint64 {
	if calls := f.Calls(); len(calls) > 0 {
		return calls[len(calls)-1].Seq
	}
	return 0
}

// callsAfter are the calls that were recorded after the one with that Seq, all of which must have ended: a
// client may learn of the end of a call before the fake has written it down.
func callsAfter(ctx context.Context, f *fake.Fake, seq uint64) ([]fake.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var after []fake.Call
		var open []string
		for _, call := range f.Calls() {
			if call.Seq <= seq {
				continue
			}
			if after = append(after, call); call.Sent == "" {
				open = append(open, call.Route)
			}
		}
		if len(open) == 0 {
			return after, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the end of calls of %s is not recorded: %w", strings.Join(open, ", "), ctx.Err())
		}
	}
}

// onlyCall is the one call that was recorded after that Seq.
func onlyCall(ctx context.Context, f *fake.Fake, seq uint64) (*fake.Call, error) {
	calls, err := callsAfter(ctx, f, seq)
	if err != nil {
		return nil, err
	}
	if len(calls) != 1 {
		return nil, fmt.Errorf("one call is recorded as %+v", calls)
	}
	return &calls[0], nil
}
