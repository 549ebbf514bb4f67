package faketest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

const (
	someTenant  = "faketest-1"
	otherTenant = "faketest-2"
)

// tenantsApart checks that a fake and its tenants each have their own faults, recording and clock, over every
// protocol, and that a tenant answers for as long as it is there.
func tenantsApart(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		own := map[string]*fake.Fake{"": f} // by what calls name
		for _, name := range []string{someTenant, otherTenant} {
			t, err := f.NewTenant(ctx, name, nil)
			if err != nil {
				return err
			}
			own[name] = t
		}
		if err := clocksApart(own); err != nil {
			return err
		}
		status := map[string]int{"": 404, someTenant: 429, otherTenant: behind}
		for name, t := range own {
			t.Fail(fake.HTTPStatus(status[name]))
		}
		err := atDoors(f, func(d *door, c *client) error {
			for name := range own {
				if err := c.asTenant(ctx, own, name, status[name]); err != nil {
					return err
				}
			}
			return c.refused(ctx, own, "faketest-none")
		})
		if err != nil {
			return err
		}
		if err := own[someTenant].Stop(); err != nil {
			return fmt.Errorf("stop a tenant: %w", err)
		}
		delete(own, someTenant)
		if names := f.Tenants(); slices.Contains(names, someTenant) || !slices.Contains(names, otherTenant) {
			return fmt.Errorf("tenant %q was removed, and there are %q", someTenant, names)
		}
		return atDoors(f, func(d *door, c *client) error {
			if err := c.refused(ctx, own, someTenant); err != nil {
				return err
			}
			for name := range own {
				if err := c.asTenant(ctx, own, name, status[name]); err != nil {
					return fmt.Errorf("when %q was removed: %w", someTenant, err)
				}
			}
			return nil
		})
	})
}

// clocksApart checks that time passes for one of them alone.
func clocksApart(own map[string]*fake.Fake) error {
	for name, t := range own {
		if t.Clock() == nil {
			return nil // they have the machine's time
		}
		before := map[string]time.Time{}
		for other, u := range own {
			before[other] = u.Clock().Now()
		}
		t.Advance(time.Second)
		for other, u := range own {
			want := before[other]
			if other == name {
				want = want.Add(time.Second)
			}
			if now := u.Clock().Now(); !now.Equal(want) {
				return fmt.Errorf("a second has passed for tenant %q, and for %q it is %v, want %v", name, other, now, want)
			}
		}
	}
	return nil
}

// asTenant calls once for a tenant, and checks that it answers, and that it alone has recorded the call.
func (c *client) asTenant(ctx context.Context, own map[string]*fake.Fake, name string, status int) error {
	before := lastCalls(own)
	var header map[string]string
	if name != "" {
		header = map[string]string{fake.TenantHeader: name}
	}
	seen := c.knock(ctx, c.door.route, header)
	if err := seen.injected(status); err != nil {
		return fmt.Errorf("tenant %q: %w", name, err)
	}
	for other, t := range own {
		want := before[other]
		if other == name {
			want++
		}
		if got := lastCall(t); got != want {
			return fmt.Errorf("a call of tenant %q is recorded %d times by %q, want %d", name, got-before[other], other, want-before[other])
		}
	}
	return nil
}

// refused calls for a tenant that is not there.
func (c *client) refused(ctx context.Context, own map[string]*fake.Fake, name string) error {
	before := lastCalls(own)
	seen := c.knock(ctx, c.door.route, map[string]string{fake.TenantHeader: name})
	if got, err := seen.fault(); err != nil || got.code != failure.Malformed.Number() {
		return fmt.Errorf("there is no tenant %q, and its call saw %v, want code %d", name, seen, failure.Malformed.Number())
	}
	for other, t := range own {
		if got := lastCall(t); got != before[other] {
			return fmt.Errorf("there is no tenant %q, and its call is recorded by %q", name, other)
		}
	}
	return nil
}

func lastCalls(own map[string]*fake.Fake) map[string]uint64 {
	last := map[string]uint64{}
	for name, t := range own {
		last[name] = lastCall(t)
	}
	return last
}
