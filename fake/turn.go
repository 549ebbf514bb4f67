package fake

import "context"

// turn is a mutex for which one can wait no longer than a context lasts. Make one with newTurn.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// Lock implements sync.Locker.
func (t turn) Lock() { t <- struct{}{} }

// Unlock implements sync.Locker.
func (t turn) Unlock() { <-t }

// within is Lock unless ctx ends sooner. The error is ctx's; nothing is locked then.
func (t turn) within(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
