package faketest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/fake"
)

const forked = "faketest-fork"

// statesKept checks that a state which is taken is the same when it is taken again, that one goes back to it,
// and that a fork has it and goes its own way. What the service has kept is what calls with nothing make of it.
// One that keeps several journals has no states, and says so; of one without a journal, the time is the state.
func statesKept(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		doors, err := lookAround(ctx, f, true)
		if err != nil {
			return err
		}
		s := story{fake: f, doors: doors}
		if err := s.goOn(ctx, ""); err != nil {
			return err
		}
		begin, err := f.Snapshot(ctx)
		if errors.Is(err, fake.ErrSeveralJournals) {
			return s.stateless(ctx)
		}
		if err != nil {
			return err
		}
		again, err := f.Snapshot(ctx)
		if err == nil {
			err = equal(begin, again)
		}
		if err != nil {
			return fmt.Errorf("a state that is taken twice: %w", err)
		}
		if err := s.restores(ctx, begin); err != nil {
			return fmt.Errorf("a state that was restored: %w", err)
		}
		if err := s.forks(ctx); err != nil {
			return fmt.Errorf("a fork: %w", err)
		}
		return nil
	})
}

// story is what is done with one fake.
type story struct {
	fake  *fake.Fake
	doors []*door
}

// goOn has handlers run, for a tenant if one is named, whatever comes of it.
func (s *story) goOn(ctx context.Context, tenant string) error {
	header := map[string]string{}
	if tenant != "" {
		header[fake.TenantHeader] = tenant
	}
	for _, d := range s.doors {
		err := d.visit(func(c *client) error {
			for _, route := range d.quick {
				limited, cancel := context.WithTimeout(ctx, probeLimit)
				c.knock(limited, route, header)
				cancel()
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// restores goes on and then back.
func (s *story) restores(ctx context.Context, begin *fake.State) error {
	f := s.fake
	if err := f.Restore(ctx, nil); err == nil {
		return errors.New("it was none, and is not refused")
	}
	if f.Clock() != nil {
		f.Advance(time.Second)
	}
	if err := s.goOn(ctx, ""); err != nil {
		return err
	}
	fault := f.Fail(fake.HTTPStatus(behind))
	last, addrs := lastCall(f), f.Listeners()
	if err := f.Restore(ctx, begin); err != nil {
		return err
	}
	back, err := f.Snapshot(ctx)
	if err == nil {
		err = equal(begin, back)
	}
	if err != nil {
		return err
	}
	if f.Clock() != nil && !f.Clock().Now().Equal(begin.Now) {
		return fmt.Errorf("the clock shows %v, want %v", f.Clock().Now(), begin.Now)
	}
	if lastCall(f) < last || !slices.Contains(f.Faults(), fault) {
		return fmt.Errorf("%d calls and %d faults are left, want all", lastCall(f), len(f.Faults()))
	}
	for name, addr := range f.Listeners() {
		if addrs[name] != addr {
			return fmt.Errorf("listener %q has moved from %s to %s", name, addrs[name], addr)
		}
	}
	err = atDoors(f, func(d *door, c *client) error { return c.knock(ctx, d.route, nil).injected(behind) })
	f.Clear()
	return err
}

// forks makes a tenant in the state of the fake, and has either go on.
func (s *story) forks(ctx context.Context) error {
	if err := s.goOn(ctx, ""); err != nil {
		return err
	}
	from, err := s.fake.Snapshot(ctx)
	if err != nil {
		return err
	}
	fork, err := s.fake.Fork(ctx, forked)
	if err != nil {
		return err
	}
	begin, err := fork.Snapshot(ctx)
	if err == nil {
		err = equal(from, begin)
	}
	if err != nil {
		return err
	}
	if err := clocksApart(map[string]*fake.Fake{"": s.fake, forked: fork}); err != nil {
		return err
	}
	if err := s.apart(ctx, "", s.fake, fork); err != nil {
		return err
	}
	if fork.Clock() != nil {
		fork.Advance(time.Second) // what comes of the same calls is told by its time
	}
	if err := s.apart(ctx, forked, fork, s.fake); err != nil {
		return err
	}
	if _, err := s.fake.Fork(ctx, forked); err == nil {
		return errors.New("there are two of one name")
	}
	return fork.Stop()
}

// apart checks that what comes of calls of a tenant is not in the other's state.
func (s *story) apart(ctx context.Context, tenant string, own, other *fake.Fake) error {
	before, err := own.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := s.goOn(ctx, tenant); err != nil {
		return err
	}
	after, err := own.Snapshot(ctx)
	if err != nil {
		return err
	}
	there, err := other.Snapshot(ctx)
	if err != nil {
		return err
	}
	for _, e := range after.Events[min(len(before.Events), len(after.Events)):] {
		if slices.ContainsFunc(there.Events, func(o journal.Recorded) bool { return same(e, o) }) {
			return fmt.Errorf("what calls of tenant %q have left is in the other's state: %+v", tenant, e)
		}
	}
	return nil
}

// stateless checks that what needs a state is refused, and that the service goes on.
func (s *story) stateless(ctx context.Context) error {
	f := s.fake
	if err := f.Restore(ctx, &fake.State{Now: time.Now()}); !errors.Is(err, fake.ErrSeveralJournals) {
		return fmt.Errorf("a state of several journals: %v, want that there is none", err)
	}
	if _, err := f.Fork(ctx, forked); !errors.Is(err, fake.ErrSeveralJournals) {
		return fmt.Errorf("a fork of several journals: %v, want that there is none", err)
	}
	f.Fail(fake.HTTPStatus(behind))
	return atDoors(f, func(d *door, c *client) error { return c.knock(ctx, d.route, nil).injected(behind) })
}

// equal says how a state is not another one. A service may have done something by itself since: what it adds
// is not looked at.
func equal(want, got *fake.State) error {
	if len(got.Events) < len(want.Events) {
		return fmt.Errorf("it has %d events, want %d", len(got.Events), len(want.Events))
	}
	for i, e := range want.Events {
		if !same(e, got.Events[i]) {
			return fmt.Errorf("event %d is %+v, want %+v", i+1, got.Events[i], e)
		}
	}
	return nil
}

// same reports whether two events are the same, be it in different positions.
func same(a, b journal.Recorded) bool {
	return a.Stream == b.Stream && a.ID == b.ID && a.Type == b.Type && a.Time.Equal(b.Time) && bytes.Equal(a.Data, b.Data)
}
