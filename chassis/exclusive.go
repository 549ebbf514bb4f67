package chassis

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// Lease is the right to do what only one process of a service may do. See [Service.Exclusive].
type Lease struct{ held atomic.Bool }

// Held reports whether this process has the right now.
func (l *Lease) Held() bool { return l.held.Load() }

// Exclusive has open called when no other process of the service holds what name stands for, and
// close when this one lets go of it, as its drain begins. While a service is reloaded two processes
// of it run; this keeps to one of them what only one may do or have open. The one before has
// closed when the next opens, so for a moment nobody holds it: work that needs it asks
// [Lease.Held].
//
// Both run in the background, open once the service is ready, and must return when their context
// ends; that of close ends after drain.timeout. An error of either ends the service, and so does it
// when neither the run directory nor a temporary one can be used to keep processes apart. The
// processes are those with one run directory, and without a run directory those of one supervisor;
// without a supervisor there is nobody to share with. name consists of letters, digits, hyphens and
// underscores; another name panics, since it is written in the code.
func (s *Service) Exclusive(name string, open, close func(context.Context) error) *Lease {
	if err := reload.ValidLock(name); err != nil {
		panic(fmt.Sprintf("chassis: %v", err))
	}
	l := &Lease{}
	s.Go("exclusive "+name, func(ctx context.Context) error {
		return l.keep(ctx, s, name, open, close)
	})
	return l
}

func (l *Lease) keep(ctx context.Context, s *Service, name string, open, close func(context.Context) error) error {
	leaving, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.leaving:
			cancel()
		case <-leaving.Done():
		}
	}()
	if s.world.host != nil {
		release, err := s.world.host.Lock(leaving, name)
		if leaving.Err() != nil {
			if err == nil {
				release()
			}
			return nil
		}
		if err != nil {
			return err
		}
		defer release()
	}
	if err := open(leaving); err != nil {
		if leaving.Err() != nil {
			return nil
		}
		return fmt.Errorf("open: %w", err)
	}
	l.held.Store(true)
	<-leaving.Done()
	l.held.Store(false)
	ending, end := context.WithTimeout(context.WithoutCancel(ctx), s.settings.Drain.Timeout)
	defer end()
	if err := close(ending); err != nil {
		// Not returned: of background work that the drain has ended, an error is only logged.
		s.end(fmt.Errorf("background work %q: close: %w", "exclusive "+name, err))
	}
	return nil
}
