package faketest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

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
	{"every kind of rule strikes", everyRule},
	{"a rule selects its calls", everySelector},
	{"calls are recorded and latency is real", recorded},
	{"each call is recorded once, with its outcome", recordedOnce},
	{"a reset leaves nothing but the addresses", resetComplete},
	{"fakes do not disturb each other", isolated},
	{"tenants do not disturb each other", tenantsApart},
	{"a state is restored and forked", statesKept},
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
