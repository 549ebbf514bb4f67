package fake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A Spread is how latencies are distributed that are drawn for each call: half of them are up to
// P50, 90 of 100 up to P90, 99 of 100 up to P99, and none is above Max; in between they are even. A
// zero field means the one before it. The zero Spread adds nothing.
type Spread struct {
	P50, P90, P99, Max time.Duration
}

// filled has no zero fields behind one that is not.
func (s Spread) filled() Spread {
	s.P90 = orBefore(s.P90, s.P50)
	s.P99 = orBefore(s.P99, s.P90)
	s.Max = orBefore(s.Max, s.P99)
	return s
}

func orBefore(d, before time.Duration) time.Duration {
	if d == 0 {
		return before
	}
	return d
}

// check refuses a distribution that is none.
func (s Spread) check() error {
	f := s.filled()
	if f.P50 < 0 || f.P90 < f.P50 || f.P99 < f.P90 || f.Max < f.P99 || f.Max > maxLatency {
		return fmt.Errorf("spread p50 %v, p90 %v, p99 %v, max %v: want each at least the one before it, and %v at most", f.P50, f.P90, f.P99, f.Max, maxLatency)
	}
	return nil
}

// at is the latency that a share of u, 0 to 1, of all do not exceed.
func (s Spread) at(u float64) time.Duration {
	f := s.filled()
	from, low := 0.0, time.Duration(0)
	for _, p := range []struct {
		to   float64
		high time.Duration
	}{{0.5, f.P50}, {0.9, f.P90}, {0.99, f.P99}, {1, f.Max}} {
		if u <= p.to {
			return low + time.Duration((u-from)/(p.to-from)*float64(p.high-low))
		}
		from, low = p.to, p.high
	}
	return low
}

func (s Spread) String() string {
	f := s.filled()
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, max %v", f.P50, f.P90, f.P99, f.Max)
}

// maxSeed keeps seeds exact in every language that reads JSON.
const maxSeed = 1<<53 - 1

var errSeed = errors.New("a seed is 1 to 2^53-1; 0 lets the fake choose")

// dice is a source of randomness that is repeated by its seed.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{rng: rand.New(rand.NewPCG(seed, 0))} }

func (d *dice) float() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.Float64()
}

// seed draws a seed for something else.
func (d *dice) seed() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return 1 + d.rng.Uint64N(maxSeed)
}
