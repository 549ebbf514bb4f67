package faketest

import (
	"context"
	"errors"
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

// Seen is what a client sees of a call: nothing, when Lost; the failure of Code and, over HTTP, Status; or
// with neither a success.
type Seen struct {
	Lost         bool
	Code, Status int
	Took         time.Duration
}

func (s Seen) sight() sight {
	got := sight{took: s.Took, failure: answer{code: s.Code, http: s.Status}}
	switch {
	case s.Lost:
		got.lost = errors.New("cut off")
	case s.Code == 0:
		got.other = errors.New("200 OK")
	}
	return got
}

// Judge is the check of one rule, after it was meant to strike a call.
func Judge(f *fake.Fake, rule fake.Rule, seen Seen, calls ...fake.Call) error {
	t := trial{rule: rule}
	return t.check(f, seen.sight(), calls)
}
