package chassis

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

//go:embed status.html
var statusPage string

// status is what the status page shows.
type status struct {
	Service   string           `json:"service"`
	State     string           `json:"state"`
	Version   string           `json:"version"`
	Go        string           `json:"go"`
	Started   time.Time        `json:"started"`
	Uptime    string           `json:"uptime"`
	Routines  int              `json:"goroutines"`
	Memory    uint64           `json:"heap_bytes"`
	Checks    []result         `json:"checks"`
	Listeners []statusListener `json:"listeners"`
	Routes    []statusRoute    `json:"routes"`
	Queues    []statusQueue    `json:"queues"`
	Failures  []statusFailure  `json:"failures"`
	Config    []statusConfig   `json:"config"`
	Processes *statusProcesses `json:"processes,omitempty"` // nil without a supervisor
}

// statusProcesses is what the supervisor knows, or why it does not say.
type statusProcesses struct {
	Answering int            `json:"answering"` // the worker that answers this
	Known     *reload.Status `json:"known,omitempty"`
	Error     string         `json:"error,omitempty"`
}

type statusListener struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Addr     string `json:"addr"`
	Routes   int    `json:"routes"`
}

type statusRoute struct {
	Listener string  `json:"listener"`
	Method   string  `json:"method"`
	Route    string  `json:"route"`
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`
	Mean     float64 `json:"mean_seconds"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
}

type statusQueue struct {
	Name      string            `json:"name"`
	Workers   int               `json:"workers"`
	Depth     int               `json:"depth"`
	Capacity  int               `json:"capacity"`
	InFlight  int               `json:"in_flight"`
	OldestAge float64           `json:"oldest_age_seconds"`
	Admitted  uint64            `json:"admitted"`
	Rejected  map[string]uint64 `json:"rejected"`
}

type statusFailure struct {
	Set     string `json:"set"`
	Code    int    `json:"code"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Count   uint64 `json:"count"`
}

type statusConfig struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Quiet is the number of routes that nobody has asked yet; the page leaves them out.
func (s status) Quiet() int {
	n := 0
	for _, r := range s.Routes {
		if r.Requests == 0 {
			n++
		}
	}
	return n
}

// status collects what the page shows.
func (s *Service) status(r *http.Request) status {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	st := status{
		Service: s.name, State: s.State().String(), Version: Version(), Go: goVersion(),
		Started: s.started, Uptime: time.Since(s.started).Round(time.Second).String(),
		Routines: runtime.NumGoroutine(), Memory: mem.HeapAlloc,
		Checks: s.checkReady(r.Context()), Listeners: []statusListener{}, Routes: []statusRoute{},
		Queues: []statusQueue{}, Failures: []statusFailure{}, Config: []statusConfig{},
	}
	st.Processes = s.processes(r.Context())
	s.mu.Lock()
	listeners, queues := s.listeners, s.queues
	s.mu.Unlock()
	for _, l := range listeners {
		sl := statusListener{Name: l.name, Protocol: l.protocol, Addr: l.Listener.Addr().String()}
		if l.routes != nil {
			sl.Routes = len(l.routes())
		}
		st.Listeners = append(st.Listeners, sl)
	}
	for _, m := range s.metrics.Snapshot() {
		st.Routes = append(st.Routes, statusRoute{
			m.Listener, m.Method, m.Route, m.Requests, m.Errors(), m.Mean.Seconds(), m.P50.Seconds(), m.P99.Seconds(),
		})
	}
	for _, q := range queues {
		qs := q.Stats()
		st.Queues = append(st.Queues, statusQueue{
			qs.Name, qs.Workers, qs.Depth, qs.Capacity, qs.InFlight, qs.OldestAge.Seconds(), qs.Admitted, qs.Rejected,
		})
	}
	for _, c := range s.failures.Counts() {
		if c.N > 0 {
			st.Failures = append(st.Failures, statusFailure{c.Code.Set(), c.Code.Number(), c.Code.Class().String(), c.Code.Message(), c.N})
		}
	}
	for _, f := range s.config.Fields() {
		st.Config = append(st.Config, statusConfig{f.Key, f.Value, f.Source.String()})
	}
	return st
}

// processes asks the supervisor what it knows.
func (s *Service) processes(ctx context.Context) *statusProcesses {
	if s.world.host == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	known, err := s.world.host.Status(ctx)
	p := &statusProcesses{Answering: s.world.host.Worker(), Known: known}
	if err != nil {
		p.Error = err.Error()
	}
	return p
}

var statusTemplate = template.Must(template.New("status").Funcs(template.FuncMap{
	"ms":   func(seconds float64) string { return fmt.Sprintf("%.2f ms", seconds*1000) },
	"mib":  func(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) },
	"when": func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"frac": func(a, b int) int { return 100 * a / b }, // a queue's capacity is 1 or more
}).Parse(statusPage))

// serveStatus answers a page for people, or JSON to those who ask for it.
func (s *Service) serveStatus(w http.ResponseWriter, r *http.Request) {
	st := s.status(r)
	w.Header().Set("Cache-Control", "no-store")
	var err error
	if strings.Contains(r.Header.Get("Accept"), "application/json") || r.URL.Query().Get("format") == "json" {
		w.Header().Set("Content-Type", "application/json")
		err = json.NewEncoder(w).Encode(st)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		err = statusTemplate.Execute(w, st)
	}
	if err != nil {
		s.log.Debug("the status page was not sent whole", zap.Error(err))
	}
}
