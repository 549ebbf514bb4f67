package queue_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// scene is a load on a queue: callers come at random (a Poisson process) whether or not it keeps
// up, and each has a deadline.
type scene struct {
	name     string
	limits   queue.Limits
	load     float64       // offered, as a share of what the workers can do
	service  time.Duration // mean; evenly spread over 0.5 to 1.5 times as much
	deadline time.Duration
	goodput  float64 // at least
}

// outcome is what became of the callers of a scene.
type outcome struct {
	goodput float64 // answers in time, as a share of what the workers could do
	late    int64   // answers nobody waits for any more
	depth   int     // the deepest the queue was seen
	callers int64   // the most at a time, each a goroutine
	stats   queue.Stats
}

// play runs a scene for twenty seconds of virtual time.
func (s scene) play(t *testing.T) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const length = 20 * time.Second
		q := open(t, s.limits, queue.Options{})
		random := rand.New(rand.NewPCG(1, 2))
		capacity := float64(s.limits.Workers) / s.service.Seconds()
		var good, late, callers atomic.Int64
		var wg sync.WaitGroup
		for start := time.Now(); time.Since(start) < length; {
			pass(t, time.Duration(random.ExpFloat64()/(s.load*capacity)*float64(time.Second)))
			takes := time.Duration((0.5 + random.Float64()) * float64(s.service))
			o.callers = max(o.callers, callers.Add(1))
			o.depth = max(o.depth, q.Stats().Depth)
			wg.Go(func() {
				defer callers.Add(-1)
				came := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), s.deadline)
				defer cancel()
				// The work ignores its context, as work that burns a processor does: started
				// in vain, it costs its full time.
				err := q.Do(ctx, func(context.Context) error {
					return clock.Sleep(context.Background(), clock.Real(), takes)
				})
				switch {
				case err != nil:
				case time.Since(came) <= s.deadline:
					good.Add(1)
				default:
					late.Add(1)
				}
			})
		}
		wg.Wait()
		o.goodput = float64(good.Load()) / (capacity * length.Seconds())
		o.late = late.Load()
		o.stats = q.Stats()
	})
	return o
}

func TestOverloadLeavesGoodputNearCapacity(t *testing.T) {
	const ms = time.Millisecond
	sized := queue.Limits{Workers: 8, Capacity: 24}
	for _, s := range []scene{
		{"at capacity", sized, 1, 20 * ms, 100 * ms, 0.92},
		{"twice the capacity", sized, 2, 20 * ms, 100 * ms, 0.95},
		{"five times the capacity", sized, 5, 20 * ms, 100 * ms, 0.95},
		{"ten times the capacity", sized, 10, 20 * ms, 100 * ms, 0.95},
		{"work twice as long as the queue was sized for", sized, 2, 40 * ms, 100 * ms, 0.95},
		{"a queue ten times too deep", queue.Limits{Workers: 8, Capacity: 240}, 5, 20 * ms, 100 * ms, 0.95},
		{"two workers", queue.Limits{Workers: 2, Capacity: 6}, 2, 20 * ms, 100 * ms, 0.95},
	} {
		t.Run(s.name, func(t *testing.T) {
			o := s.play(t)
			t.Logf("goodput %.3f of capacity, %d late, at most %d of %d waiting and %d callers",
				o.goodput, o.late, o.depth, s.limits.Capacity, o.callers)
			if o.goodput < s.goodput {
				t.Errorf("goodput %.3f of capacity, want %.2f", o.goodput, s.goodput)
			}
			if o.depth > s.limits.Capacity {
				t.Errorf("%d waited in %d places", o.depth, s.limits.Capacity)
			}
			if o.stats.Admitted != o.stats.Completed+o.stats.Dropped || o.stats.Depth+o.stats.InFlight != 0 {
				t.Errorf("after the last caller: %+v", o.stats)
			}
		})
	}
}
