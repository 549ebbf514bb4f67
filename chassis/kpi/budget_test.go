package kpi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// countSeries counts the time series of a registry as the text format shows them, those that describe
// the budget left out.
func countSeries(t *testing.T, g prometheus.Gatherer) int {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		switch f.GetName() {
		case "kpi_series", "kpi_series_limit", "kpi_series_overflow_total":
			continue
		}
		for _, m := range f.GetMetric() {
			n++
			if h := m.GetHistogram(); f.GetType() == dto.MetricType_HISTOGRAM {
				n += len(h.GetBucket()) + 2 // +Inf, the sum and the count, but for the one counted
			}
		}
	}
	return n
}

// value is that of a metric without labels.
func value(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	m := family(t, g, name)
	if len(m) != 1 {
		t.Fatalf("%d series of %s", len(m), name)
	}
	return m[0].GetGauge().GetValue() + m[0].GetCounter().GetValue()
}

func TestNobodyMakesMoreSeriesThanTheBudgetHas(t *testing.T) {
	for _, limit := range []int{1, 100, 777, 5000, 0} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			registry := prometheus.NewRegistry()
			m := kpi.New(kpi.Options{Registerer: registry, MaxSeries: limit, MaxRoutes: 1 << 20})
			var own *kpi.Counter
			if limit != 1 && limit != 100 {
				own = m.KPIs().Counter("games_ended", "Games that ended.", "ending")
			}
			var wg sync.WaitGroup
			requests := 0.0
			for worker := range 3 {
				wg.Go(func() {
					for i := range 300 {
						name := fmt.Sprint(worker, "-", i)
						m.Listener(name).RefuseConn(kpi.Refusal(i))
						r := m.Route(fmt.Sprint("listener", i%5), "/"+name, []string{"GET", "POST", name}[i%3])
						r.Observe(100+i, time.Millisecond, 1)
						r.ObserveGRPC(uint32(i), time.Millisecond, 1)
						if own != nil {
							own.With(name).Inc()
						}
					}
				})
				requests += 600
			}
			wg.Wait()
			max := limit
			switch limit {
			case 0:
				max = kpi.DefaultMaxSeries
			case 1, 100:
				max = 100 // what the shared labels need is always there
			}
			n := countSeries(t, registry)
			if n > max {
				t.Errorf("%d series of %d", n, max)
			}
			used, overflow := value(t, registry, "kpi_series"), value(t, registry, "kpi_series_overflow_total")
			if float64(n) > used || used > float64(max) {
				t.Errorf("%d series, but %v are said to be used", n, used)
			}
			if overflow == 0 {
				t.Error("nothing is said to have overflowed")
			}
			// Nothing is lost, only told apart less.
			counted := 0.0
			for _, n := range codes(t, registry) {
				counted += n
			}
			if counted != requests {
				t.Errorf("%v requests are counted, want %v", counted, requests)
			}
			if own != nil {
				ended := 0.0
				for _, m := range family(t, registry, "games_ended_total") {
					ended += m.GetCounter().GetValue()
				}
				if ended != requests/2 {
					t.Errorf("%v games are counted, want %v", ended, requests/2)
				}
			}
		})
	}
}

func TestARouteBeyondTheBudgetIsFoundWithoutALock(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry, MaxSeries: 1})
	a, b := m.Route("http", "/a", "GET"), m.Route("http", "/b", "POST")
	if a != b {
		t.Error("two routes beyond the budget are told apart")
	}
	if n := testing.AllocsPerRun(100, func() { m.Route("http", "/a", "GET") }); n != 0 {
		t.Errorf("%v allocations to find it", n)
	}
	if n := value(t, registry, "kpi_series_overflow_total"); n != 4 { // the listener and the route, twice
		t.Errorf("%v overflows", n)
	}
	a.Observe(http.StatusTeapot, 0, 0)
	if got := codes(t, registry); got[kpi.Other] != 1 || len(got) != 1 {
		t.Errorf("codes %v, want all under %s", got, kpi.Other)
	}
	if s := m.Snapshot(); len(s) != 1 || s[0].Caller != 1 || s[0].Route != kpi.Other {
		t.Errorf("%+v", s)
	}
}
