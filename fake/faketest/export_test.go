package faketest

import (
	"context"

	"github.com/seed-754044b3/roadworthy/fake"
)

// ReadyLimit is how long the quickest start may take.
const ReadyLimit = readyLimit

// Promises are the checks of Run by name, so that tests see them fail.
func Promises() map[string]func(context.Context, func(fake.TB) *fake.Fake) error {
	all := map[string]func(context.Context, func(fake.TB) *fake.Fake) error{}
	for _, p := range promises {
		all[p.name] = func(ctx context.Context, start func(fake.TB) *fake.Fake) error { return p.check(ctx, start) }
	}
	return all
}
