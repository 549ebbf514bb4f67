package queue_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func TestReasonsHaveNamesAndSentences(t *testing.T) {
	for r, want := range map[queue.Reason][2]string{
		queue.Full:        {"full", "all places are taken"},
		queue.Deadline:    {"deadline", "the deadline cannot be met"},
		queue.Expired:     {"expired", "the deadline has passed"},
		queue.Cancelled:   {"cancelled", "the caller does not want it any more"},
		queue.MaxWait:     {"max_wait", "it waited too long"},
		queue.Draining:    {"draining", "the queue is closed"},
		queue.Shed:        {"shed", "more critical work took its place"},
		queue.TenantQuota: {"tenant_quota", "its tenant has more than its share of the places"},
		queue.ClientShare: {"client_share", "its client holds its share of the workers with what is still arriving"},
		99:                {"Reason(99)", "Reason(99)"},
	} {
		if r.String() != want[0] {
			t.Errorf("%d is called %q, want %q", int(r), r, want[0])
		}
		err := &queue.Rejected{Queue: "test", Reason: r}
		if text := `queue "test" rejected the work: ` + want[1]; err.Error() != text {
			t.Errorf("%v reads %q, want %q", r, err, text)
		}
	}
}

// lying is a context that ends without telling, or whose timer is late.
type lying struct {
	context.Context
	deadline time.Time
	ended    atomic.Bool
}

func (l *lying) Deadline() (time.Time, bool) { return l.deadline, !l.deadline.IsZero() }

func (l *lying) Err() error {
	if l.ended.Load() {
		return context.Canceled
	}
	return nil
}

func TestWhoComesTooLateIsNotLetIn(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	past, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		want  queue.Reason
		cause error
	}{
		{"cancelled", cancelled, queue.Cancelled, context.Canceled},
		{"past its deadline", past, queue.Expired, context.DeadlineExceeded},
		{"past its deadline, its timer late", &lying{Context: t.Context(), deadline: time.Now().Add(-1)}, queue.Expired, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
			for _, err := range []error{q.Do(c.ctx, queue.Meta{}, takes(0)), q.Submit(c.ctx, queue.Meta{}, takes(0))} {
				if r := wantReason(t, err, c.want); !errors.Is(err, c.cause) || r.RetryAfter != 0 {
					t.Errorf("%v wraps %v and says retry after %v", err, errors.Unwrap(err), r.RetryAfter)
				}
			}
			wantStats(t, q, queue.Stats{Workers: 1, Capacity: 1, Rejected: map[string]uint64{c.want.String(): 2}})
		})
	}
}

func TestWhoLeavesTheQueueFreesTheirPlaceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, queue.Options{})
		submit(t, q, takes(time.Hour))
		start := time.Now()
		cancelled, cancel := context.WithCancel(t.Context())
		late, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		never := func(context.Context) error { t.Error("the work ran"); return nil }
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- q.Do(cancelled, queue.Meta{}, never) }()
		go func() { second <- q.Do(late, queue.Meta{}, never) }()
		synctest.Wait()
		r := wantReason(t, q.Submit(t.Context(), queue.Meta{}, never), queue.Full)
		if r.RetryAfter != 10*time.Millisecond {
			t.Errorf("a queue that knows nothing yet says retry after %v", r.RetryAfter)
		}
		pass(t, time.Second)
		cancel()
		err := <-first
		if r := wantReason(t, err, queue.Cancelled); !errors.Is(err, context.Canceled) || r.RetryAfter != 0 || time.Since(start) != time.Second {
			t.Errorf("%v after %v, retry after %v", err, time.Since(start), r.RetryAfter)
		}
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 2, Depth: 1, InFlight: 1, OldestAge: time.Second, OldestRun: time.Second, NewestFirst: true,
			Admitted: 3, Dropped: 1, Rejected: map[string]uint64{"full": 1, "cancelled": 1}, Waited: 1, WaitTotal: time.Second,
		})
		err = <-second
		if wantReason(t, err, queue.Deadline); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 2, InFlight: 1, OldestRun: time.Minute, NewestFirst: true,
			Admitted: 3, Dropped: 2, Rejected: map[string]uint64{"full": 1, "cancelled": 1, "deadline": 1}, Waited: 2, WaitTotal: 61 * time.Second,
		})
	})
}

func TestACancelStormLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1000}, queue.Options{})
		submit(t, q, takes(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				wantReason(t, q.Do(ctx, queue.Meta{}, func(context.Context) error { t.Error("cancelled work ran"); return nil }), queue.Cancelled)
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 1000, InFlight: 1, Admitted: 1001, Dropped: 1000,
			Rejected: map[string]uint64{"cancelled": 1000}, Waited: 1000,
		})
		pass(t, time.Second)
		start := time.Now()
		if err := q.Do(t.Context(), queue.Meta{}, takes(time.Second)); err != nil || time.Since(start) != time.Second {
			t.Errorf("the next caller got %v after %v", err, time.Since(start))
		}
	})
}

func TestATurnThatComesAfterTheEndOfTheContextIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, queue.Options{})
		submit(t, q, takes(time.Second))
		ctx := &lying{Context: t.Context()}
		result := make(chan error, 1)
		go func() {
			result <- q.Do(ctx, queue.Meta{}, func(context.Context) error { t.Error("the work ran"); return nil })
		}()
		synctest.Wait()
		start := time.Now()
		next := make(chan time.Duration, 1)
		submit(t, q, func(context.Context) error { next <- time.Since(start); return nil })
		ctx.ended.Store(true)
		wantReason(t, <-result, queue.Cancelled)
		if d := <-next; d != time.Second {
			t.Errorf("the next began after %v, want 1s", d)
		}
		synctest.Wait()
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 2, Average: time.Second - time.Second/16, Spread: time.Second / 16, NewestFirst: true, Admitted: 3, Completed: 2, Dropped: 1,
			Rejected: map[string]uint64{"cancelled": 1}, Waited: 2, WaitTotal: 2 * time.Second, Service: queue.Histogram{Sum: time.Second},
		})
	})
}

// A cancellation and a turn at the same instant may go either way, but never both or neither.
func TestATurnAndTheEndOfTheContextTogetherLoseNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		for range 500 {
			ctx, cancel := context.WithCancel(t.Context())
			submit(t, q, takes(time.Second))
			time.AfterFunc(time.Second, cancel)
			ran := false
			err := q.Do(ctx, queue.Meta{}, func(context.Context) error { ran = true; return nil })
			cancel()
			if ran != (err == nil) {
				t.Fatalf("ran %v, result %v", ran, err)
			}
			if err != nil {
				wantReason(t, err, queue.Cancelled)
			}
			synctest.Wait()
			if s := q.Stats(); s.InFlight != 0 || s.Depth != 0 {
				t.Fatalf("a worker is lost: %+v", s)
			}
		}
	})
}

// within is the result of d of work for a caller who waits that long.
func within(t testing.TB, q *queue.Queue, wait, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return q.Do(ctx, queue.Meta{}, takes(d))
}

func TestDeadlinesThatCannotBeMetAreRefusedAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 10}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(time.Second)); err != nil {
			t.Fatal(err)
		}
		for range 5 { // two run, three wait
			submit(t, q, takes(time.Second))
		}
		start := time.Now()
		// (3+1) ÷ 2 × 1 s until it starts, and 1 s of work.
		r := wantReason(t, within(t, q, 3*time.Second-1, time.Second), queue.Deadline)
		if d := time.Since(start); d != 0 || r.RetryAfter != 2*time.Second || errors.Unwrap(r) != nil {
			t.Errorf("rejected after %v, retry after %v, because of %v", d, r.RetryAfter, errors.Unwrap(r))
		}
		// It gets the first worker, because submitted work does not hold up a caller who has waited
		// for as long as work takes.
		if err := within(t, q, 3*time.Second, time.Second-1); err != nil || time.Since(start) != 2*time.Second-1 {
			t.Errorf("a deadline that can just be met: %v after %v", err, time.Since(start))
		}
	})
}

func TestUnevenWorkNeedsTwiceItsDeviationMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 10}, queue.Options{})
		for _, d := range []time.Duration{1600 * time.Millisecond, 0} {
			if err := q.Do(t.Context(), queue.Meta{}, takes(d)); err != nil {
				t.Fatal(err)
			}
		}
		if s := q.Stats(); s.Average != 1500*time.Millisecond || s.Spread != 100*time.Millisecond {
			t.Fatalf("average %v, spread %v, want 1.5s and 0.1s", s.Average, s.Spread)
		}
		submit(t, q, takes(time.Second))
		synctest.Wait()
		wantReason(t, within(t, q, 3200*time.Millisecond-1, 0), queue.Deadline) // 1.5 s + 1.5 s + 2 × 0.1 s
		if err := within(t, q, 3200*time.Millisecond, 0); err != nil {
			t.Error(err)
		}
	})
}

func TestAnIdleWorkerIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(time.Hour)); err != nil { // a slow start
			t.Fatal(err)
		}
		for range 100 {
			if err := within(t, q, time.Second, time.Millisecond); err != nil {
				t.Fatalf("with an average of %v: %v", q.Stats().Average, err)
			}
		}
	})
}

func TestWorkThatBecameLateInTheQueueIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 10}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(1600*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		submit(t, q, takes(3200*time.Millisecond)) // twice as long as expected: 1.7 s now, 0.1 s off
		start := time.Now()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- within(t, q, 5100*time.Millisecond-1, 0) }() // 1 ns less than 3.2 s + 1.7 s + 2 × 0.1 s
		synctest.Wait()
		go func() { second <- within(t, q, 5100*time.Millisecond, 0) }()
		wantReason(t, <-first, queue.Deadline)
		if err := <-second; err != nil {
			t.Errorf("the next: %v", err)
		}
		if d := time.Since(start); d != 3200*time.Millisecond {
			t.Errorf("decided after %v, want when the worker became free, at 3.2s", d)
		}
	})
}

func TestTheHopelessInFrontMakeRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(time.Second)); err != nil {
			t.Fatal(err)
		}
		submit(t, q, takes(time.Minute)) // far longer than expected
		start := time.Now()
		results := make(chan error, 2)
		for i := range 2 {
			go func() { results <- within(t, q, time.Duration(10+i)*time.Second, 0) }()
			synctest.Wait()
		}
		pass(t, 9*time.Second)
		wantReason(t, q.Submit(t.Context(), queue.Meta{}, takes(0)), queue.Full) // the first has just a second left
		pass(t, 1)
		submit(t, q, takes(0))
		wantReason(t, <-results, queue.Deadline)
		if d := time.Since(start); d != 9*time.Second+1 {
			t.Errorf("the hopeless left after %v", d)
		}
		wantReason(t, <-results, queue.Deadline) // the second leaves at its deadline
		if d := time.Since(start); d != 11*time.Second {
			t.Errorf("the second left after %v", d)
		}
	})
}

// Where a context's own timer is late, the queue's view of the deadline counts.
func TestADeadlineThatPassedInTheQueueUnseenIsSeenAtTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		submit(t, q, takes(time.Second))
		err := q.Do(&lying{Context: t.Context(), deadline: time.Now().Add(time.Second)}, queue.Meta{}, takes(0))
		if wantReason(t, err, queue.Deadline); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v wraps %v", err, errors.Unwrap(err))
		}
	})
}

func TestMaxWaitBoundsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		q := open(t, queue.Limits{Workers: 1, Capacity: 9, MaxWait: time.Second}, queue.Options{OnError: told.add})
		submit(t, q, takes(2500*time.Millisecond))
		start := time.Now()
		left := make(chan time.Duration, 3)
		for range 3 { // they come at 0, 0.6 and 1.2 s
			go func() {
				wantReason(t, q.Do(t.Context(), queue.Meta{}, takes(0)), queue.MaxWait)
				left <- time.Since(start)
			}()
			pass(t, 600*time.Millisecond)
		}
		submit(t, q, takes(0)) // at 1.8 s: it is the only one who will not have waited for a second
		for _, want := range []time.Duration{1000, 1600, 2200} {
			if d := <-left; d != want*time.Millisecond {
				t.Errorf("left after %v, want %v", d, want*time.Millisecond)
			}
		}
		pass(t, 200*time.Millisecond)
		submit(t, q, takes(5*time.Second))
		submit(t, q, takes(0))
		pass(t, 2*time.Second)
		wantReason(t, errors.Join(told.all()...), queue.MaxWait)
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 9, InFlight: 1, OldestRun: 1900 * time.Millisecond,
			Average: q.Stats().Average, Spread: q.Stats().Spread, Admitted: 7, Completed: 2, Dropped: 4,
			Rejected: map[string]uint64{"max_wait": 4}, Waited: 6,
			WaitTotal: 4*time.Second + 700*time.Millisecond + 100*time.Millisecond, Service: queue.Histogram{Sum: 2500 * time.Millisecond},
		})
	})
}

func TestWhoHasWaitedForMaxWaitGetsNoTurnEvenIfOneComesThatMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			var told reports
			q := open(t, queue.Limits{Workers: 1, Capacity: 1, MaxWait: time.Second}, queue.Options{OnError: told.add})
			submit(t, q, takes(time.Second))
			submit(t, q, func(context.Context) error { t.Error("the work ran"); return nil })
			pass(t, time.Second)
			synctest.Wait()
			wantReason(t, errors.Join(told.all()...), queue.MaxWait)
		}
	})
}

func TestNobodyIsToldToComeBackInAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 10}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(time.Hour)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		l := newLine(t, q, 1, time.Hour)
		for range 10 {
			l.come(ctx, "patient", queue.Meta{}, 0)
		}
		if r := wantReason(t, q.Submit(t.Context(), queue.Meta{}, takes(0)), queue.Full); r.RetryAfter != queue.MaxRetry {
			t.Errorf("told to come back in %v, want %v", r.RetryAfter, queue.MaxRetry)
		}
		cancel()
		l.wg.Wait()
	})
}
