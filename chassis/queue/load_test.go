package queue_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

const ms = time.Millisecond

// scene is a load on a queue: callers come at random (a Poisson process) whether or not it keeps
// up, and each has a deadline.
type scene struct {
	name     string
	limits   queue.Limits
	load     float64       // offered, as a share of what the workers can do
	service  time.Duration // mean; evenly spread over 0.5 to 1.5 times as much
	deadline time.Duration
	// tenants, if there is more than one: the first offers so much, the others a share of the
	// capacity each.
	tenants int
	share   float64
	shareTo time.Duration // until when the others come; 0: to the end
	// slow is how many times as long work takes from slowFrom to slowTo.
	slow             float64
	slowFrom, slowTo time.Duration
	length           time.Duration // 0: 10 s, or 20,000 callers where that is less
}

func (s scene) lasts() time.Duration {
	if s.length != 0 {
		return s.length
	}
	return time.Duration(min(10, 20_000/(s.load*s.capacity())) * float64(time.Second))
}

// capacity is how many pieces of work the workers do per second.
func (s scene) capacity() float64 { return float64(s.limits.Workers) / s.service.Seconds() }

// caller is who comes in a scene.
type caller struct {
	at, takes time.Duration
	tenant    int
}

// callers are all who come, the same every time.
func (s scene) callers() (all []caller) {
	random := rand.New(rand.NewPCG(1, 2))
	small := s.share * float64(max(0, s.tenants-1)) // what the small tenants offer
	for at := time.Duration(0); ; {
		if s.shareTo > 0 && at >= s.shareTo {
			small = 0
		}
		at += time.Duration(random.ExpFloat64() / ((s.load + small) * s.capacity()) * float64(time.Second))
		if at >= s.lasts() {
			return all
		}
		c := caller{at: at, takes: time.Duration((0.5 + random.Float64()) * float64(s.service))}
		if s.slow > 0 && at >= s.slowFrom && at < s.slowTo {
			c.takes = time.Duration(s.slow * float64(c.takes))
		}
		if small > 0 && random.Float64() < small/(s.load+small) {
			c.tenant = 1 + random.IntN(s.tenants-1)
		}
		all = append(all, c)
	}
}

// outcome is what became of the callers of a scene.
type outcome struct {
	goodput  float64 // answers in time, as a share of what the workers could do
	good     []time.Duration
	late     int // answers nobody waits for any more
	depth    int // the deepest the queue was seen
	most     int // the most callers at a time, each a goroutine
	came     []int
	served   []int // of each tenant
	p99      time.Duration
	switched int // how often the order was seen to have changed
	stats    queue.Stats
}

// between is the goodput of a part of the scene.
func (o outcome) between(s scene, from, to time.Duration, slow float64) float64 {
	n := 0
	for _, at := range o.good {
		if at >= from && at < to {
			n++
		}
	}
	return float64(n) / (s.capacity() / slow * (to - from).Seconds())
}

// play runs a scene in virtual time.
func (s scene) play(t *testing.T) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		q := open(t, s.limits, queue.Options{})
		o.came, o.served = make([]int, s.tenants+1), make([]int, s.tenants+1)
		var mu sync.Mutex
		var took []time.Duration
		inside := 0
		var wg sync.WaitGroup
		start := time.Now()
		for i, c := range s.callers() {
			pass(t, c.at-time.Since(start))
			if i%32 == 0 {
				st := q.Stats()
				o.depth = max(o.depth, st.Depth)
				if st.NewestFirst != o.stats.NewestFirst {
					o.switched++
				}
				o.stats = st
			}
			mu.Lock()
			inside++
			o.most = max(o.most, inside)
			o.came[c.tenant]++
			mu.Unlock()
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), s.deadline)
				defer cancel()
				// The work ignores its context, as work that burns a processor does: started
				// in vain, it costs its full time.
				err := q.Do(ctx, queue.Meta{Tenant: string(rune('a' + c.tenant))}, func(context.Context) error {
					return clock.Sleep(context.Background(), clock.Real(), c.takes)
				})
				mu.Lock()
				defer mu.Unlock()
				inside--
				var r *queue.Rejected
				switch d := time.Since(start) - c.at; {
				case errors.As(err, &r):
				case err != nil:
					t.Error(err)
				case d <= s.deadline:
					o.good = append(o.good, time.Since(start))
					o.served[c.tenant]++
					took = append(took, d)
				default:
					o.late++
				}
			})
		}
		wg.Wait()
		o.goodput = o.between(s, 0, s.lasts(), 1)
		slices.Sort(took)
		o.p99 = took[len(took)*99/100]
		o.stats = q.Stats()
	})
	return o
}

// oracle is the goodput of whoever decides by knowledge, not by measuring. It knows the deadlines
// and how long work takes on average and at the least and most. With knows it also knows how long
// each piece will take, and then never starts what cannot be finished in time. Without, it starts
// what has enough time left, where enough is whatever leads to most. Of those it takes the oldest or
// the newest, again whichever leads to more. It does not choose short work first.
func (s scene) oracle(knows bool) (best float64) {
	for _, newest := range []bool{false, true} {
		if knows {
			best = max(best, s.decide(true, newest, 0))
			continue
		}
		for enough := 0.5; enough <= 1.5; enough += 0.125 { // times the average
			best = max(best, s.decide(false, newest, time.Duration(enough*float64(s.service))))
		}
	}
	return best
}

func (s scene) decide(knows, newest bool, enough time.Duration) float64 {
	free := make([]time.Duration, s.limits.Workers) // when each worker is
	var waiting []caller                            // by age
	good := 0
	// work gives the worker that is free first what it can do before now.
	work := func(now time.Duration) {
		for len(waiting) > 0 {
			first := 0
			for i, at := range free {
				if at < free[first] {
					first = i
				}
			}
			if free[first] > now {
				return
			}
			i := 0
			if newest {
				i = len(waiting) - 1
			}
			c := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			at, end := max(free[first], c.at), c.at+s.deadline
			if end-at < enough || knows && at+c.takes > end {
				continue
			}
			free[first] = at + c.takes
			if free[first] <= min(end, s.lasts()) {
				good++
			}
		}
	}
	for _, c := range s.callers() {
		work(c.at)
		waiting = append(waiting, c)
		work(c.at)
	}
	work(math.MaxInt64)
	return float64(good) / (s.capacity() * s.lasts().Seconds())
}

// naive is the goodput of a first-come-first-served queue that knows nothing of deadlines.
func (s scene) naive(capacity int) float64 {
	free := make([]time.Duration, s.limits.Workers)
	var starts []time.Duration // of those who came, in order; they begin to work in it, too
	good := 0
	for _, c := range s.callers() {
		for len(starts) > 0 && starts[0] <= c.at {
			starts = starts[1:]
		}
		if len(starts) >= capacity {
			continue
		}
		i := slices.Index(free, slices.Min(free))
		begin := max(free[i], c.at)
		free[i] = begin + c.takes
		if free[i] <= min(c.at+s.deadline, s.lasts()) {
			good++
		}
		starts = append(starts, begin)
	}
	return float64(good) / (s.capacity() * s.lasts().Seconds())
}
