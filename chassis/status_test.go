package chassis_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// lived is a service of which the status page has much to tell.
func lived(t *testing.T, o options) *host {
	h := start(t, o, func(_ context.Context, s *chassis.Service, c conf) error {
		s.Queue("bots", queue.Limits{Workers: 2, Capacity: 8})
		s.KPI().Counter("games_ended", "Games that ended, by how.", "ending").With("draw").Add(3)
		s.KPI().Histogram("think_seconds", "Time to think.").Objective(kpi.Objective{Value: 2})
		s.KPI().Gauge("players", "People who play.").Set(1234567)
		s.ShowStatus(func() chassis.StatusTable {
			return chassis.StatusTable{Title: "Who may call", Columns: []string{"prefix"}, Rows: [][]string{{"<10.0.0.0/8>"}}}
		})
		s.ShowStatus(func() chassis.StatusTable { return chassis.StatusTable{Title: "Nothing to see"} })
		s.Metrics().Listener("http").RefuseConn(kpi.BadHandshake)
		s.Metrics().Listener("http").RefuseRequest(kpi.HeaderTooLarge)
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{
			"GET /{$}": say("hi"), "GET /quiet": say("hi"),
			"GET /slow": func(http.ResponseWriter, *http.Request) error {
				time.Sleep(time.Second)
				return nil
			},
			"GET /broken": fails(errStore.New()),
		}))
	})
	return h
}

func TestTheStatusPageDrawsTheLastMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lived(t, options{pipes: true})
		for range 10 {
			for range 20 {
				h.get("/")
			}
			h.get("/nonesuch")
			h.get("/broken")
			h.get("/slow")
			time.Sleep(5 * time.Second)
		}
		body := h.admin("/status").body
		for _, want := range []string{
			"<svg ", `class="area" d="M`, "Requests per second", "5/s", "−5 min",
			"Errors per second", "Latency", "1 s",
			`<code>GET /slow</code><small><code>0`, "1 that nobody has asked", "tls_handshake 1", "header_too_large 1",
			"0 of 8", "<span class=\"dim\">draw</span> 3", "Objective: p99 at most 2 over 5m0s.", "1.23 M",
			"Who may call", "&lt;10.0.0.0/8&gt;", `content="5"`, `href="?refresh=off"`, "1 idle",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is missing", want)
			}
		}
		for _, not := range []string{"Nothing to see", "NaN", "Inf", "<10.0.0.0"} {
			if strings.Contains(body, not) {
				t.Errorf("%s is shown", not)
			}
		}
		if paused := h.admin("/status?refresh=off").body; strings.Contains(paused, "http-equiv") || !strings.Contains(paused, `href="?"`) {
			t.Error("the page that was to stay loads itself anew")
		}
		type page struct {
			LastMinute struct {
				Requests float64 `json:"requests_per_second"`
				Errors   float64 `json:"error_ratio"`
				P99      float64 `json:"p99_seconds"`
			} `json:"last_minute"`
			History []struct {
				Requests   uint64
				Caller     uint64  `json:"caller_errors"`
				Dependency uint64  `json:"dependency_errors"`
				Span       float64 `json:"span_seconds"`
			}
			Slowest []struct {
				ID, Route, Code string
				Seconds         float64
			}
			KPIs []struct {
				Name      string
				Objective *kpi.Objective
				Values    []struct{ Value float64 }
			}
			Listeners []struct {
				Connections kpi.ConnStats
				Refused     map[string]uint64
			}
			Log any `json:"access_log"`
		}
		p := parse[page](t, h.admin("/status?format=json").body)
		var requests, caller, dependency uint64
		var span float64
		for _, s := range p.History {
			requests, caller, dependency, span = requests+s.Requests, caller+s.Caller, dependency+s.Dependency, span+s.Span
		}
		if requests != 230 || caller != 10 || dependency != 10 || span < 50 || span > 61 {
			t.Errorf("history: %d requests, %d and %d errors in %v s", requests, caller, dependency, span)
		}
		if l := p.LastMinute; math.Abs(l.Requests-230.0/60) > 0.1 || math.Abs(l.Errors-10.0/230) > 1e-9 || l.P99 < 0.9 {
			t.Errorf("last minute: %+v", l)
		}
		if len(p.Slowest) != 10 || p.Slowest[0].Seconds != 1 || p.Slowest[0].Route != "GET /slow" || p.Slowest[0].Code != "200" || len(p.Slowest[0].ID) != 36 {
			t.Errorf("slowest: %+v", p.Slowest)
		}
		if len(p.KPIs) != 3 || p.KPIs[0].Values[0].Value != 3 || p.KPIs[2].Objective.Value != 2 || p.KPIs[2].Values[0].Value != 0 {
			t.Errorf("KPIs: %+v", p.KPIs)
		}
		if l := p.Listeners[0]; l.Connections.Total() != 1 || l.Refused["tls_handshake"] != 1 || l.Refused["header_too_large"] != 1 {
			t.Errorf("listeners: %+v", p.Listeners)
		}
		// The history rests, and is forgotten after ten minutes.
		time.Sleep(11 * time.Minute)
		if p := parse[page](t, h.admin("/status?format=json").body); len(p.History) != 0 || len(p.Slowest) != 0 || p.LastMinute.Requests != 0 {
			t.Errorf("after eleven minutes: %+v", p)
		}
		h.stop()
	})
}

func TestTheStatusPageIsMadeInAFewMilliseconds(t *testing.T) {
	h := lived(t, options{})
	for range 100 {
		h.get("/")
	}
	limit := 10 * time.Millisecond
	if raceEnabled {
		limit *= 10 // what its instrumentation costs, generously
	}
	timed := func(path string) time.Duration {
		begin := time.Now()
		h.admin(path)
		return time.Since(begin)
	}
	best, alive := time.Hour, time.Hour
	for range 50 {
		best, alive = min(best, timed("/status")), min(alive, timed("/livez"))
		if best < limit {
			return
		}
	}
	if limit = max(limit, 60*alive); best > limit { // on a slow machine the smallest page tells how slow
		t.Errorf("the fastest of fifty took %v, want less than %v", best, limit)
	}
}

func TestErrorsAreCountedByWhoseFaultTheyAre(t *testing.T) {
	h := lived(t, options{})
	h.get("/broken")
	h.get("/nonesuch")
	h.wantMetric(1, "request_errors_total", "route", "GET /broken", "class", "dependency")
	h.wantMetric(0, "request_errors_total", "route", "GET /broken", "class", "service")
	h.wantMetric(1, "request_errors_total", "route", kpi.Unmatched, "class", "caller")
}

func TestASampledTraceBecomesAnExemplar(t *testing.T) {
	h := lived(t, options{})
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	exemplars := func() string {
		return h.admin("/metrics", "Accept", "application/openmetrics-text;version=1.0.0").body
	}
	h.get("/", "Traceparent", "00-"+id+"-00f067aa0ba902b7-00")
	if strings.Contains(exemplars(), id) {
		t.Error("a trace that nobody keeps is an exemplar")
	}
	h.get("/", "Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	if want := fmt.Sprintf("# {trace_id=%q}", id); !strings.Contains(exemplars(), want) {
		t.Errorf("%s is missing", want)
	}
}

func TestNumbersAreShownInFewDigits(t *testing.T) {
	for got, want := range map[string]string{
		chassis.Short(0): "0", chassis.Short(0.1234): "0.12", chassis.Short(12.345): "12.3", chassis.Short(123.4): "123", chassis.Short(9999): "9999",
		chassis.Short(12345): "12.3 k", chassis.Short(2_500_000): "2.50 M", chassis.Short(3e9): "3 G", chassis.Short(-0.5): "-0.50",
		chassis.InSeconds(0): "0", chassis.InSeconds(0.0000123): "12.3 µs", chassis.InSeconds(0.5): "500 ms", chassis.InSeconds(2.5): "2.50 s", chassis.InSeconds(7200): "2h0m0s",
		chassis.BytesInWords(512): "512 B", chassis.BytesInWords(1 << 20): "1 MiB", chassis.BytesInWords(1 << 60): "1048576 TiB",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for v, want := range map[float64]float64{0: 1, 1: 1, 1.5: 2, 3: 5, 7: 10, 10: 10, 11: 20, 720: 1000} {
		if got := chassis.RoundUp(v); got != want {
			t.Errorf("above %v: %v, want %v", v, got, want)
		}
	}
}

func TestTheFlightRecorderRunsOnlyWhenAsked(t *testing.T) {
	h := lived(t, options{})
	ask := func(method string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, h.url("admin", "/debug/flightrecorder"), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := h.do(req)
		return a.StatusCode, a.body
	}
	recording := func() bool {
		var p struct {
			Recording bool `json:"flight_recorder"`
		}
		if err := json.Unmarshal([]byte(h.admin("/status?format=json").body), &p); err != nil {
			t.Fatal(err)
		}
		return p.Recording
	}
	if code, body := ask("GET"); code != http.StatusConflict || !strings.Contains(body, "start it with POST, or for good with admin.flight_recorder") || recording() {
		t.Errorf("before it was asked for: %d %q", code, body)
	}
	for range 2 {
		if code, body := ask("POST"); code != http.StatusNoContent || !recording() {
			t.Fatalf("start: %d %q", code, body)
		}
	}
	h.get("/")
	if code, body := ask("GET"); code != http.StatusOK || !strings.HasPrefix(body, "go 1.") {
		t.Errorf("dump: %d, %d bytes", code, len(body))
	}
	other := lived(t, options{settings: func(s *chassis.Settings) { s.Admin.FlightRecorder = true }})
	if len(other.logged("nothing is recorded")) != 1 {
		t.Error("a second recorder in a process started")
	}
	h.wantStatus(other, "POST", http.StatusConflict)
	for range 2 {
		if code, _ := ask("DELETE"); code != http.StatusNoContent || recording() {
			t.Errorf("stop: %d", code)
		}
	}
	h.wantStatus(other, "POST", http.StatusNoContent)
	other.stop() // which ends the recording
	if code, body := ask("POST"); code != http.StatusNoContent {
		t.Errorf("after another service has ended: %d %q", code, body)
	}
}

// wantStatus asks the flight recorder of another service.
func (h *host) wantStatus(other *host, method string, want int) {
	h.tb.Helper()
	req, err := http.NewRequest(method, other.url("admin", "/debug/flightrecorder"), nil)
	if err != nil {
		h.tb.Fatal(err)
	}
	if a := other.do(req); a.StatusCode != want {
		h.tb.Errorf("%s: %d %q, want %d", method, a.StatusCode, a.body, want)
	}
}
