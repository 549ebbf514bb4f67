package chassis

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
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
	Routes    []kpi.RouteStats `json:"routes"`
	Queues    []queue.Stats    `json:"queues"`
	Failures  []statusFailure  `json:"failures"`
	Config    []statusConfig   `json:"config"`
}

type statusListener struct {
	Name, Protocol, Addr string
	Routes               int
}

type statusFailure struct {
	Set     string `json:"set"`
	Code    int    `json:"code"`
	Class   string `json:"class"`
	Message string `json:"message"`
	Count   uint64 `json:"count"`
}

type statusConfig struct{ Key, Value, Source string }

// status collects what the page shows.
func (s *Service) status(r *http.Request) status {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	st := status{
		Service: s.name, State: s.State().String(), Version: Version(), Go: goVersion(),
		Started: s.started, Uptime: time.Since(s.started).Round(time.Second).String(),
		Routines: runtime.NumGoroutine(), Memory: mem.HeapAlloc,
		Checks: s.checkReady(r.Context()), Routes: s.metrics.Snapshot(),
	}
	s.mu.Lock()
	for _, l := range s.listeners {
		sl := statusListener{Name: l.name, Protocol: l.protocol, Addr: l.Listener.Addr().String()}
		if l.routes != nil {
			sl.Routes = len(l.routes())
		}
		st.Listeners = append(st.Listeners, sl)
	}
	for _, q := range s.queues {
		st.Queues = append(st.Queues, q.Stats())
	}
	s.mu.Unlock()
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

var statusFuncs = template.FuncMap{
	"ms":   func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) },
	"mib":  func(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) },
	"when": func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"frac": func(a, b int) int {
		if b == 0 {
			return 0
		}
		return 100 * a / b
	},
}

// serveStatus answers a page for people, or JSON to those who ask for it.
func (s *Service) serveStatus(w http.ResponseWriter, r *http.Request) {
	st := s.status(r)
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "application/json") || r.URL.Query().Get("format") == "json" {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(st)
		return
	}
	page, err := template.New("status").Funcs(statusFuncs).Parse(statusPage)
	if err == nil {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		err = page.Execute(w, st)
	}
	if err != nil {
		s.log.Error("status page", zap.Error(err))
	}
}
