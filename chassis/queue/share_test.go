package queue_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// arriving is work of the client at addr that is not here yet.
func arriving(addr string) queue.Meta {
	return queue.Meta{Client: netip.MustParseAddr(addr), Arriving: true}
}

func enter(t *testing.T, q *queue.Queue, m queue.Meta) queue.Admission {
	t.Helper()
	a, err := q.Enter(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAClientHoldsItsShareOfTheWorkersWithWhatIsArriving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 8, Capacity: 8, PerClient: 2}, queue.Options{})
		one, two := enter(t, q, arriving("192.0.2.1")), enter(t, q, arriving("::ffff:192.0.2.1"))
		_, err := q.Enter(t.Context(), arriving("192.0.2.1"))
		if r := wantReason(t, err, queue.ClientShare); r.RetryAfter <= 0 {
			t.Errorf("again after %v", r.RetryAfter)
		}
		held := []queue.Admission{
			enter(t, q, arriving("192.0.2.2")), enter(t, q, queue.Meta{Client: netip.MustParseAddr("192.0.2.1")}),
			enter(t, q, queue.Meta{Arriving: true}), // of nobody in particular
		}
		// What has arrived makes room once, and so does what is left.
		one.Arrived()
		one.Arrived()
		three := enter(t, q, arriving("192.0.2.1"))
		_, err = q.Enter(t.Context(), arriving("192.0.2.1"))
		wantReason(t, err, queue.ClientShare)
		two.Leave(nil)
		two.Arrived() // too late to matter, also for who has its worker now
		four := enter(t, q, arriving("192.0.2.1"))
		two.Arrived()
		_, err = q.Enter(t.Context(), arriving("192.0.2.1"))
		wantReason(t, err, queue.ClientShare)
		for _, a := range append(held, one, three, four) {
			a.Leave(nil)
		}
		if s := q.Stats(); s.Rejected["client_share"] != 3 || s.InFlight != 0 || s.Completed != 7 {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneNetworkOfIPv6IsOneClient(t *testing.T) {
	q := open(t, queue.Limits{Workers: 8, Capacity: 8, PerClient: 1}, queue.Options{})
	defer enter(t, q, arriving("2001:db8::1")).Leave(nil)
	_, err := q.Enter(t.Context(), arriving("2001:db8::2"))
	wantReason(t, err, queue.ClientShare)
	enter(t, q, arriving("2001:db8:0:1::1")).Leave(nil)
}

func TestTheShareIsHalfOfTheWorkersAndAtLeastEightUnlessTheLimitsSayOtherwise(t *testing.T) {
	for _, c := range []struct{ workers, limit, want int }{
		{1000, 0, 500}, {17, 0, 9}, {16, 0, 8}, {10, 0, 8}, {8, 0, 8}, {2, 0, 2}, {20, -1, 20}, {20, 1, 1}, {20, 19, 19}, {20, 50, 20},
	} {
		q := open(t, queue.Limits{Workers: c.workers, Capacity: 1, PerClient: c.limit}, queue.Options{})
		var held []queue.Admission
		for range c.workers {
			if a, err := q.Enter(t.Context(), arriving("192.0.2.1")); err == nil {
				held = append(held, a)
			}
		}
		if len(held) != c.want {
			t.Errorf("%d of %d workers with a limit of %d, want %d", len(held), c.workers, c.limit, c.want)
		}
		for _, a := range held {
			a.Leave(nil)
		}
	}
}

func TestWhoWaitsIsRejectedWhenItsTurnComesAndItsClientHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 8, PerClient: 1}, queue.Options{})
		ctx := context.Background()
		first, second := enter(t, q, queue.Meta{}), enter(t, q, queue.Meta{})
		var got [2]error
		var held [2]queue.Admission
		var waits sync.WaitGroup
		for i := range got {
			waits.Go(func() { held[i], got[i] = q.Enter(ctx, arriving("192.0.2.1")) })
			synctest.Wait()
		}
		first.Leave(nil)
		synctest.Wait()
		second.Leave(nil)
		waits.Wait()
		if got[0] != nil {
			t.Fatal(got[0])
		}
		wantReason(t, got[1], queue.ClientShare)
		s := q.Stats()
		if s.Dropped != 1 || s.InFlight != 1 || s.Admitted != s.Completed+s.Dropped+1 {
			t.Errorf("%+v", s)
		}
		held[0].Leave(nil)
		enter(t, q, arriving("192.0.2.1")).Leave(nil)
	})
}

func TestWhoLeavesTogetherWithItsTurnGivesItsShareBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 2, Capacity: 8, PerClient: 1}, queue.Options{})
		first, second := enter(t, q, queue.Meta{}), enter(t, q, queue.Meta{})
		ctx, cancel := context.WithCancel(t.Context())
		var waits sync.WaitGroup
		waits.Go(func() {
			_, err := q.Enter(ctx, arriving("192.0.2.1"))
			wantReason(t, err, queue.Cancelled)
		})
		synctest.Wait()
		cancel()
		first.Leave(nil)
		waits.Wait()
		second.Leave(nil)
		enter(t, q, arriving("192.0.2.1")).Leave(nil)
	})
}

func TestADarkQueueCountsWhoWouldHaveHadMoreThanItsShare(t *testing.T) {
	q := open(t, queue.Limits{Workers: 8, Capacity: 8, PerClient: 2}, queue.Options{Dark: true})
	for range 4 {
		defer enter(t, q, arriving("192.0.2.1")).Leave(nil)
	}
	if s := q.Stats(); s.InFlight != 4 || s.Classes[1].WouldReject["client_share"] != 2 {
		t.Errorf("%+v", s)
	}
}

func TestWorkThatArrivesAllocatesNothingForItsShare(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q := open(t, queue.Limits{Workers: 8, Capacity: 8, PerClient: 2}, queue.Options{})
	ctx, m := t.Context(), arriving("2001:db8::1")
	if n := testing.AllocsPerRun(1000, func() {
		a, err := q.Enter(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		a.Arrived()
		a.Leave(nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
