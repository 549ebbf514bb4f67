package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func Example() {
	q, err := queue.New("thumbnails", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	started, release := make(chan bool), make(chan bool)
	wait := func(context.Context) error { started <- true; <-release; return nil }
	_ = q.Submit(ctx, wait) // runs
	<-started
	_ = q.Submit(ctx, wait) // waits
	var rejected *queue.Rejected
	if errors.As(q.Submit(ctx, wait), &rejected) {
		fmt.Println(rejected.Reason, "-", rejected)
	}
	release <- true
	<-started
	release <- true
	fmt.Println(q.Close(ctx))
	// Output:
	// full - queue "thumbnails" rejected the work: all places are taken
	// <nil>
}

func open(t *testing.T, l queue.Limits, onError func(error)) *queue.Queue {
	t.Helper()
	q, err := queue.New("test", l, queue.Options{OnError: onError})
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

// takes is work that takes d, or as long as its context lives.
func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func wantReason(t *testing.T, err error, want queue.Reason) *queue.Rejected {
	t.Helper()
	var r *queue.Rejected
	if !errors.As(err, &r) || r.Reason != want || r.Queue != "test" {
		t.Fatalf("got %v, want a rejection because %v", err, want)
	}
	return r
}

func TestLimitsWithoutABoundAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		l    queue.Limits
		want string
	}{
		{"", queue.Limits{Workers: 1, Capacity: 1}, "needs a name"},
		{"q", queue.Limits{Capacity: 1}, `queue "q": Limits.Workers is 0`},
		{"q", queue.Limits{Workers: 1}, `queue "q": Limits.Capacity is 0`},
		{"q", queue.Limits{Workers: 1, Capacity: 1, MaxWait: -1}, "Limits.MaxWait"},
	} {
		if _, err := queue.New(c.name, c.l, queue.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %+v): %v, want %q", c.name, c.l, err, c.want)
		}
	}
}

func TestTheBoundHoldsAndWorkIsDoneInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 3}, nil)
		var order []int
		var mu sync.Mutex
		var running, most atomic.Int32
		for i := range 5 {
			err := q.Submit(t.Context(), func(context.Context) error {
				most.Store(max(most.Load(), running.Add(1)))
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second + time.Duration(i)*time.Millisecond) // no two end together
				running.Add(-1)
				return nil
			})
			if err != nil {
				t.Fatalf("work %d: %v", i, err)
			}
			synctest.Wait()
		}
		start := time.Now()
		wantReason(t, q.Submit(t.Context(), takes(0)), queue.Full)
		wantReason(t, q.Do(t.Context(), takes(0)), queue.Full)
		if d := time.Since(start); d != 0 {
			t.Errorf("rejections took %v, want them at once", d)
		}
		time.Sleep(500 * time.Millisecond)
		if s := q.Stats(); s.Depth != 3 || s.InFlight != 2 || s.OldestAge != 500*time.Millisecond {
			t.Errorf("half-way: %+v", s)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 3006*time.Millisecond {
			t.Errorf("five seconds of work by two workers took %v, want 3.006s", d)
		}
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) || most.Load() != 2 {
			t.Errorf("order %v, %d at a time", order, most.Load())
		}
		s := q.Stats()
		if s.Admitted != 5 || s.Completed != 5 || s.Rejected["full"] != 2 || s.Waited != 3 ||
			s.WaitTotal != 4003*time.Millisecond || s.ServiceTotal != 5010*time.Millisecond || s.Depth != 0 || s.InFlight != 0 || s.OldestAge != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

func TestDoReturnsWhatTheWorkReturns(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, nil)
	boom := errors.New("boom")
	if err := q.Do(t.Context(), func(context.Context) error { return boom }); err != boom {
		t.Errorf("got %v", err)
	}
	err := q.Do(t.Context(), func(context.Context) error { panic(boom) })
	var p *queue.PanicError
	if !errors.As(err, &p) || !errors.Is(err, boom) || !strings.Contains(string(p.Stack), "queue_test.go") ||
		err.Error() != `queue "test": the work panicked: boom` {
		t.Errorf("a panic came back as %v", err)
	}
	if err := q.Do(t.Context(), func(context.Context) error { panic("text") }); errors.Unwrap(err) != nil {
		t.Errorf("a panic with a text wraps %v", errors.Unwrap(err))
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = q.Do(t.Context(), func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-done
	if err := q.Do(t.Context(), takes(0)); err != nil {
		t.Errorf("after panics and Goexit the worker is lost: %v", err)
	}
	if s := q.Stats(); s.Completed != 5 || s.Failed != 3 || s.Panicked != 2 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSubmittedWorkOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var reports []error
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, func(err error) { reports = append(reports, err) })
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
		var value any
		var ended error
		work := func(ctx context.Context) error {
			time.Sleep(time.Second)
			value, ended = ctx.Value(key{}), ctx.Err()
			return errors.New("late trouble")
		}
		if err := q.Submit(ctx, work); err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if value != "kept" || ended != nil {
			t.Errorf("the work saw value %v and error %v", value, ended)
		}
		if len(reports) != 1 || reports[0].Error() != "late trouble" {
			t.Errorf("reported: %v", reports)
		}
	})
}

func TestWhoeverLeavesTheQueueFreesTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []error
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, func(err error) { reports = append(reports, err) })
		if err := q.Submit(t.Context(), takes(time.Hour)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		late, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		results := make(chan error, 1)
		go func() { results <- q.Do(ctx, takes(0)) }()
		synctest.Wait()
		if err := q.Submit(late, takes(0)); err != nil {
			t.Fatal(err)
		}
		wantReason(t, q.Submit(t.Context(), takes(0)), queue.Full)
		cancel()
		if err := <-results; !errors.Is(wantReason(t, err, queue.Cancelled), context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
		if d := q.Stats().Depth; d != 1 {
			t.Errorf("%d wait after one left", d)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(reports) != 1 {
			t.Fatalf("reported: %v", reports)
		}
		if !errors.Is(wantReason(t, reports[0], queue.Expired), context.DeadlineExceeded) {
			t.Errorf("%v is not context.DeadlineExceeded", reports[0])
		}
		if d := q.Stats().Depth; d != 0 {
			t.Errorf("%d wait after both left", d)
		}
	})
}

func TestContextsThatHaveEndedAreNotLetIn(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantReason(t, q.Do(ctx, takes(0)), queue.Cancelled)
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	wantReason(t, q.Submit(ctx, takes(0)), queue.Expired)
}

func TestACancelStormLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1000}, nil)
		if err := q.Submit(t.Context(), takes(time.Second)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if err := q.Do(ctx, takes(0)); err == nil {
					t.Error("cancelled work was done")
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if s := q.Stats(); s.Depth != 0 || s.InFlight != 1 || s.Rejected["cancelled"] != 1000 {
			t.Errorf("%+v", s)
		}
	})
}

func TestMaxWaitBoundsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 2, MaxWait: time.Second}, nil)
		if err := q.Submit(t.Context(), takes(time.Minute)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := wantReason(t, q.Do(t.Context(), takes(0)), queue.MaxWait)
		if d := time.Since(start); d != time.Second || r.RetryAfter <= 0 {
			t.Errorf("rejected after %v, retry after %v", d, r.RetryAfter)
		}
	})
}

func TestDeadlinesThatCannotBeMetAreRefusedAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 10}, nil)
		if err := q.Do(t.Context(), takes(time.Second)); err != nil { // teaches the average
			t.Fatal(err)
		}
		within := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			return q.Do(ctx, takes(0))
		}
		wantReason(t, within(999*time.Millisecond), queue.Deadline)
		for range 5 { // 2 run, 3 wait
			if err := q.Submit(t.Context(), takes(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		// (3+1) ÷ 2 × 1 s of waiting and 1 s of work.
		r := wantReason(t, within(3*time.Second-1), queue.Deadline)
		if r.RetryAfter != 2*time.Second {
			t.Errorf("retry after %v, want the expected wait of 2s", r.RetryAfter)
		}
		if err := within(3 * time.Second); err != nil {
			t.Errorf("a deadline that can be met: %v", err)
		}
	})
}

func TestWorkThatBecameLateInTheQueueIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []error
		q := open(t, queue.Limits{Workers: 1, Capacity: 10}, func(err error) { reports = append(reports, err) })
		if err := q.Do(t.Context(), takes(time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := q.Submit(t.Context(), takes(3*time.Second)); err != nil { // three times as long as expected
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		started := false
		if err := q.Submit(ctx, func(context.Context) error { started = true; return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if started || len(reports) != 1 {
			t.Fatalf("started %v, reported %v", started, reports)
		}
		wantReason(t, reports[0], queue.Deadline)
	})
}

func TestATurnThatComesWithTheEndOfTheContextIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 100}, nil)
		for range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			if err := q.Submit(t.Context(), takes(time.Second)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Second, cancel) // the moment at which the worker becomes free
			err := q.Do(ctx, func(context.Context) error { return nil })
			cancel()
			if err != nil {
				var r *queue.Rejected
				if !errors.As(err, &r) {
					t.Fatalf("got %v", err)
				}
			}
			synctest.Wait()
			if s := q.Stats(); s.InFlight != 0 || s.Depth != 0 {
				t.Fatalf("a place is lost: %+v", s)
			}
		}
	})
}

func TestCloseFinishesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 9}, nil)
		done := 0
		for range 10 {
			if err := q.Submit(t.Context(), func(context.Context) error { time.Sleep(time.Second); done++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- q.Close(t.Context()) }()
		}
		synctest.Wait()
		r := wantReason(t, q.Submit(t.Context(), takes(0)), queue.Draining)
		if r.RetryAfter != 0 {
			t.Errorf("a closed queue says retry after %v", r.RetryAfter)
		}
		if err := errors.Join(<-closed, <-closed, q.Close(t.Context())); err != nil || done != 10 {
			t.Errorf("done %d of 10, %v", done, err)
		}
	})
}

func TestCloseThatRunsOutOfTimeRejectsAndCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []error
		var mu sync.Mutex
		q, err := queue.New("test", queue.Limits{Workers: 2, Capacity: 9}, queue.Options{OnError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			reports = append(reports, err)
		}})
		if err != nil {
			t.Fatal(err)
		}
		stubborn := make(chan bool)
		_ = q.Submit(t.Context(), takes(time.Hour))
		_ = q.Submit(t.Context(), func(context.Context) error { <-stubborn; return nil })
		_ = q.Submit(t.Context(), takes(time.Hour))
		waiting := make(chan error, 1)
		go func() { waiting <- q.Do(t.Context(), takes(time.Hour)) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = q.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != `queue "test": closed with 2 rejected and 2 still running: context deadline exceeded` {
			t.Errorf("close: %v", err)
		}
		wantReason(t, <-waiting, queue.Draining)
		synctest.Wait()
		mu.Lock()
		if len(reports) != 2 { // the one that waited and the one whose context ended
			t.Errorf("reported: %v", reports)
		}
		mu.Unlock()
		close(stubborn)
		synctest.Wait()
		if s := q.Stats(); s.InFlight != 0 || s.Depth != 0 || s.Rejected["draining"] != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestReasonsHaveNames(t *testing.T) {
	for r, want := range map[queue.Reason]string{
		queue.Full: "full", queue.Deadline: "deadline", queue.Expired: "expired", queue.Cancelled: "cancelled",
		queue.MaxWait: "max_wait", queue.Draining: "draining", 99: "Reason(99)",
	} {
		if r.String() != want {
			t.Errorf("%d is called %q, want %q", int(r), r, want)
		}
	}
}

// Goodput is what is done within its deadline, as a share of what the workers could do. The
// load is open: it comes whether or not the queue keeps up.
func TestOverloadLeavesGoodputNearCapacity(t *testing.T) {
	for _, load := range []float64{2, 5} {
		t.Run(fmt.Sprintf("%g times the capacity", load), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const workers, service, deadline, length = 8, 20 * time.Millisecond, 100 * time.Millisecond, 20 * time.Second
				q := open(t, queue.Limits{Workers: workers, Capacity: 24}, nil)
				rnd := rand.New(rand.NewPCG(1, 2))
				capacity := float64(workers) / service.Seconds()
				var good atomic.Int64
				var wg sync.WaitGroup
				for start := time.Now(); time.Since(start) < length; {
					time.Sleep(time.Duration(rnd.ExpFloat64() / (load * capacity) * float64(time.Second)))
					work := time.Duration((0.5 + rnd.Float64()) * float64(service))
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), deadline)
						defer cancel()
						if q.Do(ctx, takes(work)) == nil {
							good.Add(1)
						}
					})
				}
				wg.Wait()
				goodput := float64(good.Load()) / (capacity * length.Seconds())
				t.Logf("goodput %.3f of capacity", goodput)
				if goodput < 0.95 {
					t.Errorf("goodput %.3f of capacity, want 0.95", goodput)
				}
			})
		})
	}
}

func BenchmarkDo(b *testing.B) {
	q, err := queue.New("bench", queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	nothing := func(context.Context) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Do(ctx, nothing); err != nil {
			b.Fatal(err)
		}
	}
}
