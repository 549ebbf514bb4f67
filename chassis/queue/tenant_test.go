package queue_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 9}, queue.Options{})
		l := newLine(t, q, 1, 10*ms)
		for _, name := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "c1"} {
			l.come(t.Context(), name, queue.Meta{Tenant: name[:1]}, 10*ms)
		}
		if n := q.Stats().Tenants; n != 3 {
			t.Errorf("%d tenants wait, want 3", n)
		}
		l.want([]string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}, nil)
		if n := q.Stats().Tenants; n != 0 {
			t.Errorf("%d tenants are left", n)
		}
	})
}

// Turns are shares of time: who asks for longer work has fewer.
func TestATurnCostsTheTimeThatTheWorkTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1000}, queue.Options{})
		used := map[string]time.Duration{}
		work := func(tenant string, d time.Duration) {
			err := q.Submit(t.Context(), queue.Meta{Tenant: tenant}, func(ctx context.Context) error {
				used[tenant] += d
				return takes(d)(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			work("long", 40*ms)
			work("short", 10*ms)
			work("short", 10*ms)
			work("short", 10*ms)
			work("short", 10*ms)
		}
		pass(t, 2*time.Second)
		synctest.Wait()
		if share := used["long"].Seconds() / (used["long"] + used["short"]).Seconds(); share < 0.45 || share > 0.55 {
			t.Errorf("the tenant with long work had %.2f of the time, want half: %v", share, used)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Close(ctx); err == nil {
			t.Error("closed with nothing left")
		}
	})
}

// One that is charged far more than the average is in debt for eight pieces of work, not for ever.
func TestDebtIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 1000}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(ms)); err != nil {
			t.Fatal(err)
		}
		var order strings.Builder
		work := func(tenant string, d time.Duration) {
			err := q.Submit(t.Context(), queue.Meta{Tenant: tenant}, func(ctx context.Context) error {
				order.WriteString(tenant)
				return takes(d)(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		work("x", ms)
		work("a", time.Hour) // charged for eight hundred thousandths of that
		work("a", 0)
		for range 20 {
			work("b", time.Hour/100)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := order.String(); strings.LastIndex(got, "a") > 12 || !strings.HasPrefix(got, "xabbb") {
			t.Errorf("served in the order %s: a had to wait for more than eight others", got)
		}
	})
}

func TestTheLongestLineGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 4}, queue.Options{})
		l := newLine(t, q, 1, 10*ms)
		for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "b1", "a6", "b2", "b3", "a7", "c1", "c2"} {
			l.come(t.Context(), name, queue.Meta{Tenant: name[:1]}, 10*ms)
		}
		l.want([]string{"a1", "b1", "c1", "a2"}, map[string]queue.Reason{
			"a5": queue.Full,                                 // nobody else waits
			"a4": queue.TenantQuota, "a3": queue.TenantQuota, // for b1 and b2
			"a6": queue.TenantQuota,            // three of a wait and one of b
			"b3": queue.Full, "a7": queue.Full, // each has two of four
			"b2": queue.TenantQuota, // for c1
			"c2": queue.Full,        // that would make it as many as a has
		})
	})
}

func TestTenantsBeyondTheLimitShareLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 20, Tenants: 1}, queue.Options{})
		l := newLine(t, q, 1, 50*ms)
		var names []string
		for i := range 6 { // all in one line, so in the order in which they came
			names = append(names, fmt.Sprint(i))
			l.caller(names[i], queue.Meta{Tenant: names[i%2]})
		}
		if n := q.Stats().Tenants; n != 1 {
			t.Errorf("%d lines, want 1", n)
		}
		l.want(names, nil)

		q = open(t, queue.Limits{Workers: 1, Capacity: 20, Tenants: 2}, queue.Options{})
		l = newLine(t, q, 1, 10*ms)
		for _, name := range []string{"a1", "a2", "b1", "c1", "b2", "a3"} { // b and c share
			l.come(t.Context(), name, queue.Meta{Tenant: name[:1]}, 10*ms)
		}
		l.want([]string{"a1", "b1", "a2", "c1", "a3", "b2"}, nil)
	})
}

func TestAMillionTenantsAreBounded(t *testing.T) {
	v := clock.NewVirtual(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	const capacity = 10_000
	q := open(t, queue.Limits{Workers: 1, Capacity: capacity}, queue.Options{Clock: v})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	release := make(chan bool)
	submit(t, q, func(context.Context) error { <-release; return nil })
	tenants := 1_000_000
	if raceEnabled {
		tenants /= 10 // of which each costs ten times as much
	}
	var full, most uint64
	for i := range tenants {
		v.Advance(time.Microsecond)
		err := q.Submit(context.Background(), queue.Meta{Tenant: fmt.Sprint("tenant ", i), Class: classes[i%2]}, nothing)
		if err != nil {
			full++
		}
		if i%20_000 == 0 {
			most = max(most, heap())
		}
	}
	s := q.Stats()
	if s.Tenants > 2*queue.MaxTenants || s.Depth != capacity || full+s.Dropped != uint64(tenants-capacity) {
		t.Errorf("%d tenants, %d wait, %d rejected at the door and %d later", s.Tenants, s.Depth, full, s.Dropped)
	}
	if grown := most - min(most, before); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	close(release)
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Tenants+s.Depth+s.InFlight != 0 || s.Completed != capacity+1 {
		t.Errorf("afterwards %+v", s)
	}
	if left := heap(); left > before+4<<20 {
		t.Errorf("%d bytes of the heap stayed", left-before)
	}
	runtime.KeepAlive(q)
}

// What is owed for one slow piece of work is bounded by what work takes now, not by what it took then.
func TestADebtFromSlowTimesEndsWithThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 10000}, queue.Options{})
		var order []string
		work := func(tenant string, d time.Duration) {
			err := q.Submit(t.Context(), queue.Meta{Tenant: tenant}, func(ctx context.Context) error {
				order = append(order, tenant)
				return takes(d)(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		work("a", 10*time.Second) // from which the queue knows how long work takes
		work("slow", 100*time.Second)
		work("slow", ms)
		for range 500 {
			for n := range 8 {
				work(fmt.Sprint("quick", n), ms)
			}
		}
		pass(t, 200*time.Second)
		synctest.Wait()
		if n := len(order); n != 4003 {
			t.Fatalf("%d done", n)
		}
		turn := 0
		for i, tenant := range order {
			if tenant == "slow" {
				turn = i
			}
		}
		// 8 turns are owed, and the average of 15 s takes two dozen to come down to 1 ms; the others are 8.
		if turn > 8*(8+24) {
			t.Errorf("the tenant who was slow once has its next turn after %d of the others'", turn)
		}
	})
}
