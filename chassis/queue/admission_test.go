package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func TestEnterHoldsAWorkerUntilLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		first, err := q.Enter(t.Context(), queue.Meta{})
		if err != nil || first.Waited() != 0 {
			t.Fatalf("%v after %v", err, first.Waited())
		}
		waited := make(chan time.Duration)
		go func() {
			second, err := q.Enter(t.Context(), queue.Meta{Class: queue.Sheddable})
			if err != nil {
				t.Error(err)
			}
			waited <- second.Waited()
			second.Leave(errors.New("boom"))
		}()
		pass(t, 30*ms)
		_, err = q.Enter(t.Context(), queue.Meta{Class: queue.Sheddable})
		wantReason(t, err, queue.Full)
		first.Leave(nil)
		if d := <-waited; d != 30*ms {
			t.Errorf("the second waited for %v, want 30 ms", d)
		}
		synctest.Wait()
		wantStats(t, q, queue.Stats{
			Workers: 1, Capacity: 1, Average: 30*ms - 30*ms/16, Spread: 30 * ms / 16, Admitted: 2, Completed: 2, Failed: 1,
			Rejected: map[string]uint64{"full": 1}, Waited: 1, WaitTotal: 30 * ms, Service: queue.Histogram{Sum: 30 * ms},
		})
	})
}

func TestLeavingTwiceIsAMistakeThatIsSeen(t *testing.T) {
	q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	message := func(a queue.Admission) (v any) {
		defer func() { v = recover() }()
		a.Leave(nil)
		return nil
	}
	old, err := q.Enter(t.Context(), queue.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	if v := message(old); v != nil {
		t.Errorf("the first time: %v", v)
	}
	const twice = `queue "test": Leave of an admission that has been left`
	if v := message(old); v != twice {
		t.Errorf("the second time: %v", v)
	}
	holder, err := q.Enter(t.Context(), queue.Meta{}) // has the same worker now
	if err != nil {
		t.Fatal(err)
	}
	if v := message(old); v != twice {
		t.Errorf("while another has the worker: %v", v)
	}
	holder.Leave(nil)
	if v := message(queue.Admission{}); v != "queue: Leave without an admission" {
		t.Errorf("without an admission: %v", v)
	}
	if s := q.Stats(); s.InFlight != 0 || s.Completed != 2 {
		t.Errorf("%+v", s)
	}
}

func TestCloseWaitsForWhoeverEnteredAndEndsNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		a, err := q.Enter(context.Background(), queue.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() { _, err := q.Enter(context.Background(), queue.Meta{}); result <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Close(ctx); err == nil || err.Error() != `queue "test": closed with 1 rejected and 1 still running: context deadline exceeded` {
			t.Error(err)
		}
		wantReason(t, <-result, queue.Draining)
		a.Leave(nil)
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type server struct{ served int }

func (s *server) serve(context.Context) error { s.served++; return nil }

// What every request pays must not be garbage.
func TestAFreeWorkerCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q := open(t, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
	dark := open(t, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{Dark: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var s server
	m := queue.Meta{Tenant: "somebody", Class: queue.SheddablePlus}
	enter := func(q *queue.Queue) {
		a, err := q.Enter(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		a.Leave(nil)
	}
	for name, f := range map[string]func(){
		"Do of a method value": func() {
			if err := q.Do(ctx, m, s.serve); err != nil {
				t.Fatal(err)
			}
		},
		"Enter":                 func() { enter(q) },
		"Enter of a dark queue": func() { enter(dark) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
	if s.served != 1001 {
		t.Errorf("served %d times", s.served)
	}
}

func TestADarkQueueLetsEverybodyInAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 2}, queue.Options{Dark: true})
		if !q.Stats().Dark {
			t.Error("it does not say that it is dark")
		}
		if err := q.Do(t.Context(), queue.Meta{}, takes(20*ms)); err != nil {
			t.Fatal(err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		past, stop := context.WithDeadline(t.Context(), time.Now().Add(-1))
		defer stop()
		soon, stopSoon := context.WithTimeout(t.Context(), 30*ms-1) // half of 20 ms of waiting and 20 of work
		defer stopSoon()
		var in []queue.Admission
		for _, ctx := range []context.Context{
			t.Context(), soon, // run
			soon,                     // could not be in time
			t.Context(), t.Context(), // would wait
			t.Context(), // finds no place
			cancelled, past,
		} {
			a, err := q.Enter(ctx, queue.Meta{Class: queue.SheddablePlus})
			if err != nil || a.Waited() != 0 {
				t.Fatalf("%v after %v", err, a.Waited())
			}
			in = append(in, a)
		}
		s := q.Stats()
		for reason, want := range map[string]uint64{"deadline": 1, "full": 1, "cancelled": 1, "expired": 1} {
			if got := s.Classes[2].WouldReject[reason]; got != want || s.Rejected[reason] != 0 {
				t.Errorf("%d would have been rejected because of %s, want %d; and %d were", got, reason, want, s.Rejected[reason])
			}
		}
		if s.InFlight != 8 || s.Depth != 0 {
			t.Errorf("%+v", s)
		}
		// Submitted work is bounded all the same, and waits while too many callers run.
		ran := make(chan time.Duration, 2)
		start := time.Now()
		for range 2 {
			submit(t, q, func(context.Context) error { ran <- time.Since(start); return nil })
		}
		wantReason(t, q.Submit(t.Context(), queue.Meta{}, takes(0)), queue.Full)
		for i, a := range in {
			pass(t, ms)
			if i == 6 {
				synctest.Wait()
				if len(ran) != 0 {
					t.Error("submitted work ran beside two and more callers")
				}
			}
			a.Leave(nil)
		}
		if first := <-ran; first != 7*ms {
			t.Errorf("submitted work ran after %v, want 7 ms", first)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := q.Enter(t.Context(), queue.Meta{})
		wantReason(t, err, queue.Draining) // dark or not
		// Those it would have turned away are gone from its reckoning, so nobody else is.
		if n := q.Stats().Classes[2].WouldReject["full"]; n != 1 {
			t.Errorf("%d would have been rejected in the end, want 1", n)
		}
	})
}

func TestHistogramsCountUpToAndIncludingTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		bounds := q.Stats().Service.Bounds
		var sum time.Duration
		for _, b := range bounds {
			for _, d := range []time.Duration{b, b + 1} {
				if err := q.Do(t.Context(), queue.Meta{}, takes(d)); err != nil {
					t.Fatal(err)
				}
				sum += d
			}
		}
		h := q.Stats().Service
		for i, n := range h.Counts {
			want := uint64(2)
			if i == 0 || i == len(bounds) {
				want = 1
			}
			if n != want {
				t.Errorf("%d in cell %d of %v, want %d", n, i, bounds, want)
			}
		}
		if h.Sum != sum || h.Count() != uint64(2*len(bounds)) || len(h.Counts) != len(bounds)+1 {
			t.Errorf("%+v", h)
		}
	})
}

// Some callers say "never" by a deadline at the end of time.
func TestADeadlineInThousandsOfYearsHasNotPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		pass(t, time.Second)
		ctx, cancel := context.WithDeadline(t.Context(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
		defer cancel()
		var waits sync.WaitGroup
		for range 2 { // one of them waits for the other
			waits.Go(func() {
				if err := q.Do(ctx, queue.Meta{}, takes(time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		waits.Wait()
	})
}
