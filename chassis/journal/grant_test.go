package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A shelf keeps one lease and a clock, as simply as an engine can.
type shelf struct {
	last    journal.Lease
	now     time.Time
	what    string
	undone  *journal.Lease // what an attempt found that was undone
	failure error          // of the engine
}

func (s *shelf) update(_ context.Context, what, _ string, next func(journal.Lease, time.Time) (journal.Lease, error)) error {
	s.what = what
	if s.undone != nil {
		if _, err := next(*s.undone, s.now.Add(-time.Hour)); err != nil {
			return err
		}
	}
	lease, err := next(s.last, s.now)
	if err != nil {
		return err
	}
	if s.failure != nil {
		return s.failure
	}
	s.last = lease
	return nil
}

func TestWhatBecomesOfALeaseFollowsFromItsLastGrantAndTheTime(t *testing.T) {
	noon := time.Date(2026, 11, 28, 12, 0, 0, 5, time.FixedZone("east", 3600))
	const ttl = time.Minute
	lease := func(holder string, fence journal.Fence, end time.Time) journal.Lease {
		return journal.Lease{Name: "mailer", Holder: holder, Fence: fence, TTL: ttl, Expires: end.UTC()}
	}
	ann := lease("ann", 7, noon.Add(time.Second))
	over := lease("ann", 7, time.Unix(0, 0))
	acquire := func(holder string) func(journal.Leases) (journal.Lease, error) {
		return func(l journal.Leases) (journal.Lease, error) {
			return l.Acquire(t.Context(), "mailer", holder, ttl)
		}
	}
	renew := func(held journal.Lease) func(journal.Leases) (journal.Lease, error) {
		return func(l journal.Leases) (journal.Lease, error) { return l.Renew(t.Context(), held) }
	}
	release := func(held journal.Lease) func(journal.Leases) (journal.Lease, error) {
		return func(l journal.Leases) (journal.Lease, error) {
			return journal.Lease{}, l.Release(t.Context(), held)
		}
	}
	none, held, lost := journal.Lease{}, &journal.HeldError{Name: "mailer", Holder: "ann", Expires: ann.Expires}, journal.ErrLeaseLost
	for name, c := range map[string]struct {
		last   journal.Lease
		do     func(journal.Leases) (journal.Lease, error)
		want   journal.Lease // returned
		stored journal.Lease
		err    error
	}{
		"the first grant has fence 1":                {none, acquire("bob"), lease("bob", 1, noon.Add(ttl)), lease("bob", 1, noon.Add(ttl)), nil},
		"what is held is refused to others":          {ann, acquire("bob"), none, ann, held},
		"its holder is granted it anew":              {ann, acquire("ann"), lease("ann", 8, noon.Add(ttl)), lease("ann", 8, noon.Add(ttl)), nil},
		"what was given back is granted":             {over, acquire("bob"), lease("bob", 8, noon.Add(ttl)), lease("bob", 8, noon.Add(ttl)), nil},
		"what ends now is granted":                   {lease("ann", 7, noon), acquire("bob"), lease("bob", 8, noon.Add(ttl)), lease("bob", 8, noon.Add(ttl)), nil},
		"what ends too late to be true is granted":   {lease("ann", 7, noon.Add(2*ttl+1)), acquire("bob"), lease("bob", 8, noon.Add(ttl)), lease("bob", 8, noon.Add(ttl)), nil},
		"a renewal keeps the fence":                  {ann, renew(ann), lease("ann", 7, noon.Add(ttl)), lease("ann", 7, noon.Add(ttl)), nil},
		"what is over cannot be renewed":             {lease("ann", 7, noon), renew(ann), none, lease("ann", 7, noon), lost},
		"what was granted again cannot be renewed":   {lease("ann", 8, noon.Add(1)), renew(ann), none, lease("ann", 8, noon.Add(1)), lost},
		"what another holds cannot be renewed":       {lease("bob", 7, noon.Add(1)), renew(ann), none, lease("bob", 7, noon.Add(1)), lost},
		"what was never granted cannot be renewed":   {none, renew(ann), none, none, lost},
		"what is given back is over and keeps fence": {ann, release(ann), none, over, nil},
		"giving back again changes nothing":          {over, release(ann), none, over, nil},
		"giving back what another holds does nothing": {
			lease("bob", 8, noon.Add(1)), release(ann), none, lease("bob", 8, noon.Add(1)), nil,
		},
	} {
		s := &shelf{last: c.last, now: noon}
		got, err := c.do(journal.LeasesOn(s.update))
		var refused *journal.HeldError
		if errors.As(err, &refused) && c.err == error(held) {
			if *refused != *held {
				t.Errorf("%s: %v, want %v", name, err, held)
			}
		} else if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if got != c.want || s.last != c.stored {
			t.Errorf("%s: the answer is %+v and %+v is stored; want %+v and %+v", name, got, s.last, c.want, c.stored)
		}
	}
}

func TestALeaseIsReckonedAnewWhenItsEngineTriesAgain(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	s := &shelf{last: journal.Lease{Name: "mailer", Holder: "ann", Fence: 7}, now: now, undone: &journal.Lease{Fence: 40}}
	got, err := journal.LeasesOn(s.update).Acquire(t.Context(), "mailer", "bob", time.Minute)
	want := journal.Lease{Name: "mailer", Holder: "bob", Fence: 8, TTL: time.Minute, Expires: now.Add(time.Minute)}
	if got != want || s.last != want || err != nil {
		t.Errorf("%+v, %v, and %+v is stored; want %+v", got, err, s.last, want)
	}
}

func TestWhatAnEngineCannotDoToALeaseIsTheAnswer(t *testing.T) {
	s := &shelf{failure: journal.ErrBusy}
	leases := journal.LeasesOn(s.update)
	held := journal.Lease{Name: "mailer", Holder: "ann", Fence: 1, TTL: time.Minute}
	for what, do := range map[string]func() (journal.Lease, error){
		`acquire lease "mailer"`: func() (journal.Lease, error) { return leases.Acquire(t.Context(), "mailer", "ann", time.Minute) },
		`renew lease "mailer"`: func() (journal.Lease, error) {
			s.last, s.now = held, time.Unix(10, 0)
			s.last.Expires = time.Unix(20, 0).UTC()
			return leases.Renew(t.Context(), held)
		},
		`release lease "mailer"`: func() (journal.Lease, error) {
			return journal.Lease{}, leases.Release(t.Context(), held)
		},
	} {
		if got, err := do(); got != (journal.Lease{}) || !errors.Is(err, journal.ErrBusy) || s.what != what {
			t.Errorf("%s: %+v, %v, doing %q; want nothing and the engine's error", what, got, err, s.what)
		}
	}
	s.what = ""
	if err := leases.Release(t.Context(), journal.Lease{Name: "mailer", TTL: time.Minute}); !errors.Is(err, journal.ErrInvalid) || s.what != "" {
		t.Errorf("releasing a lease without a holder: %v, doing %q; want ErrInvalid before the engine is asked", err, s.what)
	}
}

func TestALeaseMayBeReckonedAfterItsCallerHasGivenUp(t *testing.T) {
	reckoned := make(chan error)
	late := func(_ context.Context, _, _ string, next func(journal.Lease, time.Time) (journal.Lease, error)) error {
		go func() {
			_, err := next(journal.Lease{}, time.Unix(10, 0)) // at any time from now on: the race detector sees it
			reckoned <- err
		}()
		return journal.ErrUnknownOutcome
	}
	got, err := journal.LeasesOn(late).Acquire(t.Context(), "mailer", "ann", time.Minute)
	if got != (journal.Lease{}) || !errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("%+v, %v; want nothing and ErrUnknownOutcome", got, err)
	}
	if err := <-reckoned; err != nil {
		t.Error(err)
	}
}
