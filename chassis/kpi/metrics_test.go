package kpi_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func Example() {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	list := m.Route("http", "/v1/games", "GET")
	drop := m.Route("grpc", "/game.v1.GameService/Drop", "POST")

	list.Observe(200, 3*time.Millisecond, 2326)
	list.Observe(503, time.Millisecond, 120)
	drop.ObserveGRPC(0, 2*time.Millisecond, 74) // codes.OK

	out, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "requests_total", "response_bytes_total")
	if err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(out)
	for _, s := range m.Snapshot() {
		fmt.Println(s.Listener, s.Method, s.Route, s.Requests, "requests,", s.Errors(), "errors, mean", s.Mean)
	}
	// Output:
	// # HELP requests_total Requests answered, by HTTP status or gRPC code.
	// # TYPE requests_total counter
	// requests_total{code="200",listener="http",method="GET",route="/v1/games"} 1
	// requests_total{code="503",listener="http",method="GET",route="/v1/games"} 1
	// requests_total{code="OK",listener="grpc",method="POST",route="/game.v1.GameService/Drop"} 1
	// # HELP response_bytes_total Body bytes sent in answers.
	// # TYPE response_bytes_total counter
	// response_bytes_total{listener="grpc",route="/game.v1.GameService/Drop"} 74
	// response_bytes_total{listener="http",route="/v1/games"} 2446
	// grpc POST /game.v1.GameService/Drop 1 requests, 0 errors, mean 2ms
	// http GET /v1/games 2 requests, 1 errors, mean 2ms
}

// family gathers one metric.
func family(t *testing.T, g prometheus.Gatherer, name string) []*dto.Metric {
	t.Helper()
	all, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// label is the value of one label of m.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// codes maps the label code of requests_total to its value.
func codes(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	counts := make(map[string]float64)
	for _, m := range family(t, g, "requests_total") {
		counts[label(m, "code")] += m.GetCounter().GetValue()
	}
	return counts
}

func TestEachRequestCountsInEveryMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry, Namespace: "game"})
	get := m.Route("http", "/v1/games/{id}", "GET")
	post := m.Route("http", "/v1/games/{id}", "POST")
	m.Route("http", "", "GET")
	get.Observe(200, 400*time.Microsecond, 100)
	get.Observe(200, 30*time.Millisecond, 0)
	get.Observe(404, 20*time.Second, 50)
	post.Observe(201, -time.Second, -1)
	inFlight := m.InFlight("http")
	inFlight.Inc()
	m.InFlight("http").Inc()
	inFlight.Dec()
	want := `
# HELP game_request_duration_seconds Time from a request's arrival to the end of its answer.
# TYPE game_request_duration_seconds histogram
`
	for _, r := range []struct {
		labels  string
		buckets [15]int
		sum     string
	}{
		{`listener="http",method="GET",route="(unmatched)"`, [15]int{}, "0"},
		{`listener="http",method="GET",route="/v1/games/{id}"`, [15]int{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3}, "20.0304"},
		{`listener="http",method="POST",route="/v1/games/{id}"`, [15]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, "0"},
	} {
		for i, le := range strings.Fields("0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf") {
			want += fmt.Sprintf("game_request_duration_seconds_bucket{%s,le=%q} %d\n", r.labels, le, r.buckets[i])
		}
		want += fmt.Sprintf("game_request_duration_seconds_sum{%s} %s\ngame_request_duration_seconds_count{%s} %d\n", r.labels, r.sum, r.labels, r.buckets[14])
	}
	want += `
# HELP game_request_errors_total Requests that failed, by whose fault it was: caller, service or dependency.
# TYPE game_request_errors_total counter
game_request_errors_total{class="caller",listener="http",method="GET",route="(unmatched)"} 0
game_request_errors_total{class="caller",listener="http",method="GET",route="/v1/games/{id}"} 1
game_request_errors_total{class="caller",listener="http",method="POST",route="/v1/games/{id}"} 0
game_request_errors_total{class="dependency",listener="http",method="GET",route="(unmatched)"} 0
game_request_errors_total{class="dependency",listener="http",method="GET",route="/v1/games/{id}"} 0
game_request_errors_total{class="dependency",listener="http",method="POST",route="/v1/games/{id}"} 0
game_request_errors_total{class="service",listener="http",method="GET",route="(unmatched)"} 0
game_request_errors_total{class="service",listener="http",method="GET",route="/v1/games/{id}"} 0
game_request_errors_total{class="service",listener="http",method="POST",route="/v1/games/{id}"} 0
# HELP game_requests_in_flight Requests being answered now.
# TYPE game_requests_in_flight gauge
game_requests_in_flight{listener="http"} 1
# HELP game_requests_total Requests answered, by HTTP status or gRPC code.
# TYPE game_requests_total counter
game_requests_total{code="200",listener="http",method="GET",route="/v1/games/{id}"} 2
game_requests_total{code="201",listener="http",method="POST",route="/v1/games/{id}"} 1
game_requests_total{code="404",listener="http",method="GET",route="/v1/games/{id}"} 1
# HELP game_response_bytes_total Body bytes sent in answers.
# TYPE game_response_bytes_total counter
game_response_bytes_total{listener="http",route="(unmatched)"} 0
game_response_bytes_total{listener="http",route="/v1/games/{id}"} 150
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "game_requests_total", "game_request_errors_total",
		"game_request_duration_seconds", "game_requests_in_flight", "game_response_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestTheSameArgumentsGiveTheSameRoute(t *testing.T) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	for _, c := range []struct {
		name string
		a, b *kpi.Route
		same bool
	}{
		{"equal arguments", m.Route("http", "/a", "GET"), m.Route("http", "/a", "GET"), true},
		{"no route and the unmatched one", m.Route("http", "", "GET"), m.Route("http", kpi.Unmatched, "GET"), true},
		{"two unknown methods", m.Route("http", "/a", "PROPFIND"), m.Route("http", "/a", "get"), true},
		{"routes that are not UTF-8 and look alike", m.Route("http", "/\xff", "GET"), m.Route("http", "/\xfe", "GET"), true},
		{"two methods", m.Route("http", "/a", "GET"), m.Route("http", "/a", "PUT"), false},
		{"two listeners", m.Route("http", "/a", "GET"), m.Route("https", "/a", "GET"), false},
	} {
		if (c.a == c.b) != c.same {
			t.Errorf("%s: same is %v, want %v", c.name, c.a == c.b, c.same)
		}
	}
}

func TestEveryCodeHasItsLabel(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := kpi.New(kpi.Options{Registerer: registry}).Route("http", "/", "GET")
	want := map[string]float64{kpi.Other: 6}
	for _, status := range []int{-1, 0, 99, 600, 1003} {
		r.Observe(status, 0, 0)
	}
	r.ObserveGRPC(17, 0, 0)
	for status := 100; status < 600; status++ {
		r.Observe(status, 0, 0)
		want[fmt.Sprint(status)] = 1
	}
	for i, name := range []string{"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
		"AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
		"Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"} {
		r.ObserveGRPC(uint32(i), 0, 0)
		want[name] = 1
	}
	got := codes(t, registry)
	if len(got) != len(want) {
		t.Errorf("%d codes, want %d", len(got), len(want))
	}
	for code, n := range want {
		if got[code] != n {
			t.Errorf("code %s counted %v times, want %v", code, got[code], n)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry, MaxRoutes: 3})
	for i := range 100 {
		for _, method := range []string{"GET", fmt.Sprint("M", i)} {
			m.Route("http", fmt.Sprint("/", i), method).Observe(200, 0, 0)
			m.Route(fmt.Sprint("listener", i), "", method).Observe(404, 0, 0)
		}
		m.InFlight(fmt.Sprint("listener", i)).Inc()
	}
	m.Route("http", "/1", "PUT").Observe(200, 0, 0) // known before the bound was reached
	routes, listeners := map[string]float64{}, map[string]bool{}
	for _, r := range family(t, registry, "requests_total") {
		listeners[label(r, "listener")] = true
		if label(r, "listener") == "http" {
			routes[label(r, "route")+" "+label(r, "method")] += r.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"/0 GET": 1, "/1 GET": 1, "/2 GET": 1, "(other) GET": 97,
		"/0 (other)": 1, "/1 (other)": 1, "/2 (other)": 1, "(other) (other)": 97, "/1 PUT": 1,
	}
	if fmt.Sprint(routes) != fmt.Sprint(want) {
		t.Errorf("routes %v, want %v", routes, want)
	}
	if n := len(listeners); n != 65 || !listeners[kpi.Other] {
		t.Errorf("%d listeners, want 64 and %s", n, kpi.Other)
	}
	if n := len(family(t, registry, "requests_in_flight")); n != 64 {
		t.Errorf("%d gauges of listeners, want 63 and one for the others", n)
	}
	if n := testutil.CollectAndCount(registry); n > 2000 {
		t.Errorf("%d series", n)
	}
}

func TestSnapshotEstimatesFromTheBuckets(t *testing.T) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	m.Route("http", "/idle", "GET")
	slow := m.Route("http", "/slow", "GET")
	slow.Observe(200, 72*time.Hour, 0)
	even := m.Route("http", "/even", "GET")
	for i := range 100 {
		even.Observe(200, time.Duration(i)*time.Millisecond+time.Microsecond, 0)
	}
	mixed := m.Route("grpc", "/mixed", "POST")
	for code := range uint32(18) {
		mixed.ObserveGRPC(code, time.Millisecond, 0)
	}
	errors := m.Route("http", "/even", "DELETE")
	for _, status := range []int{200, 304, 404, 429, 499, 500, 502, 503, 504, 599, 600} {
		errors.Observe(status, time.Millisecond, 0)
	}
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	want := []struct {
		kpi.RouteStats
		errors uint64
	}{
		{kpi.RouteStats{"grpc", "/mixed", "POST", 18, 9, 7, 0, ms(1), ms(1), ms(1)}, 7},
		{kpi.RouteStats{"http", "/even", "DELETE", 11, 2, 4, 2, ms(1), ms(1), ms(1)}, 6},
		{kpi.RouteStats{"http", "/even", "GET", 100, 0, 0, 0, ms(49.501), ms(50), ms(99)}, 0},
		{kpi.RouteStats{"http", "/idle", "GET", 0, 0, 0, 0, 0, 0, 0}, 0},
		{kpi.RouteStats{"http", "/slow", "GET", 1, 0, 0, 0, 72 * time.Hour, 1 << 17 * time.Second, 1 << 17 * time.Second}, 0},
	}
	got := m.Snapshot()
	if len(got) != len(want) {
		t.Fatalf("%d routes, want %d", len(got), len(want))
	}
	for i, s := range got {
		if e := s.Errors(); e != want[i].errors {
			t.Errorf("%s %s has %d errors, want %d", s.Method, s.Route, e, want[i].errors)
		}
		// A bucket of schema 3 ends 9 % after it begins.
		for _, q := range []struct {
			name      string
			got, want time.Duration
		}{{"p50", s.P50, want[i].P50}, {"p99", s.P99, want[i].P99}} {
			if off := q.got - q.want; off.Abs() > q.want/11 {
				t.Errorf("%s %s: %s is %v, want %v", s.Method, s.Route, q.name, q.got, q.want)
			}
		}
		s.P50, s.P99, s.Mean = want[i].P50, want[i].P99, s.Mean.Round(time.Microsecond)
		if s != want[i].RouteStats {
			t.Errorf("\n got %+v\nwant %+v", s, want[i])
		}
	}
}

func TestConcurrentRequestsAreAllCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 400 {
				m.Route("http", fmt.Sprint("/", i%20), "GET").Observe(200+i%50, time.Millisecond, 10)
				m.InFlight("http").Inc()
				if i%100 == 0 {
					m.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	var counted, observed uint64
	for _, n := range codes(t, registry) {
		counted += uint64(n)
	}
	stats := m.Snapshot()
	for _, s := range stats {
		observed += s.Requests
	}
	if counted != 1600 || observed != 1600 || len(stats) != 20 {
		t.Errorf("%d by code and %d by duration on %d routes, want 1600 on 20", counted, observed, len(stats))
	}
}

func TestTwoServicesInOneProcessShareNothing(t *testing.T) {
	first, second := prometheus.NewRegistry(), prometheus.NewRegistry()
	a, b := kpi.New(kpi.Options{Registerer: first}), kpi.New(kpi.Options{Registerer: second})
	a.Route("http", "/", "GET").Observe(200, 0, 0)
	b.Route("http", "/", "GET")
	if n := codes(t, first)["200"]; n != 1 {
		t.Errorf("the first service counts %v requests", n)
	}
	if n := len(codes(t, second)); n != 0 {
		t.Errorf("the second service shows %d codes of the first", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("two sets of metrics on one registry did not panic")
		}
	}()
	kpi.New(kpi.Options{Registerer: first})
}

func TestObservingAllocatesNothing(t *testing.T) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	r := m.Route("http", "/v1/games/{id}", "GET")
	observe := func() {
		r.Observe(200, 3*time.Millisecond, 2326)
		r.Observe(404, 3*time.Millisecond, 0)
		r.ObserveGRPC(0, 3*time.Millisecond, 74)
	}
	observe()
	if n := testing.AllocsPerRun(1000, observe); n != 0 {
		t.Errorf("%v allocations per three observations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { m.Route("http", "/v1/games/{id}", "GET") }); n != 0 {
		t.Errorf("%v allocations to find a route", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()}).Route("http", "/v1/games/{id}", "GET")
	answer := kpi.Answer{Code: kpi.HTTP(200), Took: 900 * time.Microsecond, Bytes: 2326, End: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		r.ObserveAnswer(answer)
	}
}

func BenchmarkRoute(b *testing.B) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	for i := range 200 {
		m.Route("http", fmt.Sprintf("/v1/games/%d", i), "GET")
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Route("http", "/v1/games/17", "GET")
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	for i := range 100 {
		m.Route("http", fmt.Sprintf("/v1/games/%d", i), "GET").Observe(200, time.Millisecond, 1)
	}
	for b.Loop() {
		m.Snapshot()
	}
}

func TestARouteIsTheSameWheneverItIsAskedFor(t *testing.T) {
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
	made := map[string]*kpi.Route{}
	for i, path := range []string{"/a", "/b", "/c", "/d", "/e"} {
		made[path] = m.Route("http", path, "GET")
		if i%2 == 0 {
			continue // the next one is made before this one is asked for again
		}
		for known, r := range made {
			for range 2 {
				if m.Route("http", known, "GET") != r {
					t.Errorf("%s is another route after %d were made", known, i+1)
				}
			}
		}
	}
	if m.Route("http", "/e", "GET") != made["/e"] || len(m.Snapshot()) != len(made) {
		t.Errorf("%d routes are shown, want %d", len(m.Snapshot()), len(made))
	}
}
