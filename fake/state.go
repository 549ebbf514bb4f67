package fake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// State is what a service has kept at one moment: everything in its journal, and the time. What it
// keeps elsewhere is not in it, and neither are snapshots, checkpoints and leases of the journal. It
// must not be changed, and can be begun from any number of times.
type State struct {
	Now    time.Time          // by the service's clock
	Events []journal.Recorded // in order
}

func (s *State) empty() bool { return s == nil || len(s.Events) == 0 }

// Past is events of one stream as a service's journal keeps them: what a scenario of the service would
// be given.
type Past struct {
	Stream string          // of the journal
	Ago    time.Duration   // how long ago they happened, by the service's clock; 0 or more
	Events []journal.Event // at most journal.MaxEvents
}

// Snapshot is the service's state when it has nothing left to do: see [Fake.WaitQuiescent], whose errors
// it has. A call that comes meanwhile may be a part of it, or not. The error also says that the service
// keeps several journals, or more than [MaxStateEvents] or [MaxStateBytes].
func (f *Fake) Snapshot(ctx context.Context) (*State, error) {
	if err := f.WaitQuiescent(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	l := f.life
	f.mu.Unlock()
	if l == nil {
		return nil, errStopped
	}
	events, err := l.store.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return &State{f.clock.Now(), events}, nil
}

// Restore has the service start anew in a state, which may be that of another tenant or another fake of
// the service, and sets the clock to the state's time, unless that is the machine's. It waits until the
// service has nothing left to do, as Snapshot does; what comes between that and the restart is cut
// after 50 ms, as by a Reset. Faults and recorded calls stay. Events have the same order, ids and times
// as before, in positions that the journal gives anew, 1 being the first.
//
// A service that does not start in that state goes on in the one that it had, and the error says why. That
// is so when its journal is not empty at each start, as one in a file is not, and has what the state has not.
func (f *Fake) Restore(ctx context.Context, s *State) error {
	if s == nil {
		return fmt.Errorf("%s: restore: want a state; Reset begins empty", f.name)
	}
	return f.replace(ctx, func(*State) (*State, error) { return s, nil })
}

// Given adds to what has happened: it puts events into the journal, behind those that are there, and has
// the service start anew with them, as Restore does. Events that the service does not know, or cannot
// read, are refused, as far as its Spec says what its events are; and so is what the service does not
// start with. Nothing has changed then.
func (f *Fake) Given(ctx context.Context, past ...Past) error {
	for _, p := range past {
		if err := f.checkPast(p); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return f.replace(ctx, func(now *State) (*State, error) {
		next := &State{now.Now, slices.Clone(now.Events)}
		for _, p := range past {
			for _, e := range p.Events {
				next.Events = append(next.Events, journal.Recorded{Event: e, Stream: p.Stream, Time: now.Now.Add(-p.Ago)})
			}
		}
		if len(next.Events) > MaxStateEvents {
			return nil, fmt.Errorf("%d events would be more than the %d of a state", len(next.Events), MaxStateEvents)
		}
		return next, nil
	})
}

func (f *Fake) checkPast(p Past) error {
	if p.Ago < 0 {
		return fmt.Errorf("ago %v: want 0 or more", p.Ago)
	}
	if err := journal.ValidateAppend(p.Stream, p.Events); err != nil {
		return err
	}
	if f.event == nil {
		return nil
	}
	for i, e := range p.Events {
		if err := f.event(p.Stream, e.Type, e.Data); err != nil {
			return fmt.Errorf("event %d of stream %q: %w", i+1, p.Stream, err)
		}
	}
	return nil
}

// Fork makes a tenant in the state of f, which is a fake or a tenant. Errors are those of Snapshot and
// [Fake.NewTenant].
func (f *Fake) Fork(ctx context.Context, name string) (*Fake, error) {
	s, err := f.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return f.root().NewTenant(ctx, name, s)
}

// root is the fake that f is, or is a tenant of.
func (f *Fake) root() *Fake {
	if f.parent != nil {
		return f.parent
	}
	return f
}

// set sets the clock, unless it is the machine's.
func (f *Fake) set(now time.Time) {
	if f.virtual != nil {
		f.virtual.Set(now)
	}
}

// replace has the service start anew in the state that next makes of the one it has.
func (f *Fake) replace(ctx context.Context, next func(*State) (*State, error)) error {
	if err := f.WaitQuiescent(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopped
	}
	l := f.life
	if _, err := l.store.read(ctx); err != nil { // before anything is ended
		return fmt.Errorf("%s: %w", f.name, err)
	}
	l.store.want()
	if err := f.end(politeness); err != nil {
		f.fall(err)
		return err
	}
	had := &State{Now: f.clock.Now()}
	var err error
	if had.Events, err = l.store.final(); err != nil {
		f.fall(err) // there is nothing to go on with
		return fmt.Errorf("%s: %w", f.name, err)
	}
	in, err := next(had)
	if err == nil {
		f.set(in.Now)
		err = f.tryBegin(ctx, in)
	}
	if err == nil {
		return nil
	}
	f.set(had.Now)
	if again := f.tryBegin(context.WithoutCancel(ctx), had); again != nil {
		f.fall(again)
		return fmt.Errorf("%s: %w; and it does not go on: %w", f.name, err, again)
	}
	return fmt.Errorf("%s: it goes on as it was: %w", f.name, err)
}

// tryBegin is begin with a limit.
func (f *Fake) tryBegin(ctx context.Context, in *State) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return f.begin(ctx, in)
}
