package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// Local is a [Host] for tests, examples and small tools that are no service. The zero value has
// the machine's clock and its secure randomness. Its fields must not change after first use; its
// methods are safe for concurrent use. Whoever opened journals with it calls Close.
type Local struct {
	Time    clock.Clock // nil means clock.Real()
	Random  io.Reader   // nil means crypto/rand
	DryOnly bool        // Dry reports true

	mu      sync.Mutex
	closers []closer
}

type closer struct {
	name string
	f    func(context.Context) error
}

// OnClose implements [Host].
func (l *Local) OnClose(name string, f func(context.Context) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, closer{name, f})
}

// Dry implements [Host].
func (l *Local) Dry() bool { return l.DryOnly }

// Clock implements [Host].
func (l *Local) Clock() clock.Clock {
	if l.Time == nil {
		return clock.Real()
	}
	return l.Time
}

// Rand implements [Host].
func (l *Local) Rand() io.Reader {
	if l.Random == nil {
		return rand.Reader
	}
	return l.Random
}

// Close calls what was registered, last first, each once, and returns their errors joined.
func (l *Local) Close(ctx context.Context) error {
	l.mu.Lock()
	closers := l.closers
	l.closers = nil
	l.mu.Unlock()
	var errs []error
	for _, c := range slices.Backward(closers) {
		if err := c.f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}
