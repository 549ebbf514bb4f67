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
