package kpi_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func ExampleRegisterQueues() {
	registry := prometheus.NewRegistry()
	kpi.RegisterQueues(registry, func() []kpi.QueueStats {
		return []kpi.QueueStats{{
			Name: "bots", Depth: 3, Capacity: 64,
			Classes: []kpi.QueueClass{{Class: "critical", Rejected: map[string]uint64{"full": 7}}},
		}}
	})
	out, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "queue_depth", "queue_rejected_total")
	if err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(out)
	// Output:
	// # HELP queue_depth Items that wait in the queue.
	// # TYPE queue_depth gauge
	// queue_depth{queue="bots"} 3
	// # HELP queue_rejected_total Items turned away, by reason and class.
	// # TYPE queue_rejected_total counter
	// queue_rejected_total{class="critical",queue="bots",reason="full"} 7
}

// everything registers all metrics there are, with a figure each.
func everything() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	m.Route("http", "/", "GET").Observe(200, time.Millisecond, 1)
	m.InFlight("http")
	kpi.RegisterFailures(registry, func() []kpi.FailureCount {
		return []kpi.FailureCount{{1, "service", 2}, {1001, "caller", 0}, {1002, "call\xffer", 1}}
	})
	kpi.RegisterQueues(registry, func() []kpi.QueueStats {
		return []kpi.QueueStats{
			{
				Name: "bots", Depth: 3, Capacity: 64, InFlight: 2, OldestAge: 1500 * time.Millisecond, NewestFirst: true, Tenants: 2, Admitted: 100,
				Service: kpi.QueueHistogram{Bounds: []time.Duration{time.Millisecond, time.Second}, Counts: []uint64{90, 4, 3}, Sum: 9 * time.Second},
				Classes: []kpi.QueueClass{
					{
						Class: "critical", Rejected: map[string]uint64{"full": 7, "draining": 0}, WouldReject: map[string]uint64{"full": 5},
						Wait: kpi.QueueHistogram{Bounds: []time.Duration{500 * time.Millisecond}, Counts: []uint64{96, 1}, Sum: 2500 * time.Millisecond},
					},
					{Class: "sheddable", Rejected: map[string]uint64{"full": 9}},
				},
			},
			{Name: "mail", Capacity: 8},
		}
	})
	kpi.RegisterAccessLog(registry, func() kpi.LogStats {
		return kpi.LogStats{Lines: 10, Dropped: 2, Bytes: 1500, Errors: 1, Failing: true, Buffered: 3}
	})
	kpi.RegisterLogFiles(registry, func() kpi.LogFileStats {
		return kpi.LogFileStats{
			Waiting: 2, WaitingBytes: 300, Lag: 90 * time.Second, Disk: 4000, Budget: 5000, Packed: 7, Uploaded: 6, Bytes: 800, Errors: 1,
			Streams: map[string]kpi.LogStreamStats{"app": {Errors: 9}, "access": {Uploaded: 10, Expired: 11, Dropped: 12}},
		}
	})
	kpi.RegisterBuild(registry, "game", "v0.1.0", "0123456789ab", "go1.26.8")
	return registry
}

func TestSourcesAreShownAsTheyAre(t *testing.T) {
	const want = `
# HELP access_log_buffered_lines Access log lines that wait to be written.
# TYPE access_log_buffered_lines gauge
access_log_buffered_lines 3
# HELP access_log_bytes_total Bytes written to the access log.
# TYPE access_log_bytes_total counter
access_log_bytes_total 1500
# HELP access_log_dropped_total Access log lines lost.
# TYPE access_log_dropped_total counter
access_log_dropped_total 2
# HELP access_log_errors_total Writes to the access log that failed.
# TYPE access_log_errors_total counter
access_log_errors_total 1
# HELP access_log_failing 1 while the access log is losing lines.
# TYPE access_log_failing gauge
access_log_failing 1
# HELP access_log_lines_total Access log lines written.
# TYPE access_log_lines_total counter
access_log_lines_total 10
# HELP build_info What this process was built from; always 1.
# TYPE build_info gauge
build_info{goversion="go1.26.8",revision="0123456789ab",service="game",version="v0.1.0"} 1
# HELP failure_total Failures answered, by failure code.
# TYPE failure_total counter
failure_total{class="call�er",code="1002"} 1
failure_total{class="caller",code="1001"} 0
failure_total{class="service",code="1"} 2
# HELP log_collect_errors_total Rounds of collecting log segments that went wrong.
# TYPE log_collect_errors_total counter
log_collect_errors_total 1
# HELP log_disk_budget_bytes Bytes that the files of logs may have.
# TYPE log_disk_budget_bytes gauge
log_disk_budget_bytes 5000
# HELP log_disk_bytes Bytes of all files of logs.
# TYPE log_disk_bytes gauge
log_disk_bytes 4000
# HELP log_lines_total Lines of log segments that were uploaded, expired after that, or dropped.
# TYPE log_lines_total counter
log_lines_total{fate="dropped",stream="access"} 12
log_lines_total{fate="dropped",stream="app"} 0
log_lines_total{fate="expired",stream="access"} 11
log_lines_total{fate="expired",stream="app"} 0
log_lines_total{fate="uploaded",stream="access"} 10
log_lines_total{fate="uploaded",stream="app"} 0
# HELP log_segment_errors_total Writes to log segments that failed.
# TYPE log_segment_errors_total counter
log_segment_errors_total{stream="access"} 0
log_segment_errors_total{stream="app"} 9
# HELP log_segments_total Log segments that were packed or uploaded.
# TYPE log_segments_total counter
log_segments_total{step="packed"} 7
log_segments_total{step="uploaded"} 6
# HELP log_segments_waiting Sealed log segments that are not yet where they are to be.
# TYPE log_segments_waiting gauge
log_segments_waiting 2
# HELP log_uploaded_bytes_total Bytes of log segments uploaded.
# TYPE log_uploaded_bytes_total counter
log_uploaded_bytes_total 800
# HELP log_upload_lag_seconds Time since the oldest waiting log segment was written to.
# TYPE log_upload_lag_seconds gauge
log_upload_lag_seconds 90
# HELP log_waiting_bytes Bytes of log segments that wait.
# TYPE log_waiting_bytes gauge
log_waiting_bytes 300
# HELP queue_admitted_total Items let into the queue.
# TYPE queue_admitted_total counter
queue_admitted_total{queue="bots"} 100
queue_admitted_total{queue="mail"} 0
# HELP queue_capacity Items that the queue can hold.
# TYPE queue_capacity gauge
queue_capacity{queue="bots"} 64
queue_capacity{queue="mail"} 8
# HELP queue_depth Items that wait in the queue.
# TYPE queue_depth gauge
queue_depth{queue="bots"} 3
queue_depth{queue="mail"} 0
# HELP queue_inflight Items being worked on.
# TYPE queue_inflight gauge
queue_inflight{queue="bots"} 2
queue_inflight{queue="mail"} 0
# HELP queue_mode Order of work: 0 the oldest first, 1 the newest first, because of overload.
# TYPE queue_mode gauge
queue_mode{queue="bots"} 1
queue_mode{queue="mail"} 0
# HELP queue_oldest_age_seconds How long the oldest item has waited.
# TYPE queue_oldest_age_seconds gauge
queue_oldest_age_seconds{queue="bots"} 1.5
queue_oldest_age_seconds{queue="mail"} 0
# HELP queue_rejected_total Items turned away, by reason and class.
# TYPE queue_rejected_total counter
queue_rejected_total{class="critical",queue="bots",reason="draining"} 0
queue_rejected_total{class="critical",queue="bots",reason="full"} 7
queue_rejected_total{class="sheddable",queue="bots",reason="full"} 9
# HELP queue_service_seconds Time that items were worked on.
# TYPE queue_service_seconds histogram
queue_service_seconds_bucket{queue="bots",le="0.001"} 90
queue_service_seconds_bucket{queue="bots",le="1"} 94
queue_service_seconds_bucket{queue="bots",le="+Inf"} 97
queue_service_seconds_sum{queue="bots"} 9
queue_service_seconds_count{queue="bots"} 97
queue_service_seconds_bucket{queue="mail",le="+Inf"} 0
queue_service_seconds_sum{queue="mail"} 0
queue_service_seconds_count{queue="mail"} 0
# HELP queue_tenants Tenants whose items wait in the queue.
# TYPE queue_tenants gauge
queue_tenants{queue="bots"} 2
queue_tenants{queue="mail"} 0
# HELP queue_wait_seconds Time that items waited before they were worked on.
# TYPE queue_wait_seconds histogram
queue_wait_seconds_bucket{class="critical",queue="bots",le="0.5"} 96
queue_wait_seconds_bucket{class="critical",queue="bots",le="+Inf"} 97
queue_wait_seconds_sum{class="critical",queue="bots"} 2.5
queue_wait_seconds_count{class="critical",queue="bots"} 97
queue_wait_seconds_bucket{class="sheddable",queue="bots",le="+Inf"} 0
queue_wait_seconds_sum{class="sheddable",queue="bots"} 0
queue_wait_seconds_count{class="sheddable",queue="bots"} 0
# HELP queue_would_reject_total Items that a dark queue let in and would have turned away, by reason and class.
# TYPE queue_would_reject_total counter
queue_would_reject_total{class="critical",queue="bots",reason="full"} 5
`
	var names []string
	for line := range strings.Lines(want) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if err := testutil.GatherAndCompare(everything(), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestNamesFollowPrometheusConventions(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAnAccessLogThatIsWellShowsZero(t *testing.T) {
	registry := prometheus.NewRegistry()
	kpi.RegisterAccessLog(registry, func() kpi.LogStats { return kpi.LogStats{Lines: 1} })
	if m := family(t, registry, "access_log_failing"); len(m) != 1 || m[0].GetGauge().GetValue() != 0 {
		t.Errorf("access_log_failing is %v, want 0", m)
	}
}

func TestRegisteringTwiceIsFoundAtOnce(t *testing.T) {
	for name, register := range map[string]func(prometheus.Registerer){
		"failures":   func(r prometheus.Registerer) { kpi.RegisterFailures(r, nil) },
		"queues":     func(r prometheus.Registerer) { kpi.RegisterQueues(r, nil) },
		"access log": func(r prometheus.Registerer) { kpi.RegisterAccessLog(r, nil) },
		"build":      func(r prometheus.Registerer) { kpi.RegisterBuild(r, "game", "", "", "") },
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewRegistry()
			register(registry)
			defer func() {
				if recover() == nil {
					t.Error("the second registration did not panic")
				}
			}()
			register(registry)
		})
	}
}

func TestRuntimeShowsGoAndProcess(t *testing.T) {
	registry := prometheus.NewRegistry()
	kpi.RegisterRuntime(registry)
	want := []string{"go_goroutines", "go_memstats_heap_alloc_bytes"}
	if runtime.GOOS == "linux" {
		want = append(want, "process_open_fds", "process_resident_memory_bytes", "process_cpu_seconds_total")
	}
	for _, name := range want {
		if m := family(t, registry, name); len(m) != 1 {
			t.Errorf("%s is missing", name)
		}
	}
}

// scrape asks a handler for its metrics.
func scrape(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w
}

func TestHandlerServesWhatCanBeCollectedAndReportsTheRest(t *testing.T) {
	errBroken := errors.New("sensor broken")
	registry := everything()
	desc := prometheus.NewDesc("broken", "Never collected.", nil, nil)
	registry.MustRegister(prometheus.CollectorFunc(func(ch chan<- prometheus.Metric) {
		ch <- prometheus.NewInvalidMetric(desc, errBroken)
	}))
	var reported []error
	for _, report := range []func(error){nil, func(err error) { reported = append(reported, err) }} {
		w := scrape(kpi.Handler(registry, report))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `requests_total{code="200"`) {
			t.Errorf("status %d, body %.200s", w.Code, w.Body)
		}
	}
	if len(reported) != 1 || !strings.HasPrefix(reported[0].Error(), "serve metrics: ") || !strings.Contains(reported[0].Error(), errBroken.Error()) {
		t.Errorf("reported %v", reported)
	}
}

func TestHandlerBoundsConcurrentScrapes(t *testing.T) {
	registry := prometheus.NewRegistry()
	entered, release := make(chan struct{}), make(chan struct{})
	registry.MustRegister(blocking{entered, release})
	h := kpi.Handler(registry, nil)
	done := make(chan int)
	for range 8 {
		go func() { done <- scrape(h).Code }()
		<-entered
	}
	if w := scrape(h); w.Code != http.StatusServiceUnavailable {
		t.Errorf("the ninth scrape at once got %d, want 503", w.Code)
	}
	close(release)
	for range 8 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("a scrape within the bound got %d", code)
		}
	}
}

// blocking is a collector that says when it is asked and then waits.
type blocking struct{ entered, release chan struct{} }

func (blocking) Describe(ch chan<- *prometheus.Desc) {
	ch <- prometheus.NewDesc("blocking", "Nothing.", nil, nil)
}

func (b blocking) Collect(chan<- prometheus.Metric) {
	b.entered <- struct{}{}
	<-b.release
}
