package faketest

import (
	"context"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

// TooLong is longer than a start may take on this machine.
func TooLong(ctx context.Context) (time.Duration, error) {
	empty, err := emptyStart(ctx)
	return max(readyLimit, 2*emptyStarts*empty), err
}

// Promises are the checks of Run by name, so that tests see them fail.
func Promises() map[string]func(context.Context, func(fake.TB) *fake.Fake) error {
	all := map[string]func(context.Context, func(fake.TB) *fake.Fake) error{}
	for _, p := range promises {
		all[p.name] = func(ctx context.Context, start func(fake.TB) *fake.Fake) error { return p.check(ctx, start) }
	}
	return all
}

// Refuses is the check that rules are refused.
func Refuses(install func(...fake.Rule) ([]*fake.Fault, error), code int) error {
	return refuses(install, code)
}

// RefusedTenant is the check that calls of a tenant are refused which is not there.
func RefusedTenant(ctx context.Context, f *fake.Fake) error {
	return atDoors(f, func(d *door, c *client) error { return c.refused(ctx, nil, "nobody") })
}
