package kpi_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// worker is a process that counts.
type worker struct {
	number   int
	registry *prometheus.Registry
	games    *prometheus.CounterVec
	wait     *prometheus.HistogramVec
	work     *prometheus.SummaryVec
	players  prometheus.Gauge
}

func newWorker(number int, bounds []float64) *worker {
	w := &worker{
		number:   number,
		registry: prometheus.NewRegistry(),
		games:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "games_total", Help: "Games."}, []string{"kind", "end"}),
		wait:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "wait_seconds", Help: "Wait.", Buckets: bounds}, []string{"kind"}),
		work:     prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "work_seconds", Help: "Work."}, []string{"kind"}),
		players:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "players", Help: "Players."}),
	}
	w.registry.MustRegister(w.games, w.wait, w.work, w.players)
	return w
}

func (w *worker) count(kind, end string, v float64) {
	w.games.WithLabelValues(kind, end).Add(v)
	w.wait.WithLabelValues(kind).Observe(v)
	w.work.WithLabelValues(kind).Observe(v)
	w.players.Set(v)
}

func (w *worker) generation(t *testing.T, living bool) kpi.Generation {
	t.Helper()
	data, err := kpi.Snapshot(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	return kpi.Generation{Worker: w.number, Living: living, Data: data}
}

func merge(t *testing.T, merger *kpi.Merger, gens ...kpi.Generation) []*dto.MetricFamily {
	t.Helper()
	families, err := merger.Merge(gens...)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// carry puts gens together in random pairs until one is left.
func carry(t *testing.T, merger *kpi.Merger, r *rand.Rand, gens []kpi.Generation) kpi.Generation {
	t.Helper()
	gens = slices.Clone(gens)
	for len(gens) > 1 {
		r.Shuffle(len(gens), func(i, j int) { gens[i], gens[j] = gens[j], gens[i] })
		data, err := merger.Carry(gens[:2]...)
		if err != nil {
			t.Fatal(err)
		}
		gens = append(gens[2:], kpi.Generation{Worker: max(gens[0].Worker, gens[1].Worker), Data: data})
	}
	return gens[0]
}

func TestWorkersTogetherCountWhatOneProcessWouldHave(t *testing.T) {
	merger := kpi.NewMerger(nil)
	bounds := []float64{.25, .5, 1, 2}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		single := newWorker(0, bounds)
		workers := make([]*worker, 1+r.IntN(6))
		for i := range workers {
			workers[i] = newWorker(i+1, bounds)
		}
		for range r.IntN(400) {
			// Multiples of 2^-10 add up exactly in any order, in the single process too.
			kind, end, v := fmt.Sprint("kind", r.IntN(3)), fmt.Sprint("end", r.IntN(4)), float64(r.IntN(4096))/1024
			single.count(kind, end, v)
			workers[r.IntN(len(workers))].count(kind, end, v)
		}
		var gens []kpi.Generation
		for _, w := range workers {
			gens = append(gens, w.generation(t, false))
		}
		want := encoded(t, stripped(t, single.registry))
		r.Shuffle(len(gens), func(i, j int) { gens[i], gens[j] = gens[j], gens[i] })
		if got := encoded(t, withoutCreated(merge(t, merger, gens...))); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the workers merge to something else", seed)
		}
		if got := encoded(t, withoutCreated(merge(t, merger, carry(t, merger, r, gens)))); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the workers, carried, merge to something else", seed)
		}
	}
}

// stripped is what a registry has counted, without what no generation leaves behind.
func stripped(t *testing.T, g prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return withoutCreated(slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return f.GetType() == dto.MetricType_GAUGE }))
}

// withoutCreated takes away the moments at which series were made.
func withoutCreated(families []*dto.MetricFamily) []*dto.MetricFamily {
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				m.Counter.CreatedTimestamp = nil
			case dto.MetricType_HISTOGRAM:
				m.Histogram.CreatedTimestamp = nil
			case dto.MetricType_SUMMARY:
				m.Summary.CreatedTimestamp = nil
			}
		}
	}
	return families
}

func TestNoGroupingChangesTheLastBit(t *testing.T) {
	merger := kpi.NewMerger(nil)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var gens []kpi.Generation
		for i := range 2 + r.IntN(5) {
			// Versions differ in their bounds.
			bounds := []float64{.01, .1, 1}
			if r.IntN(2) == 0 {
				bounds = []float64{.02, .1, .5, 3}
			}
			w := newWorker(i+1, bounds)
			for range r.IntN(50) {
				v := r.ExpFloat64() * []float64{1, 1e-9, 1e12}[r.IntN(3)]
				w.count(fmt.Sprint("kind", r.IntN(3)), "end", v)
			}
			gens = append(gens, w.generation(t, false))
		}
		want := encoded(t, merge(t, merger, gens...))
		for range 5 {
			if got := encoded(t, merge(t, merger, carry(t, merger, r, gens))); !bytes.Equal(got, want) {
				t.Fatalf("seed %d: grouped otherwise, the result differs", seed)
			}
		}
	}
}

// A service is reloaded again and again while it counts. Old workers drain for a while, and end in
// any order, by themselves or killed; a supervisor carries what they have counted.
func TestNothingEverFallsWhileAServiceReloads(t *testing.T) {
	merger := kpi.NewMerger(nil)
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		workers := []*worker{newWorker(1, []float64{.1, 1, 10})}
		var over kpi.Generation
		before := map[string]float64{}
		for step := range 150 {
			if step%2 == 0 { // without requests in between, a lost last bit shows
				for _, w := range workers {
					w.count(fmt.Sprint("kind", r.IntN(2)), "end", r.ExpFloat64())
				}
			}
			switch {
			case len(workers) > 1 && r.IntN(3) == 0:
				i := r.IntN(len(workers) - 1) // the newest goes on
				gone := workers[i].generation(t, false)
				workers = slices.Delete(workers, i, i+1)
				data, err := merger.Carry(over, gone)
				if err != nil {
					t.Fatal(err)
				}
				over = kpi.Generation{Worker: max(over.Worker, gone.Worker), Data: data}
			case len(workers) < 4 && r.IntN(4) == 0:
				bounds := []float64{.1, 1, 10}
				if r.IntN(2) == 0 {
					bounds = []float64{.2, 1, 2, 10}
				}
				workers = append(workers, newWorker(workers[len(workers)-1].number+1, bounds))
			}
			gens := []kpi.Generation{over}
			for _, w := range workers {
				gens = append(gens, w.generation(t, true))
			}
			now := series(t, merge(t, merger, gens...))
			for name, v := range before {
				if w, ok := now[name]; !ok || w < v {
					t.Fatalf("seed %d, step %d: %s fell from %v to %v", seed, step, name, v, w)
				}
			}
			before = now
		}
	}
}

// series is every cumulative figure as Prometheus reads it.
func series(t *testing.T, families []*dto.MetricFamily) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(format(t, families)))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]float64{}
	for name, f := range parsed {
		for _, m := range f.GetMetric() {
			key := name + fmt.Sprint(label(m, "kind"), label(m, "end"))
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				read[key] = m.GetCounter().GetValue()
			case dto.MetricType_SUMMARY:
				read[key+" count"] = float64(m.GetSummary().GetSampleCount())
				read[key+" sum"] = m.GetSummary().GetSampleSum()
			case dto.MetricType_HISTOGRAM:
				read[key+" count"] = float64(m.GetHistogram().GetSampleCount())
				read[key+" sum"] = m.GetHistogram().GetSampleSum()
				for _, b := range m.GetHistogram().GetBucket() {
					read[fmt.Sprint(key, " ", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return read
}

// serviceMetrics are those of a whole service.
func serviceMetrics(version string, requests int) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	kpi.RegisterBuild(registry, "gamed", version, "", "go1.26")
	kpi.RegisterRuntime(registry)
	kpi.RegisterQueues(registry, func() []kpi.QueueStats {
		return []kpi.QueueStats{{
			Name: "bots", Depth: 1, Capacity: 10, InFlight: 2, OldestAge: time.Duration(requests) * time.Millisecond,
			NewestFirst: version == "1", Tenants: 3, Admitted: 5,
			Classes: []kpi.QueueClass{{
				Class: "critical", Rejected: map[string]uint64{"full": 1},
				Wait: kpi.QueueHistogram{Bounds: []time.Duration{50 * time.Millisecond}, Counts: []uint64{3, 1}, Sum: 100 * time.Millisecond},
			}},
		}}
	})
	kpi.RegisterAccessLog(registry, func() kpi.LogStats { return kpi.LogStats{Lines: uint64(requests), Failing: version == "1"} })
	kpi.RegisterFailures(registry, func() []kpi.FailureCount { return []kpi.FailureCount{{Code: 7, Class: "bug", Count: 3}} })
	for range requests {
		m.Route("http", "/v1/games", "GET").Observe(200, 3*time.Millisecond, 100)
	}
	m.InFlight("http").Set(2)
	return registry
}

func TestAScrapeShowsTheMetricsOfTwoProcesses(t *testing.T) {
	var gens []kpi.Generation
	for i, requests := range []int{40, 300} {
		data, err := kpi.Snapshot(serviceMetrics(fmt.Sprint(i+1), requests))
		if err != nil {
			t.Fatal(err)
		}
		gens = append(gens, kpi.Generation{Worker: i + 1, Living: true, Data: data})
	}
	merger := kpi.NewMerger(nil)
	handler := kpi.Handler(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return merger.Merge(gens...) }), func(err error) { t.Error(err) })
	for _, accept := range []string{"text/plain", "application/openmetrics-text; version=1.0.0"} {
		response := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		request.Header.Set("Accept", accept)
		handler.ServeHTTP(response, request)
		lines := strings.Split(response.Body.String(), "\n")
		for _, want := range []string{
			`access_log_failing 1`,
			`build_info{goversion="go1.26",revision="",service="gamed",version="2"} 1`,
			`failure_total{class="bug",code="7"} 6`,
			`queue_admitted_total{queue="bots"} 10`,
			`queue_capacity{queue="bots"} 10`,
			`queue_depth{queue="bots"} 2`,
			`queue_inflight{queue="bots"} 4`,
			`queue_oldest_age_seconds{queue="bots"} 0.3`,
			`queue_mode{queue="bots"} 1`,
			`queue_tenants{queue="bots"} 3`,
			`queue_wait_seconds_bucket{class="critical",queue="bots",le="0.05"} 6`,
			`queue_wait_seconds_count{class="critical",queue="bots"} 8`,
			`queue_wait_seconds_sum{class="critical",queue="bots"} 0.2`,
			`request_duration_seconds_bucket{listener="http",method="GET",route="/v1/games",le="0.0025"} 0`,
			`request_duration_seconds_bucket{listener="http",method="GET",route="/v1/games",le="0.005"} 340`,
			`request_duration_seconds_count{listener="http",method="GET",route="/v1/games"} 340`,
			`requests_in_flight{listener="http"} 4`,
			`requests_total{code="200",listener="http",method="GET",route="/v1/games"} 340`,
		} {
			if !slices.ContainsFunc(lines, func(l string) bool { return l == want || l == want+".0" }) {
				t.Errorf("%s: no line %s", accept, want)
			}
		}
		for _, name := range []string{"go_goroutines", "go_memstats_alloc_bytes", "process_cpu_seconds_total", "process_open_fds"} {
			for _, worker := range []string{"1", "2"} {
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf("%s{worker=%q} ", name, worker)) }) {
					t.Errorf("%s: no %s of worker %s", accept, name, worker)
				}
			}
		}
		if strings.Contains(response.Body.String(), `service="gamed",version="1"`) {
			t.Errorf("%s: build_info shows the old version too", accept)
		}
	}
}

func TestMergedMetricsAreOrderedAsARegistryOrdersThem(t *testing.T) {
	registry := serviceMetrics("1", 10)
	data, err := kpi.Snapshot(registry)
	if err != nil {
		t.Fatal(err)
	}
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	order := func(families []*dto.MetricFamily) (keys []string) {
		for _, f := range families {
			for _, m := range f.GetMetric() {
				keys = append(keys, fmt.Sprint(f.GetName(), m.GetLabel()))
			}
		}
		return keys
	}
	merged := merge(t, kpi.NewMerger(nil), kpi.Generation{Living: true, Data: data})
	if got, want := order(merged), order(gathered); !slices.Equal(got, want) || len(want) < 50 {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkMerge(b *testing.B) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry, MaxRoutes: 5000})
	for i := range 500 {
		m.Route("http", fmt.Sprintf("/v1/games/%d", i), "GET").Observe(200, 1234567, 1)
	}
	data, err := kpi.Snapshot(registry)
	if err != nil {
		b.Fatal(err)
	}
	merger := kpi.NewMerger(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := merger.Merge(kpi.Generation{Worker: 1, Data: data}, kpi.Generation{Worker: 2, Living: true, Data: data}, kpi.Generation{Worker: 3, Living: true, Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data)), "snapshot-bytes")
}
