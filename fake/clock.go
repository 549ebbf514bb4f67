package fake

import (
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// mortal is a clock for one life of the service: timers that the life leaves behind never
// run, so that nothing of it acts on the next one.
type mortal struct {
	clock.Clock

	mu     sync.Mutex
	timers map[*timer]struct{} // waiting; as many as the service asked for
	over   bool
}

func newMortal(c clock.Clock) *mortal {
	return &mortal{Clock: c, timers: map[*timer]struct{}{}}
}

// AfterFunc implements clock.Clock.
func (m *mortal) AfterFunc(d time.Duration, f func()) clock.Timer {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &timer{clock: m}
	if m.over {
		return t
	}
	m.timers[t] = struct{}{}
	// A real clock may call at once; the call then waits for the lock, and finds t.inner set.
	t.inner = m.Clock.AfterFunc(d, func() {
		if m.forget(t) {
			f()
		}
	})
	return t
}

// forget reports whether t was waiting, and makes it wait no more.
func (m *mortal) forget(t *timer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, waiting := m.timers[t]
	delete(m.timers, t)
	return waiting
}

// end drops all timers, and those that are asked for later.
func (m *mortal) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	for t := range m.timers {
		t.inner.Stop()
	}
	clear(m.timers)
}

type timer struct {
	clock *mortal
	inner clock.Timer
}

// Stop implements clock.Timer.
func (t *timer) Stop() bool {
	if !t.clock.forget(t) {
		return false
	}
	t.inner.Stop()
	return true
}
