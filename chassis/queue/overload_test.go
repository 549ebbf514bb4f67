package queue_test

import (
	"encoding/csv"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

var goodputFile = flag.String("goodput", "", "write goodput over offered load to this file, as CSV")

// The queue that docs/overload.md sizes: 8 workers, work of 20 ms, deadlines of 100 ms.
var sized = queue.Limits{Workers: 8, Capacity: 24}

// gates are the loads under which goodput is promised. least is the share of what the workers could
// do, or with ofBlind, where deadlines are so tight that a quarter of the work could not be done
// in time by anybody, of what an oracle could that does not know how long each piece will take.
var gates = []struct {
	scene
	least   float64
	ofBlind bool
}{
	{scene{name: "sized", limits: sized, load: 1, service: 20 * ms, deadline: 100 * ms}, 0.92, false},
	{scene{name: "sized", limits: sized, load: 2, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "sized", limits: sized, load: 5, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "sized", limits: sized, load: 10, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "work twice as long", limits: sized, load: 2, service: 40 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "work twice as long", limits: sized, load: 5, service: 40 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "work twice as long", limits: sized, load: 10, service: 40 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "work and deadline four times as long", limits: sized, load: 2, service: 80 * ms, deadline: 400 * ms}, 0.95, false},
	{scene{name: "work and deadline four times as long", limits: sized, load: 10, service: 80 * ms, deadline: 400 * ms}, 0.95, false},
	{scene{name: "work four times as long", limits: sized, load: 2, service: 80 * ms, deadline: 100 * ms}, 0.95, true},
	{scene{name: "work four times as long", limits: sized, load: 5, service: 80 * ms, deadline: 100 * ms}, 0.95, true},
	{scene{name: "work four times as long", limits: sized, load: 10, service: 80 * ms, deadline: 100 * ms}, 0.95, true},
	{scene{name: "ten times too many places", limits: queue.Limits{Workers: 8, Capacity: 240}, load: 5, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "two workers", limits: queue.Limits{Workers: 2, Capacity: 6}, load: 2, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "two workers", limits: queue.Limits{Workers: 2, Capacity: 6}, load: 5, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
	{scene{name: "two workers", limits: queue.Limits{Workers: 2, Capacity: 6}, load: 10, service: 20 * ms, deadline: 100 * ms}, 0.95, false},
}

func TestOverloadLeavesGoodputNearCapacity(t *testing.T) {
	var table strings.Builder
	table.WriteString("| queue | load | goodput | an oracle without foresight | with | late | p99 |\n|---|---|---|---|---|---|---|\n")
	for _, g := range gates {
		t.Run(fmt.Sprintf("%s at %v", g.name, g.load), func(t *testing.T) {
			o := g.play(t)
			blind, knows := g.oracle(false), g.oracle(true)
			fmt.Fprintf(&table, "| %s | %v× | %.2f | %.2f | %.2f | %d | %v |\n", g.name, g.load, o.goodput, blind, knows, o.late, o.p99.Round(ms))
			least := g.least
			if g.ofBlind {
				least *= blind
			}
			if o.goodput < least {
				t.Errorf("goodput %.3f of capacity, want %.3f", o.goodput, least)
			}
			if o.depth > g.limits.Capacity || o.most > g.limits.Capacity+g.limits.Workers+1 {
				t.Errorf("%d waited in %d places, and %d callers were inside", o.depth, g.limits.Capacity, o.most)
			}
			s := o.stats
			if s.Admitted != s.Completed+s.Dropped || s.Depth+s.InFlight+s.Tenants != 0 {
				t.Errorf("after the last caller: %+v", s)
			}
			if g.load >= 2 && o.switched > 0 && s.Classes[1].Wait.Count() != s.Completed {
				t.Errorf("%d waits of %d that were served", s.Classes[1].Wait.Count(), s.Completed)
			}
		})
	}
	t.Logf("goodput as a share of what the workers could do:\n%s", table.String())
}

// The oracle's figures are what they are by arithmetic where that is possible.
func TestTheOracleIsRightWhereItCanBeReckoned(t *testing.T) {
	s := scene{limits: sized, load: 10, service: 80 * ms, deadline: 100 * ms, length: 30 * time.Second}
	// Work of 40 to 120 ms, started at once: three quarters are done within 100 ms; who comes
	// every millisecond waits for 1 ms on average, so it is 1 ÷ 80 less.
	if got := s.decide(false, true, 0); got < 0.72 || got > 0.75 {
		t.Errorf("who starts anything: %.3f, want 0.74", got)
	}
	// Whoever starts only what takes 40 to 99 ms, 69.5 on average, does 80 ÷ 69.5 of the work.
	if got := s.decide(true, true, 0); got < 1.13 || got > 1.17 {
		t.Errorf("who starts only what can be finished: %.3f, want 1.15", got)
	}
	s.load, s.deadline, s.limits = 0.1, time.Second, queue.Limits{Workers: 100}
	for _, knows := range []bool{false, true} {
		if got := s.oracle(knows); got < 0.095 || got > 0.105 {
			t.Errorf("without overload: %.3f, want 0.1", got)
		}
	}
}

func TestSmallTenantsAreServedBesideAHog(t *testing.T) {
	s := scene{limits: sized, load: 3, service: 20 * ms, deadline: 100 * ms, tenants: 9, share: 0.05}
	o := s.play(t)
	for i := 1; i < s.tenants; i++ {
		if share := float64(o.served[i]) / float64(o.came[i]); share < 0.95 {
			t.Errorf("%d of %d callers of tenant %d were served in time, want 0.95", o.served[i], o.came[i], i)
		}
	}
	if o.goodput < 0.95 {
		t.Errorf("goodput %.3f", o.goodput)
	}
	// What the others leave is the hog's.
	if share := float64(o.served[0]) / (s.capacity() * s.lasts().Seconds()); share < 0.55 {
		t.Errorf("the hog got %.3f of the capacity, want 0.6", share)
	}
	if o.stats.Rejected["tenant_quota"] < o.stats.Rejected["full"] {
		t.Errorf("rejected %v", o.stats.Rejected)
	}
	t.Logf("goodput %.3f; the hog %d of %d, the others %v of %v", o.goodput, o.served[0], o.came[0], o.served[1:9], o.came[1:9])
}

func TestWorkThatTakesFourTimesAsLongForAWhileIsRecoveredFromWithinASecond(t *testing.T) {
	s := scene{
		limits: sized, load: 2, service: 20 * ms, deadline: 400 * ms,
		slow: 4, slowFrom: 5 * time.Second, slowTo: 10 * time.Second, length: 15 * time.Second,
	}
	o := s.play(t)
	for _, part := range []struct {
		name     string
		from, to time.Duration
		slow     float64
	}{
		{"before", 0, 5 * time.Second, 1},
		{"slow, from a second after it began", 6 * time.Second, 10 * time.Second, 4},
		{"from a second after it ended", 11 * time.Second, 15 * time.Second, 1},
	} {
		if got := o.between(s, part.from, part.to, part.slow); got < 0.95 {
			t.Errorf("%s: goodput %.3f, want 0.95", part.name, got)
		} else {
			t.Logf("%s: goodput %.3f", part.name, got)
		}
	}
}

// After an overload the queue serves at once again.
func TestALoadThatFallsLeavesNothingBehind(t *testing.T) {
	s := scene{limits: sized, load: 0.7, service: 20 * ms, deadline: 100 * ms, tenants: 2, share: 9.3, shareTo: 5 * time.Second}
	o := s.play(t)
	if got := o.between(s, 0, 5*time.Second, 1); got < 0.95 {
		t.Errorf("at ten times the capacity: %.3f", got)
	}
	if got := o.between(s, 5*time.Second, 10*time.Second, 1); got < 0.95*0.7 {
		t.Errorf("after it: %.3f, want 0.95 of the 0.7 that came", got)
	}
	if o.stats.NewestFirst {
		t.Error("the newest are still served first")
	}
}

// Goodput over offered load, beside queues that lack a rule, for the picture in docs/overload.md:
//
//	go test ./chassis/queue -run TestGoodputOverLoad -goodput $PWD/docs/img/goodput.csv
func TestGoodputOverLoad(t *testing.T) {
	name, loads := *goodputFile, []float64{0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 7, 10}
	if name == "" {
		name, loads = filepath.Join(t.TempDir(), "goodput.csv"), []float64{2}
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	write := func(cells ...string) {
		if err := w.Write(cells); err != nil {
			t.Fatal(err)
		}
	}
	write("work_ms", "load", "queue", "oracle", "bounded_fifo", "bounded_fifo_ten_times_too_deep", "unbounded")
	for _, service := range []time.Duration{20 * ms, 40 * ms} { // as sized for, and twice as long
		for _, load := range loads {
			s := scene{limits: sized, load: load, service: service, deadline: 100 * ms}
			cells := []string{strconv.FormatInt(service.Milliseconds(), 10), strconv.FormatFloat(load, 'g', -1, 64)}
			ours, unbounded := s.play(t).goodput, s.naive(1<<30)
			if load == 2 && (ours < 0.95 || unbounded > 0.1) {
				t.Errorf("work of %v: goodput %.2f, without a bound %.2f", service, ours, unbounded)
			}
			for _, goodput := range []float64{ours, s.oracle(false), s.naive(24), s.naive(240), unbounded} {
				cells = append(cells, strconv.FormatFloat(goodput, 'f', 3, 64))
			}
			write(cells...)
		}
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
