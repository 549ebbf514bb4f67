package faketest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

// readyLimit is how long the quickest of starts may take; the quickest, because on a busy machine the
// others tell of the machine. On a slow one it is emptyStarts times what the quickest start of a service
// that does nothing takes.
const (
	starts      = 20
	readyLimit  = 5 * time.Millisecond * slowdown
	emptyStarts = 20
)

func readyAtOnce(ctx context.Context, start starter) error {
	best, empty := time.Hour, time.Hour
	for range starts {
		begin := time.Now()
		err := with(start, func(*fake.Fake) error {
			best = min(best, time.Since(begin))
			return nil
		})
		if err != nil {
			return err
		}
		if best <= readyLimit {
			return nil
		}
		took, err := emptyStart(ctx) // right after the other, so that both meet the same machine
		if err != nil {
			return err
		}
		empty = min(empty, took)
	}
	if limit := max(readyLimit, emptyStarts*empty); best > limit {
		return fmt.Errorf("the quickest of %d starts took %v, want at most %v", starts, best, limit)
	}
	return nil
}

// emptyStart is how long a fake of a service that does nothing takes to be ready.
func emptyStart(ctx context.Context) (time.Duration, error) {
	spec := chassis.Spec[struct{}]{Name: "empty", Setup: func(context.Context, *chassis.Service, struct{}) error { return nil }}
	begin := time.Now()
	f, err := fake.New(ctx, spec, fake.Options[struct{}]{})
	if err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, f.Stop()
}

func addressesAnswer(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		if len(f.Listeners()) == 0 {
			return errors.New("the service has no listeners")
		}
		return dialAll(ctx, f)
	})
}

func dialAll(ctx context.Context, f *fake.Fake) error {
	var d net.Dialer
	for name, addr := range f.Listeners() {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listener %q: %w", name, err)
		}
		if err := conn.Close(); err != nil {
			return fmt.Errorf("listener %q: %w", name, err)
		}
	}
	return nil
}

func resetComplete(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		before := f.Listeners()
		f.Fail(fake.HTTPStatus(503))
		err := atDoors(f, func(d *door, c *client) error {
			_, err := c.knock(ctx, d.route, nil).fault()
			return err
		})
		if err != nil {
			return err
		}
		if err := f.Reset(); err != nil {
			return err
		}
		if len(f.Faults())+len(f.Calls()) > 0 {
			return fmt.Errorf("after a reset there are %d faults and %d recorded calls", len(f.Faults()), len(f.Calls()))
		}
		if after := f.Listeners(); !maps.Equal(before, after) {
			return fmt.Errorf("a reset moved the listeners from %v to %v", before, after)
		}
		return dialAll(ctx, f)
	})
}

func isolated(ctx context.Context, start starter) error {
	return with(start, func(one *fake.Fake) error {
		return with(start, func(other *fake.Fake) error {
			for name, addr := range one.Listeners() {
				if addr == other.Addr(name) {
					return fmt.Errorf("two fakes have listener %q at %s", name, addr)
				}
			}
			one.Fail(fake.HTTPStatus(503))
			if one.Clock() != nil && one.Clock() == other.Clock() {
				return errors.New("two fakes share a clock")
			}
			err := atDoors(one, func(d *door, c *client) error {
				_, err := c.knock(ctx, d.route, nil).fault()
				return err
			})
			if err != nil {
				return err
			}
			if len(other.Faults())+len(other.Calls()) > 0 {
				return fmt.Errorf("what was done to one fake shows in another: %d faults, %d calls", len(other.Faults()), len(other.Calls()))
			}
			return nil
		})
	})
}

// leakCycles is how often a fake is started before goroutines are counted.
const leakCycles = 10

func nothingLeft(ctx context.Context, start starter) error {
	addrs := map[string]string{}
	cycle := func() error {
		return with(start, func(f *fake.Fake) error {
			maps.Copy(addrs, f.Listeners())
			return dialAll(ctx, f)
		})
	}
	if err := cycle(); err != nil {
		return err
	}
	before := runtime.NumGoroutine()
	for range leakCycles {
		if err := cycle(); err != nil {
			return err
		}
	}
	// Another program may take an address as soon as it is free, but hardly each time.
	err := bindAll(addrs)
	for try := 1; err != nil && try < bindTries; try++ {
		if err := cycle(); err != nil {
			return err
		}
		err = bindAll(addrs)
	}
	return errors.Join(err, settle(before))
}

// bindTries is how many starts must all leave an address behind before it counts.
const bindTries = 3

// bindAll checks that addresses are free: that they can be bound.
func bindAll(addrs map[string]string) error {
	for name, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("listener %q is not freed: %w", name, err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for goroutines that are about to end.
func settle(want int) error {
	now := 0
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if now = runtime.NumGoroutine(); now <= want {
			return nil
		}
	}
	stacks := make([]byte, 64<<10)
	return fmt.Errorf("%d goroutines are left over:\n%s", now-want, stacks[:runtime.Stack(stacks, true)])
}
