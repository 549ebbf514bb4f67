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
	ended     chan struct{} // closed when the fake ends this life
}

// begin starts a life. The caller holds no lock, or is the only one who knows f.
func (f *Fake) begin(ctx context.Context) error {
	l := &life{clock: newMortal(f.clock), ended: make(chan struct{})}
	world := f.world
	world.Clock = l.clock
	world.Listen = f.ports.listen
	world.Intercept = f.intercept
	var err error
	if l.instance, err = f.start(ctx, world); err != nil {
		l.clock.end()
		return err
	}
	f.life = l
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

// end ends the current life, if there is one: hanging up on clients first leaves the drain
// with nothing to wait for.
func (f *Fake) end() error {
	l := f.life
	if l == nil {
		return nil
	}
	f.life = nil
	close(l.ended)
	f.faults.clear()
	f.ports.hangUp()
	err := within(stopLimit, func() error { return l.instance.Stop(context.Background()) })
	l.clock.end()
	return err
}

// within waits for stop, but not for ever: a service that ignores its contexts would
// otherwise hold the test until its own deadline, without a word.
func within(limit time.Duration, stop func() error) error {
	done := make(chan error, 1)
	go func() { done <- stop() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("the service did not stop within %v", limit)
	}
}

var errStopped = errors.New("the fake is stopped")

func (f *Fake) reset(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopped
	}
	err := f.end()
	f.calls.clear()
	if err == nil {
		err = f.begin(ctx)
	}
	if err != nil {
		f.stopped, f.err = true, err
		f.ports.close()
		close(f.done)
	}
	return err
}

// description is taken once: it gathers all metrics, and routes do not change in a life.
func (l *life) description() chassis.Description {
	l.describe.Do(func() { l.described, _ = l.instance.Service().Description() })
	return l.described
}
