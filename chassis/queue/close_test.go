package queue_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func TestCloseFinishesAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
		var done atomic.Int64
		work := func(ctx context.Context) error { defer done.Add(1); return takes(time.Second)(ctx) }
		for range 9 {
			submit(t, q, work)
		}
		result := make(chan error, 1)
		go func() { result <- q.Do(t.Context(), queue.Meta{}, work) }()
		synctest.Wait()
		start := time.Now()
		closed := make(chan error, 3)
		for range 3 {
			go func() { closed <- q.Close(t.Context()) }()
		}
		synctest.Wait()
		for _, err := range []error{q.Submit(t.Context(), queue.Meta{}, work), q.Do(t.Context(), queue.Meta{}, work)} {
			if r := wantReason(t, err, queue.Draining); r.RetryAfter != 0 {
				t.Errorf("a closed queue says retry after %v", r.RetryAfter)
			}
		}
		if err := errors.Join(<-closed, <-closed, <-closed, <-result); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second || done.Load() != 10 {
			t.Errorf("%d done in %v, want 10 in 5s", done.Load(), d)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Close(ended); err != nil {
			t.Errorf("closing what is closed and empty: %v", err)
		}
		wantStats(t, q, queue.Stats{
			Workers: 2, Capacity: 8, Average: time.Second, Admitted: 10, Completed: 10, Rejected: map[string]uint64{"draining": 2},
			Waited: 8, WaitTotal: 20 * time.Second, Service: queue.Histogram{Sum: 10 * time.Second},
		})
	})
}

func TestCloseThatRunsOutOfTimeRejectsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		q := open(t, queue.Limits{Workers: 3, Capacity: 9}, queue.Options{OnError: told.add})
		causes := make(chan error, 2)
		obedient := func(ctx context.Context) error { <-ctx.Done(); causes <- context.Cause(ctx); return ctx.Err() }
		stubborn := make(chan bool)
		submit(t, q, obedient)
		submit(t, q, func(context.Context) error { <-stubborn; return nil })
		results := make(chan error, 3)
		go func() { results <- q.Do(context.Background(), queue.Meta{}, obedient) }() // nobody else could end it
		synctest.Wait()
		submit(t, q, takes(0))
		for range 2 {
			go func() { results <- q.Do(t.Context(), queue.Meta{}, takes(0)) }()
		}
		synctest.Wait()
		patient := make(chan error, 1)
		go func() { patient <- q.Close(context.Background()) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := q.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != `queue "test": closed with 3 rejected and 3 still running: context deadline exceeded` {
			t.Errorf("close: %v", err)
		}
		synctest.Wait()
		for range 2 {
			wantReason(t, <-causes, queue.Draining)
		}
		var rejected int
		for range 3 {
			if err := <-results; err != context.Canceled {
				wantReason(t, err, queue.Draining)
				rejected++
			}
		}
		if rejected != 2 {
			t.Errorf("%d callers rejected, want 2", rejected)
		}
		errs := told.all() // of what waited, first, and of what ran
		if len(errs) != 2 || !errors.Is(errs[1], context.Canceled) {
			t.Errorf("reported %v", errs)
		}
		wantReason(t, errs[0], queue.Draining)
		if err := q.Close(ctx); err == nil || err.Error() != `queue "test": closed with 0 rejected and 1 still running: context deadline exceeded` {
			t.Errorf("closing again while one still runs: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("all that took %v, want 1s", d)
		}
		close(stubborn)
		if err := <-patient; err != nil {
			t.Errorf("the patient one: %v", err)
		}
		wantStats(t, q, queue.Stats{
			Workers: 3, Capacity: 9, Average: time.Second, NewestFirst: true, Admitted: 6, Completed: 3, Failed: 2, Dropped: 3,
			Rejected: map[string]uint64{"draining": 3}, Waited: 3, WaitTotal: 3 * time.Second, Service: queue.Histogram{Sum: 3 * time.Second},
		})
	})
}

func TestCloseOfAnIdleQueueNeedsNoTime(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Close(ended); err != nil {
		t.Error(err)
	}
	wantReason(t, q.Do(ended, queue.Meta{}, takes(0)), queue.Draining)
}

func TestCloseWaitsForReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reported := false
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{OnError: func(error) {
			pass(t, time.Minute)
			reported = true
		}})
		submit(t, q, func(context.Context) error { return errors.New("boom") })
		if err := q.Close(t.Context()); err != nil || !reported {
			t.Errorf("closed with %v, reported %v", err, reported)
		}
	})
}

func TestPatienceThatEndsTogetherWithTheWorkLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
			submit(t, q, func(context.Context) error { return takes(time.Second)(context.Background()) })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := q.Close(ctx)
			if err != nil && err.Error() != `queue "test": closed with 0 rejected and 1 still running: context deadline exceeded` {
				t.Fatal(err)
			}
			synctest.Wait()
			wantStats(t, q, queue.Stats{Workers: 1, Capacity: 1, Average: time.Second, Admitted: 1, Completed: 1, Service: queue.Histogram{Sum: time.Second}})
		}
	})
}

// Whoever got a turn as the queue was given up on either runs with an ended context or is told;
// whatever the scheduler makes of it, nobody waits for ever and no worker is lost.
func TestATurnTogetherWithTheEndOfPatienceLosesNobody(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the turn comes, and Close before it is taken
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		gate := make(chan bool)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := q.Do(t.Context(), queue.Meta{}, func(context.Context) error { gate <- true; <-gate; return nil }); err != nil {
				t.Error(err)
			}
			_ = q.Close(ended)
		})
		<-gate
		wg.Go(func() {
			err := q.Do(context.Background(), queue.Meta{}, func(ctx context.Context) error { return ctx.Err() })
			if err != nil && !errors.Is(err, context.Canceled) {
				wantReason(t, err, queue.Draining)
			}
		})
		for q.Stats().Depth == 0 {
			runtime.Gosched()
		}
		gate <- true
		wg.Wait()
		if s := q.Stats(); s.InFlight != 0 || s.Depth != 0 || s.Admitted != s.Completed+s.Dropped {
			t.Fatalf("%+v", s)
		}
	}
}
