package kpi

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

const (
	// slowestKept is how many requests the list holds.
	slowestKept = 20
	// slowestFor is how long it holds them.
	slowestFor = 10 * time.Minute
	// slowestFloor is the duration up to which no request is slow.
	slowestFloor = time.Millisecond
)

// Slow is one slow request.
type Slow struct {
	ID                      string // of the request, as in the logs; may be empty
	Listener, Route, Method string
	Code                    string
	Took                    time.Duration
	End                     time.Time
}

// Slowest is the list of the slowest requests of the last ten minutes: 20 at most, those below a
// millisecond never. Routes fill it ([Route.ObserveAnswer]). It is safe for concurrent use.
type Slowest struct {
	// threshold is what a request must exceed to be of interest, in nanoseconds: reading it is
	// all that a fast one costs.
	threshold atomic.Int64
	clock     clock.Clock

	mu   sync.Mutex
	list []Slow // the slowest first
}

func newSlowest(c clock.Clock) *Slowest {
	s := &Slowest{clock: c}
	s.threshold.Store(int64(slowestFloor))
	return s
}

// Beats reports whether a request that took so long belongs into the list.
func (s *Slowest) Beats(took time.Duration) bool { return int64(took) > s.threshold.Load() }

// Add puts a request into the list, if it still belongs there.
func (s *Slowest) Add(x Slow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, x)
	slices.SortStableFunc(s.list, func(a, b Slow) int { return cmp.Compare(b.Took, a.Took) })
	s.expire(x.End)
}

// List returns the slowest requests, the slowest first.
func (s *Slowest) List() []Slow {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(s.clock.Now())
	return slices.Clone(s.list)
}

// expire drops what is too old or too much. The caller holds the lock.
func (s *Slowest) expire(now time.Time) {
	oldest := now.Add(-slowestFor)
	s.list = slices.DeleteFunc(s.list, func(x Slow) bool { return x.End.Before(oldest) || x.Took <= slowestFloor })
	threshold := slowestFloor
	if len(s.list) >= slowestKept {
		clear(s.list[slowestKept:])
		s.list = s.list[:slowestKept]
		threshold = s.list[slowestKept-1].Took
	}
	s.threshold.Store(int64(threshold))
}

// age drops what is too old, so that the threshold falls although nobody looks at the list.
func (s *Slowest) age() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(s.clock.Now())
}
