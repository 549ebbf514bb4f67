package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// patient come one after the other, 1 ms apart, with deadlines that are far off.
func (l *line) patient(names ...string) {
	for _, name := range names {
		l.of("", name)
	}
}

// of is patient for a tenant's caller.
func (l *line) of(tenant, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	l.t.Cleanup(cancel)
	l.come(ctx, name, queue.Meta{Tenant: tenant}, 0)
	pass(l.t, ms)
}

func TestTheNewestAreServedFirstOnceCallersHaveWaitedForATenthOfASecond(t *testing.T) {
	for held, want := range map[time.Duration][]string{
		100*ms - 1: {"1", "2", "3"},
		100 * ms:   {"3", "2", "1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
			l := newLine(t, q, 1, held)
			l.patient("1", "2", "3")
			pass(t, held-4*ms)
			if s := q.Stats(); s.NewestFirst || s.Depth != 3 {
				t.Errorf("too early: %+v", s)
			}
			pass(t, ms)
			l.want(want, nil)
			if newest := q.Stats().NewestFirst; newest != (want[0] == "3") {
				t.Errorf("the newest are served first: %v", newest)
			}
		})
	}
}

func TestAQueueForLongWorkIsNotOverloadedByAWaitOfLessThanThat(t *testing.T) {
	for held, newest := range map[time.Duration]bool{time.Second - 1: false, time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
			if err := q.Do(t.Context(), queue.Meta{}, takes(time.Second)); err != nil {
				t.Fatal(err)
			}
			l := newLine(t, q, 1, held)
			l.caller("1", queue.Meta{})
			pass(t, held-1)
			if q.Stats().NewestFirst {
				t.Error("too early")
			}
			l.want([]string{"1"}, nil)
			if q.Stats().NewestFirst != newest {
				t.Errorf("after a wait of %v the newest are served first: %v", held, !newest)
			}
		})
	}
}

// The order does not change back at the first moment in which nobody waits.
func TestTheOrderReturnsAfterATenthOfASecondWithoutLongWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
		l := newLine(t, q, 1, 100*ms)
		l.patient("1")
		pass(t, 100*ms)
		wait := func(d time.Duration, newest bool) { // somebody waits for d and nobody for as long again
			t.Helper()
			submit(t, q, takes(d))
			l.patient(fmt.Sprint(d))
			pass(t, 2*d-ms)
			if q.Stats().NewestFirst != newest {
				t.Errorf("after a wait of %v the newest are served first: %v", d, !newest)
			}
		}
		wait(49*ms, true) // 99 ms after the first
		wait(50*ms, true)
		wait(24*ms, true)
		wait(2*ms, false)
		wait(99*ms, false)
		wait(100*ms, false) // it was, and is not any more
		l.wg.Wait()
	})
}

func TestCallersWithoutADeadlineWaitForTheTargetUnderOverload(t *testing.T) {
	for name, c := range map[string]struct {
		limits   queue.Limits
		served   []string
		rejected map[string]queue.Reason
	}{
		"no MaxWait": {
			queue.Limits{Workers: 1, Capacity: 8}, []string{"new", "within", "known"},
			map[string]queue.Reason{"old": queue.MaxWait},
		},
		"MaxWait": {queue.Limits{Workers: 1, Capacity: 8, MaxWait: time.Second}, []string{"new", "within", "known", "old"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := open(t, c.limits, queue.Options{})
				l := newLine(t, q, 1, 101*ms)
				l.caller("old", queue.Meta{})
				l.patient("known")
				pass(t, 95*ms) // 5 ms are left
				l.caller("within", queue.Meta{})
				pass(t, 4*ms)
				l.come(t.Context(), "new", queue.Meta{}, ms)
				// At 101 ms the new gets the worker and the old, alone, is over the target.
				pass(t, ms)
				synctest.Wait()
				if got := q.Stats().Depth; got != 2+len(c.served)-3 {
					t.Errorf("%d wait", got)
				}
				l.want(c.served, c.rejected)
			})
		})
	}
}

func TestSubmittedWorkStaysInOrderAndOverloadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
		var order []int
		for i := range 5 {
			submit(t, q, func(ctx context.Context) error {
				order = append(order, i)
				return takes(time.Second)(ctx)
			})
		}
		pass(t, 4500*ms)
		synctest.Wait()
		if s := q.Stats(); s.NewestFirst || s.OldestAge != 0 || fmt.Sprint(order) != "[0 1 2 3 4]" {
			t.Errorf("%v, newest first: %v", order, s.NewestFirst)
		}
	})
}

func TestAFullQueueUnderOverloadGivesTheOldestPlaceToTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 3}, queue.Options{})
		l := newLine(t, q, 1, 200*ms)
		l.patient("1", "2", "3", "too early")
		pass(t, 96*ms)
		l.patient("4")
		if err := q.Submit(t.Context(), queue.Meta{}, takes(0)); err == nil { // has no claim
			t.Error("submitted work took a place")
		}
		l.of("b", "other") // fewer than the others: of theirs the oldest goes
		l.of("c", "others")
		l.of("d", "fourth") // each has one: the oldest of all goes
		l.want([]string{"other", "others", "fourth"}, map[string]queue.Reason{
			"too early": queue.Full, "1": queue.Full, "2": queue.TenantQuota, "3": queue.TenantQuota, "4": queue.Full,
		})
	})
}

// Submitted work has been promised a place that only more critical work or fewer tenants can take.
func TestTheNewestDoNotTakeThePlaceOfSubmittedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 2}, queue.Options{})
		l := newLine(t, q, 1, 200*ms)
		submit(t, q, takes(0))
		l.patient("1")
		pass(t, 99*ms)
		l.patient("2")
		l.want([]string{"1"}, map[string]queue.Reason{"2": queue.Full})
	})
}

func TestTightDeadlinesAreJudgedByTheAverageAndServedNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
		for _, d := range []time.Duration{160 * ms, 0} { // average 150 ms, spread 10 ms
			if err := q.Do(t.Context(), queue.Meta{}, takes(d)); err != nil {
				t.Fatal(err)
			}
		}
		l := newLine(t, q, 1, 10*ms)
		come := func(name string, d time.Duration) {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			t.Cleanup(cancel)
			l.come(ctx, name, queue.Meta{}, 0)
		}
		// With one worker, one who is next waits for 150 ms and needs 150 ms more.
		come("enough", 330*ms)
		come("hopeless", 150*ms)
		l.want([]string{"enough"}, map[string]queue.Reason{"hopeless": queue.Deadline})

		q = open(t, queue.Limits{Workers: 10, Capacity: 8}, queue.Options{})
		for _, d := range []time.Duration{160 * ms, 0} {
			if err := q.Do(t.Context(), queue.Meta{}, takes(d)); err != nil {
				t.Fatal(err)
			}
		}
		l = newLine(t, q, 9, time.Second)
		submit(t, q, takes(4*ms))
		come("1", 169*ms) // less than 150 + 2 × 10 ms, and enough for 15 ms of waiting and 150
		come("2", 169*ms)
		come("hopeless", 165*ms-1)
		l.want([]string{"2", "1"}, map[string]queue.Reason{"hopeless": queue.Deadline})
	})
}
