package queue_test

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func open(t testing.TB, l queue.Limits, o queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.New("test", l, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return q
}

// pass lets virtual time pass; tests that use it run in a bubble.
func pass(t testing.TB, d time.Duration) {
	t.Helper()
	if err := clock.Sleep(context.Background(), clock.Real(), d); err != nil {
		t.Fatal(err)
	}
}

// takes is work that takes d, or as long as its context lives.
func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error { return clock.Sleep(ctx, clock.Real(), d) }
}

func submit(t testing.TB, q *queue.Queue, f func(context.Context) error) {
	t.Helper()
	if err := q.Submit(t.Context(), queue.Meta{}, f); err != nil {
		t.Fatal(err)
	}
}

func wantReason(t testing.TB, err error, want queue.Reason) *queue.Rejected {
	t.Helper()
	var r *queue.Rejected
	if !errors.As(err, &r) || r.Reason != want || r.Queue != "test" {
		t.Fatalf("got %v, want a rejection because %v", err, want)
	}
	return r
}

// wantStats compares all figures; want lists the rejections that are not zero.
func wantStats(t testing.TB, q *queue.Queue, want queue.Stats) {
	t.Helper()
	got := q.Stats()
	if got.Admitted != got.Completed+got.Dropped+uint64(got.Depth+got.InFlight) {
		t.Errorf("figures that do not add up: %+v", got)
	}
	for reason, n := range got.Rejected {
		if n == 0 {
			delete(got.Rejected, reason)
		}
	}
	if want.Rejected == nil {
		want.Rejected = map[string]uint64{}
	}
	want.Name = "test"
	// Where there are no tenants and classes, these only say the same in other words.
	got.Service.Bounds, got.Service.Counts, got.Classes, want.Tenants = nil, nil, nil, min(1, want.Depth)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("figures\n got %+v\nwant %+v", got, want)
	}
}

// reports collects what OnError is told.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *reports) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func TestLimitsWithoutABoundAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		l    queue.Limits
		want string
	}{
		{"", queue.Limits{Workers: 1, Capacity: 1}, "queue: a queue needs a name"},
		{"q", queue.Limits{Capacity: 1}, `queue "q": Limits.Workers is 0: say how much may be done at a time, 1 or more`},
		{"q", queue.Limits{Workers: 1}, `queue "q": Limits.Capacity is 0: say how much may wait, 1 or more`},
		{"q", queue.Limits{Workers: 1, Capacity: -1}, `queue "q": Limits.Capacity is -1: say how much may wait, 1 or more`},
		{"q", queue.Limits{Workers: 1, Capacity: 1, Tenants: -1}, `queue "q": Limits.Tenants is -1: want up to 4096, or 0 for that many`},
		{"q", queue.Limits{Workers: 1, Capacity: 1, Tenants: 4097}, `queue "q": Limits.Tenants is 4097: want up to 4096, or 0 for that many`},
		{"q", queue.Limits{Workers: 1, Capacity: 1, PerClient: -2}, `queue "q": Limits.PerClient is -2: want 1 or more, 0 for half of the workers, or -1 for no bound`},
		{"q", queue.Limits{Workers: 1, Capacity: 1, MaxWait: -1}, `queue "q": Limits.MaxWait is -1ns: want 0 (no bound of its own) or more`},
	} {
		if q, err := queue.New(c.name, c.l, queue.Options{}); q != nil || err == nil || err.Error() != c.want {
			t.Errorf("New(%q, %+v): %v, want %s", c.name, c.l, err, c.want)
		}
	}
}

func TestAStormIsBoundedAndRejectedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 3, Capacity: 5}, queue.Options{})
		start := time.Now()
		var running, most, done, full atomic.Int64
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				work := func(ctx context.Context) error {
					defer running.Add(-1)
					now := running.Add(1)
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					return takes(10 * ms)(ctx)
				}
				var err error
				if i%2 == 0 {
					err = q.Do(t.Context(), queue.Meta{}, work)
				} else {
					err = q.Submit(t.Context(), queue.Meta{}, work)
				}
				if err == nil {
					done.Add(1)
					return
				}
				wantReason(t, err, queue.Full)
				if d := time.Since(start); d != 0 {
					t.Errorf("rejected after %v", d)
				}
				full.Add(1)
			})
		}
		synctest.Wait()
		wantStats(t, q, queue.Stats{Workers: 3, Capacity: 5, Depth: 5, InFlight: 3, Admitted: 8, Rejected: map[string]uint64{"full": 992}})
		wg.Wait()
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 30*ms {
			t.Errorf("eight times 10 ms with three workers took %v, want 30ms", d)
		}
		if done.Load() != 8 || full.Load() != 992 || most.Load() != 3 {
			t.Errorf("%d done, %d rejected, %d at a time", done.Load(), full.Load(), most.Load())
		}
		wantStats(t, q, queue.Stats{
			Workers: 3, Capacity: 5, Average: 10 * ms, Admitted: 8, Completed: 8, Rejected: map[string]uint64{"full": 992},
			Waited: 5, WaitTotal: 3*10*ms + 2*20*ms, Service: queue.Histogram{Sum: 80 * ms},
		})
	}) // returns when no goroutine of the bubble is left
}

func TestWorkIsDoneInTheOrderInWhichItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 100}, queue.Options{})
		submit(t, q, takes(99*ms))
		var order, want []int // appended to by one worker at a time
		var wg sync.WaitGroup
		for i := range 100 {
			work := func(context.Context) error { order = append(order, i); return nil }
			if i%2 == 0 {
				submit(t, q, work)
			} else {
				wg.Go(func() {
					if err := q.Do(t.Context(), queue.Meta{}, work); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
			want = append(want, i)
		}
		wg.Wait()
		if !slices.Equal(order, want) {
			t.Errorf("done in the order %v", order)
		}
	})
}

func TestDoReturnsWhatTheWorkReturns(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{OnError: func(err error) { t.Errorf("reported %v, which Do returns", err) }})
	boom := errors.New("boom")
	if err := q.Do(t.Context(), queue.Meta{}, func(context.Context) error { return boom }); err != boom {
		t.Errorf("got %v", err)
	}
	err := q.Do(t.Context(), queue.Meta{}, func(context.Context) error { panic(boom) })
	var p *queue.PanicError
	if !errors.As(err, &p) || p.Queue != "test" || p.Value != boom || !errors.Is(err, boom) ||
		!strings.Contains(string(p.Stack), "queue_test.go") || err.Error() != `queue "test": the work panicked: boom` {
		t.Errorf("a panic came back as %v", err)
	}
	if err := q.Do(t.Context(), queue.Meta{}, func(context.Context) error { panic("text") }); errors.Unwrap(err) != nil {
		t.Errorf("a panic with a text wraps %v", errors.Unwrap(err))
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = q.Do(t.Context(), queue.Meta{}, func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-done
	if err := q.Do(t.Context(), queue.Meta{}, func(context.Context) error { return nil }); err != nil {
		t.Errorf("after panics and Goexit the worker is lost: %v", err)
	}
	if s := q.Stats(); s.Completed != 5 || s.Failed != 4 || s.Panicked != 2 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestANilFunctionCostsNoWorker(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	func() {
		defer func() {
			if v := recover(); v != `queue "test": Submit of a nil function` {
				t.Errorf("Submit panicked with %v", v)
			}
		}()
		_ = q.Submit(t.Context(), queue.Meta{}, nil)
	}()
	var p *queue.PanicError
	if err := q.Do(t.Context(), queue.Meta{}, nil); !errors.As(err, &p) {
		t.Errorf("Do returned %v", err)
	}
	if s := q.Stats(); s.InFlight != 0 || s.Depth != 0 {
		t.Errorf("a worker is lost: %+v", s)
	}
}

func TestDoRunsWithTheCallersContext(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	err := q.Do(t.Context(), queue.Meta{}, func(ctx context.Context) error {
		if ctx != t.Context() {
			t.Errorf("the work runs with %v", ctx)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	type key struct{}
	var kept context.Context
	err = q.Do(context.WithValue(context.Background(), key{}, "value"), queue.Meta{}, func(ctx context.Context) error {
		kept = ctx
		if ctx.Value(key{}) != "value" || ctx.Err() != nil {
			t.Errorf("the work runs with %v, %v", ctx, ctx.Err())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if kept.Err() != context.Canceled {
		t.Error("a context that had no end got none with the work")
	}
}

func TestSubmittedWorkOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var told reports
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, queue.Options{OnError: told.add})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "kept"), 500*time.Millisecond)
		defer cancel()
		trouble := errors.New("late trouble")
		var kept context.Context
		for range 2 { // one runs and one waits while the caller leaves
			err := q.Submit(ctx, queue.Meta{}, func(ctx context.Context) error {
				kept = ctx
				_, bounded := ctx.Deadline()
				if err := takes(time.Second)(ctx); err != nil || bounded || ctx.Value(key{}) != "kept" {
					t.Errorf("the work has error %v, deadline %v, value %v", err, bounded, ctx.Value(key{}))
				}
				return trouble
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		pass(t, 3*time.Second)
		if errs := told.all(); len(errs) != 2 || errs[0] != trouble || errs[1] != trouble {
			t.Errorf("reported %v", errs)
		}
		if kept.Err() != context.Canceled {
			t.Error("the context outlives the work")
		}
	})
}

func TestWhatBecomesOfSubmittedWorkIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{OnError: told.add})
		for _, f := range []func(context.Context) error{
			func(context.Context) error { return nil },
			func(context.Context) error { return errors.New("boom") },
			func(context.Context) error { panic("boom") },
			func(context.Context) error { runtime.Goexit(); return nil },
		} {
			submit(t, q, f)
			synctest.Wait()
		}
		var got []string
		for _, err := range told.all() {
			got = append(got, err.Error())
		}
		want := []string{"boom", `queue "test": the work panicked: boom`, `queue "test": the work ended its goroutine with runtime.Goexit`}
		if !slices.Equal(got, want) {
			t.Errorf("reported %q, want %q", got, want)
		}
		wantStats(t, q, queue.Stats{Workers: 1, Capacity: 1, Admitted: 4, Completed: 4, Failed: 3, Panicked: 1})
	})
}

func TestWithoutOnErrorErrorsAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1, MaxWait: time.Second}, queue.Options{})
		submit(t, q, func(context.Context) error { panic("boom") })
		synctest.Wait()
		submit(t, q, takes(2*time.Second))
		submit(t, q, takes(0))
		pass(t, 3*time.Second)
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 1, Average: 2 * time.Second, Admitted: 3, Completed: 2, Failed: 1, Panicked: 1, Dropped: 1,
			Rejected: map[string]uint64{"max_wait": 1}, Waited: 1, WaitTotal: time.Second, Service: queue.Histogram{Sum: 2 * time.Second},
		})
	})
}

func TestAgesAndTimesAreThoseOfTheQueuesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := clock.NewVirtual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		var told reports
		q := open(t, queue.Limits{Workers: 2, Capacity: 3, MaxWait: time.Minute}, queue.Options{Clock: v, OnError: told.add})
		gates := [2]chan error{make(chan error), make(chan error)}
		for _, gate := range gates {
			submit(t, q, func(context.Context) error { return <-gate })
			v.Advance(10 * time.Second)
		}
		for range 2 {
			submit(t, q, func(context.Context) error { return nil })
			v.Advance(40 * time.Second)
		}
		// At 100 s: the first waited its minute out 20 s ago, at 80 s; the second came at 60 s.
		wantReason(t, errors.Join(told.all()...), queue.MaxWait)
		wantStats(t, q, queue.Stats{
			Workers: 2, Capacity: 3, Depth: 1, InFlight: 2, OldestAge: 40 * time.Second, OldestRun: 100 * time.Second,
			Admitted: 4, Dropped: 1, Rejected: map[string]uint64{"max_wait": 1}, Waited: 1, WaitTotal: time.Minute,
		})
		if at, ok := v.Next(); !ok || v.Pending() != 1 || at.Sub(v.Now()) != 20*time.Second {
			t.Errorf("%d timers, the next at %v", v.Pending(), at)
		}
		gates[1] <- errors.New("boom")
		synctest.Wait()
		wantStats(t, q, queue.Stats{
			Workers: 2, Capacity: 3, InFlight: 1, OldestRun: 100 * time.Second,
			// The work after it took no time: 90 s − 90 s ÷ 16, 90 s ÷ 16 off.
			Average: 84375 * time.Millisecond, Spread: 5625 * time.Millisecond,
			Admitted: 4, Completed: 2, Failed: 1, Dropped: 1, Rejected: map[string]uint64{"max_wait": 1},
			Waited: 2, WaitTotal: 100 * time.Second, Service: queue.Histogram{Sum: 90 * time.Second},
		})
		gates[0] <- nil
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := v.Pending(); n != 0 {
			t.Errorf("the closed queue left %d timers", n)
		}
	})
}
