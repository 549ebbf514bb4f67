package faketest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

// Run checks that the fakes start makes keep what package fake promises. start may be called
// many times, also while fakes it made earlier run. Each promise is a subtest.
func Run(t *testing.T, start func(fake.TB) *fake.Fake) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			if err := p.check(t.Context(), start); err != nil {
				t.Error(err)
			}
		})
	}
}

// starter makes a fake.
type starter func(fake.TB) *fake.Fake

var promises = []struct {
	name  string
	check func(context.Context, starter) error
}{
	{"it is ready at once", readyAtOnce},
	{"its addresses answer", addressesAnswer},
	{"every declared failure code can be injected", everyCode},
	{"calls are recorded and latency is real", recorded},
	{"a reset leaves nothing but the addresses", resetComplete},
	{"fakes do not disturb each other", isolated},
	{"a stop leaves nothing behind", nothingLeft},
}

// stage is the fake.TB of one fake inside a check.
type stage struct {
	cleanups []func()
	errs     []error
}

// cue is what Fatalf panics with: it must not return.
type cue struct{}

func (s *stage) Helper()                   {}
func (s *stage) Cleanup(f func())          { s.cleanups = append(s.cleanups, f) }
func (s *stage) Failed() bool              { return len(s.errs) > 0 }
func (s *stage) Logf(string, ...any)       {}
func (s *stage) Errorf(f string, a ...any) { s.errs = append(s.errs, fmt.Errorf(f, a...)) }
func (s *stage) Fatalf(f string, a ...any) { s.Errorf(f, a...); panic(cue{}) }

// with runs act on a fake and stops it.
func with(start starter, act func(*fake.Fake) error) (err error) {
	s := &stage{}
	defer func() {
		if v := recover(); v != nil && v != (cue{}) {
			panic(v)
		}
		for _, f := range slices.Backward(s.cleanups) {
			f()
		}
		err = errors.Join(append([]error{err}, s.errs...)...)
	}()
	return act(start(s))
}

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

func everyCode(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := doorsOf(f)
		if err != nil {
			return err
		}
		var errs []error
		for _, d := range doors {
			defer d.close()
			for _, code := range f.Description().Failures {
				fault := f.FailNext(1, fake.Code(code.Number), fake.On(d.route))
				got, err := d.knock(ctx)
				if err == nil {
					err = got.differs(code)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("code %d at %s of listener %q: %w", code.Number, d.route, d.listener, err))
				}
				fault.Remove()
			}
		}
		return errors.Join(errs...)
	})
}

// testLatency is long enough to be told from a call without it.
const testLatency = 25 * time.Millisecond

func recorded(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := doorsOf(f)
		if err != nil {
			return err
		}
		for _, d := range doors {
			defer d.close()
			f.Clear()
			before := len(f.Calls())
			f.Latency(testLatency, fake.On(d.route))
			f.Fail(fake.HTTPStatus(503), fake.OnListener(d.listener))
			begin := time.Now()
			got, err := d.knock(ctx)
			took := time.Since(begin)
			if err != nil {
				return err
			}
			if got.grpc != failure.GRPCUnavailable || took < testLatency {
				return fmt.Errorf("%s: a status 503 after %v became %v after %v", d.route, testLatency, got.grpc, took)
			}
			calls := f.Calls()
			if len(calls) != before+1 || calls[before].Route != d.route || calls[before].Listener != d.listener || !calls[before].Injected {
				return fmt.Errorf("%s: one injected call is recorded as %+v", d.route, calls[before:])
			}
		}
		return nil
	})
}

func resetComplete(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := doorsOf(f)
		if err != nil {
			return err
		}
		before := f.Listeners()
		f.Fail(fake.HTTPStatus(503))
		for _, d := range doors {
			defer d.close()
			if _, err := d.knock(ctx); err != nil {
				return err
			}
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
			doors, err := doorsOf(one)
			if err != nil {
				return err
			}
			for _, d := range doors {
				defer d.close()
				if _, err := d.knock(ctx); err != nil {
					return err
				}
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

// listenersOf are the listeners that calls can be made to, with one route each that can be
// called without knowing the service.
func listenersOf(d chassis.Description) map[string]chassis.ListenerDescription {
	found := map[string]chassis.ListenerDescription{}
	for _, l := range d.Listeners {
		l.Routes = slices.DeleteFunc(slices.Clone(l.Routes), func(route string) bool {
			_, p := splitPattern(route)
			return !strings.HasPrefix(p, "/")
		})
		if len(l.Routes) > 0 {
			found[l.Name] = l
		}
	}
	return found
}
