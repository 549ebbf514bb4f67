package fake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// life is one run of the service, from a start or a reset to the next.
type life struct {
	instance *chassis.Instance
	clock    *mortal

	describe  sync.Once
	described chassis.Description
	store     store
	ended     chan struct{} // closed when the fake ends this life
}

// begin starts a life, in a state if it is not nil. The caller holds f.mu, or is the only one who knows f.
func (f *Fake) begin(ctx context.Context, in *State) error {
	l := &life{clock: newMortal(f.clock), ended: make(chan struct{})}
	l.store.begin = in
	world := f.world
	world.Clock = l.clock
	world.Listen = f.ports.listen
	world.Intercept = f.intercept
	world.Inside = f.ports.inside
	world.OpenJournal = l.store.open
	if f.parent != nil {
		world.Guest = f.parent.latest.Load().instance
	} else {
		world.Divert = &chassis.Divert{Header: TenantHeader, To: f.answering}
	}
	var err error
	if l.instance, err = f.start(ctx, world); err != nil {
		l.clock.end()
		return err
	}
	if err := l.store.filled(); err != nil {
		err = errors.Join(err, l.instance.Stop(ctx))
		l.clock.end()
		return err
	}
	f.life = l
	f.latest.Store(l)
	go f.watch(l)
	return nil
}

// watch stops the fake when the service ends by itself: its sockets must not take calls that
// nobody will answer.
func (f *Fake) watch(l *life) {
	select {
	case <-l.ended:
		return
	case <-l.instance.Done():
	}
	f.mu.Lock()
	current := f.life == l
	f.mu.Unlock()
	if current {
		_ = f.Stop()
	}
}

// politeness is how long clients have, at a reset, to notice that the service drains: those
// that keep a connection use another one for their next call, rather than see it fail. What
// goes on for longer is cut.
const politeness = 50 * time.Millisecond

// end ends the current life, if there is one.
func (f *Fake) end(politeness time.Duration) error {
	l := f.life
	if l == nil {
		return nil
	}
	f.life, f.past = nil, l
	close(l.ended)
	stopped := make(chan error, 1)
	hurry, cut := context.WithCancel(context.Background())
	defer cut()
	go func() { stopped <- l.instance.Stop(hurry) }()
	err, done := within(politeness, stopped)
	if !done {
		if f.parent == nil {
			f.ports.hangUp()
		} else {
			cut()
		}
		err, done = within(stopLimit, stopped)
	}
	if !done {
		// A service that ignores its contexts would otherwise hold the test until the test's
		// own deadline, without a word.
		err = fmt.Errorf("%s: the service did not stop within %v", f.name, stopLimit)
	}
	l.clock.end()
	f.cover.count(l.instance.Service().FailureCounts())
	return err
}

// within waits for a result, but not for ever.
func within(limit time.Duration, result <-chan error) (err error, done bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-result:
		return err, true
	case <-timer.C:
		return nil, false
	}
}

var errStopped = errors.New("the fake is stopped")

func (f *Fake) reset(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopped
	}
	f.faults.clear()
	err := f.end(politeness)
	f.calls.clear()
	if err == nil {
		err = f.begin(ctx, nil)
	}
	if err != nil {
		f.fall(err)
	}
	return err
}

// fall ends the fake since its service cannot go on. f.mu is held, and no life there.
func (f *Fake) fall(err error) {
	f.faults.clear()
	f.stopped, f.err = true, err
	f.close()
}

// description is taken once: it gathers all metrics, and routes do not change in a life.
func (l *life) description() chassis.Description {
	l.describe.Do(func() { l.described, _ = l.instance.Service().Description() })
	return l.described
}
