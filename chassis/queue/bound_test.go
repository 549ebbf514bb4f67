package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// visit is what one caller saw of a queue, in ticks of a counter that all share, so that what
// ended on a lower tick than another began came before it.
type visit struct {
	call, start, end, back int64
	full                   bool
}

// overlap is the most visits at a time, from one of their ticks to another.
func overlap(visits []visit, span func(visit) (int64, int64)) (most int) {
	at := map[int64]int{}
	var ticks []int64
	for _, v := range visits {
		from, to := span(v)
		at[from]++
		at[to]--
		ticks = append(ticks, from, to)
	}
	slices.Sort(ticks)
	now := 0
	for _, tick := range ticks {
		now += at[tick]
		most = max(most, now)
	}
	return most
}

// The queue is as linearizable as a counter: at any time no more work runs than there are workers,
// and whoever is refused because it is full came while that many and the places could be taken.
func TestTheBoundHoldsUnder64Goroutines(t *testing.T) {
	const workers, capacity, rounds = 3, 5, 100
	q := open(t, queue.Limits{Workers: workers, Capacity: capacity}, queue.Options{})
	var clock atomic.Int64
	visits := make([][]visit, 64)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var wg sync.WaitGroup
	for i := range visits {
		wg.Go(func() {
			for range rounds {
				v := visit{call: clock.Add(1)}
				err := q.Do(ctx, queue.Meta{}, func(context.Context) error {
					v.start = clock.Add(1)
					v.end = clock.Add(1)
					return nil
				})
				v.back = clock.Add(1)
				var r *queue.Rejected
				if errors.As(err, &r) && r.Reason == queue.Full {
					v.full = true
				} else if err != nil {
					t.Error(err)
				}
				visits[i] = append(visits[i], v)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(visits...)
	ran := slices.DeleteFunc(slices.Clone(all), func(v visit) bool { return v.full })
	if most := overlap(ran, func(v visit) (int64, int64) { return v.start, v.end }); most > workers {
		t.Errorf("%d ran at a time with %d workers", most, workers)
	}
	refused := 0
	for _, v := range all {
		if !v.full {
			continue
		}
		refused++
		beside := slices.DeleteFunc(slices.Clone(ran), func(o visit) bool { return o.back < v.call || o.call > v.back })
		if refused <= 100 && overlap(beside, func(o visit) (int64, int64) { return max(o.call, v.call), min(o.back, v.back) }) < workers+capacity {
			t.Fatalf("%+v was refused, beside %d", v, len(beside))
		}
	}
	s := q.Stats()
	if s.Completed != uint64(len(ran)) || s.Rejected["full"] != uint64(refused) || len(ran)+refused != 64*rounds {
		t.Errorf("%d ran and %d were refused of %d: %+v", len(ran), refused, 64*rounds, s)
	}
	t.Logf("%d ran, %d were refused", len(ran), refused)
}

// Whatever comes and goes together, everybody is answered, no worker is lost and nothing is left.
func TestAStormOfEverythingLeavesNothing(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			limits := queue.Limits{Workers: 1 + int(seed%3), Capacity: 16, Tenants: 4}
			if seed%2 == 1 {
				limits.MaxWait = 30 * ms
			}
			var lost, submitted, ran, answered atomic.Int64
			q := open(t, limits, queue.Options{Dark: seed == 7, OnError: func(err error) {
				var r *queue.Rejected
				if errors.As(err, &r) {
					lost.Add(1)
				}
			}})
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 60 {
						m := queue.Meta{Tenant: fmt.Sprint(random.IntN(8)), Class: queue.Class(1 - random.IntN(4))}
						d := time.Duration(random.IntN(10)) * ms
						ctx, cancel := context.WithCancel(context.Background())
						if random.IntN(2) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(60))*ms)
						}
						if random.IntN(3) == 0 {
							time.AfterFunc(time.Duration(random.IntN(20))*ms, cancel)
						}
						switch random.IntN(3) {
						case 0:
							_ = q.Do(ctx, m, takes(d))
						case 1:
							if a, err := q.Enter(ctx, m); err == nil {
								pass(t, d)
								a.Leave(nil)
							}
						case 2:
							if q.Submit(ctx, m, func(ctx context.Context) error { ran.Add(1); return takes(d)(ctx) }) == nil {
								submitted.Add(1)
							}
						}
						answered.Add(1)
						cancel()
						pass(t, time.Duration(random.IntN(5))*ms)
					}
				})
			}
			wg.Wait()
			if err := q.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s := q.Stats()
			if s.Depth+s.InFlight+s.Tenants != 0 || s.Admitted != s.Completed+s.Dropped || answered.Load() != 64*60 {
				t.Errorf("seed %d: %d answered, and afterwards %+v", seed, answered.Load(), s)
			}
			if submitted.Load() != ran.Load()+lost.Load() {
				t.Errorf("seed %d: %d submitted, %d ran and %d were reported lost", seed, submitted.Load(), ran.Load(), lost.Load())
			}
		})
	}
}
