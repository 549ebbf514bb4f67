package chassis

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

//go:embed status.html
var statusPage string

// status is what the status page shows.
type status struct {
	Service    string           `json:"service"`
	State      string           `json:"state"`
	Version    string           `json:"version"`
	Revision   string           `json:"revision,omitempty"`
	Go         string           `json:"go"`
	Started    time.Time        `json:"started"`
	Now        time.Time        `json:"now"`
	Uptime     string           `json:"uptime"`
	Routines   int              `json:"goroutines"`
	Memory     uint64           `json:"heap_bytes"`
	Collected  uint32           `json:"gc_cycles"`
	Last       statusRate       `json:"last_minute"`
	History    []statusSample   `json:"history"`
	Checks     []result         `json:"checks"`
	Listeners  []statusListener `json:"listeners"`
	Routes     []statusRoute    `json:"routes"`
	Slowest    []statusSlow     `json:"slowest"`
	Queues     []statusQueue    `json:"queues"`
	Failures   []statusFailure  `json:"failures"`
	KPIs       []statusKPI      `json:"kpis"`
	Log        *statusLog       `json:"access_log,omitempty"` // nil when there is none
	Tables     []StatusTable    `json:"tables,omitempty"`
	Config     []statusConfig   `json:"config"`
	Processes  *statusProcesses `json:"processes,omitempty"` // nil without a supervisor
	Recording  bool             `json:"flight_recorder"`
	Charts     []chart          `json:"-"`
	Refreshing bool             `json:"-"`
}

// statusProcesses is what the supervisor knows, or why it does not say.
type statusProcesses struct {
	Answering int            `json:"answering"` // the worker that answers this
	Known     *reload.Status `json:"known,omitempty"`
	Error     string         `json:"error,omitempty"`
}

// statusRate is what was answered in the last minute.
type statusRate struct {
	Requests float64 `json:"requests_per_second"`
	Errors   float64 `json:"error_ratio"` // by the service or a dependency
	P99      float64 `json:"p99_seconds"` // the highest of the samples
}

type statusSample struct {
	End        time.Time `json:"end"`
	Span       float64   `json:"span_seconds"`
	Requests   uint64    `json:"requests"`
	Caller     uint64    `json:"caller_errors"`
	Service    uint64    `json:"service_errors"`
	Dependency uint64    `json:"dependency_errors"`
	P50        float64   `json:"p50_seconds"`
	P99        float64   `json:"p99_seconds"`
}

type statusListener struct {
	Name     string            `json:"name"`
	Protocol string            `json:"protocol"`
	Addr     string            `json:"addr"`
	Routes   int               `json:"routes"`
	InFlight int               `json:"in_flight"`
	Conns    *kpi.ConnStats    `json:"connections,omitempty"` // nil when nobody counts them
	Refused  map[string]uint64 `json:"refused"`               // connections and requests, by reason
}

type statusRoute struct {
	Listener string  `json:"listener"`
	Method   string  `json:"method"`
	Route    string  `json:"route"`
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"` // by the service or a dependency
	Caller   uint64  `json:"caller_errors"`
	Mean     float64 `json:"mean_seconds"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
}

type statusSlow struct {
	ID       string    `json:"id"`
	Listener string    `json:"listener"`
	Method   string    `json:"method"`
	Route    string    `json:"route"`
	Code     string    `json:"code"`
	Took     float64   `json:"seconds"`
	End      time.Time `json:"end"`
}

type statusQueue struct {
	Name      string            `json:"name"`
	Workers   int               `json:"workers"`
	Depth     int               `json:"depth"`
	Capacity  int               `json:"capacity"`
	InFlight  int               `json:"in_flight"`
	OldestAge float64           `json:"oldest_age_seconds"`
	Newest    bool              `json:"newest_first"` // as in queue.Stats
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

type statusKPI struct {
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	Help      string         `json:"help"`
	Objective *kpi.Objective `json:"objective,omitempty"`
	Values    []statusValue  `json:"values"`
}

// statusValue is one figure of a KPI: a histogram's is its mean, of Count observations.
type statusValue struct {
	Labels []string `json:"labels,omitempty"`
	Value  float64  `json:"value"`
	Count  uint64   `json:"count,omitempty"`
}

// Only is the figure of a KPI without labels, nil of others.
func (k statusKPI) Only() *statusValue {
	if len(k.Values) == 1 && len(k.Values[0].Labels) == 0 {
		return &k.Values[0]
	}
	return nil
}

// Parts are the figures of a KPI with labels: the largest ten.
func (k statusKPI) Parts() []statusValue {
	if k.Only() != nil {
		return nil
	}
	parts := slices.Clone(k.Values)
	slices.SortStableFunc(parts, func(a, b statusValue) int { return cmp.Compare(b.Value, a.Value) })
	return parts[:min(len(parts), 10)]
}

type statusLog struct {
	Path     string `json:"path"`
	Lines    uint64 `json:"lines"`
	Dropped  uint64 `json:"dropped"`
	Buffered uint64 `json:"buffered"`
	Bytes    uint64 `json:"bytes"`
	Errors   uint64 `json:"errors"`
	Failing  bool   `json:"failing"`
}

type statusConfig struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// StatusTable is a section of the status page that a package contributes; one without rows is not
// shown. Everything in it is shown as text.
type StatusTable struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// ShowStatus has the status page show what f returns. f is called each time somebody looks, by
// several goroutines at once; it must not block.
func (s *Service) ShowStatus(f func() StatusTable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = append(s.tables, f)
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

// Busiest are the routes that were asked, the most asked first.
func (s status) Busiest() []statusRoute {
	routes := slices.DeleteFunc(slices.Clone(s.Routes), func(r statusRoute) bool { return r.Requests == 0 })
	slices.SortStableFunc(routes, func(a, b statusRoute) int { return cmp.Compare(b.Requests, a.Requests) })
	return routes
}

// status collects what the page shows.
func (s *Service) status(r *http.Request) status {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	now := s.world.Clock.Now()
	samples := s.metrics.History().Samples()
	st := status{
		Service: s.name, State: s.State().String(), Version: Version(), Revision: revision(), Go: goVersion(),
		Started: s.started, Now: now, Uptime: time.Since(s.started).Round(time.Second).String(),
		Routines: runtime.NumGoroutine(), Memory: mem.HeapAlloc, Collected: mem.NumGC,
		Checks: s.checkReady(r.Context()), Last: lastMinute(samples, now), History: []statusSample{},
		Listeners: []statusListener{}, Routes: []statusRoute{}, Slowest: []statusSlow{},
		Queues: []statusQueue{}, Failures: []statusFailure{}, KPIs: []statusKPI{}, Config: []statusConfig{},
		Charts: charts(samples, s.started, now), Recording: s.flight.running(),
	}
	for _, x := range samples {
		st.History = append(st.History, statusSample{
			x.End, x.End.Sub(x.Begin).Seconds(), x.Requests, x.Caller, x.Service, x.Dependency, x.P50.Seconds(), x.P99.Seconds(),
		})
	}
	st.Processes = s.processes(r.Context())
	s.mu.Lock()
	listeners, queues, tables := s.listeners, s.queues, s.tables
	s.mu.Unlock()
	st.Listeners = append(st.Listeners, statusListeners(listeners, s.metrics.Listeners())...)
	for _, m := range s.metrics.Snapshot() {
		st.Routes = append(st.Routes, statusRoute{
			m.Listener, m.Method, m.Route, m.Requests, m.Errors(), m.Caller, m.Mean.Seconds(), m.P50.Seconds(), m.P99.Seconds(),
		})
	}
	for _, x := range s.metrics.Slowest().List() {
		st.Slowest = append(st.Slowest, statusSlow{x.ID, x.Listener, x.Method, x.Route, x.Code, x.Took.Seconds(), x.End})
	}
	for _, q := range queues {
		qs := q.Stats()
		st.Queues = append(st.Queues, statusQueue{
			qs.Name, qs.Workers, qs.Depth, qs.Capacity, qs.InFlight, qs.OldestAge.Seconds(), qs.NewestFirst, qs.Admitted, qs.Rejected,
		})
	}
	for _, c := range s.failures.Counts() {
		if c.N > 0 {
			st.Failures = append(st.Failures, statusFailure{c.Code.Set(), c.Code.Number(), c.Code.Class().String(), c.Code.Message(), c.N})
		}
	}
	slices.SortStableFunc(st.Failures, func(a, b statusFailure) int { return cmp.Compare(b.Count, a.Count) })
	for _, m := range s.KPI().Measures() {
		k := statusKPI{m.Name, m.Type, m.Help, m.Objective, []statusValue{}}
		for _, v := range m.Values {
			if m.Type == "histogram" && v.Count == 0 {
				v.Value = 0 // JSON has no NaN
			}
			k.Values = append(k.Values, statusValue(v))
		}
		st.KPIs = append(st.KPIs, k)
	}
	if l, ok := s.logStats(); ok {
		st.Log = &statusLog{s.settings.AccessLog.Path, l.Lines, l.Dropped, l.Buffered, l.Bytes, l.Errors, l.Failing}
	}
	for _, f := range tables {
		if t := f(); len(t.Rows) > 0 {
			st.Tables = append(st.Tables, t)
		}
	}
	for _, f := range s.config.Fields() {
		st.Config = append(st.Config, statusConfig{f.Key, f.Value, f.Source.String()})
	}
	return st
}

// statusListeners joins what is known of listeners with what was counted on them.
func statusListeners(listeners []*listener, counted []kpi.ListenerStats) []statusListener {
	var out []statusListener
	for _, l := range listeners {
		sl := statusListener{Name: l.name, Protocol: l.protocol, Addr: l.Listener.Addr().String(), Refused: map[string]uint64{}}
		if l.routes != nil {
			sl.Routes = len(l.routes())
		}
		if i := slices.IndexFunc(counted, func(c kpi.ListenerStats) bool { return c.Name == l.name }); i >= 0 {
			c := counted[i]
			sl.InFlight = c.InFlight
			if c.Counted {
				sl.Conns = &c.Conns
			}
			maps.Copy(sl.Refused, c.RefusedConns)
			for reason, n := range c.RefusedRequests {
				sl.Refused[reason] += n
			}
		}
		out = append(out, sl)
	}
	return out
}

// lastMinute sums up the newest samples.
func lastMinute(samples []kpi.Sample, now time.Time) statusRate {
	var rate statusRate
	var requests, errors float64
	begin := now
	for _, s := range samples {
		if now.Sub(s.End) >= time.Minute {
			continue
		}
		if s.Begin.Before(begin) {
			begin = s.Begin
		}
		requests += float64(s.Requests)
		errors += float64(s.Service + s.Dependency)
		rate.P99 = max(rate.P99, s.P99.Seconds())
	}
	if requests > 0 {
		rate.Requests, rate.Errors = requests/max(now.Sub(begin).Seconds(), 1), errors/requests
	}
	return rate
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

var statusTemplate = template.Must(template.New("status").Funcs(statusFuncs).Parse(statusPage))

// statusFuncs are what the pages for people write figures with.
var statusFuncs = template.FuncMap{
	"took":    inSeconds,
	"rate":    perSecond,
	"num":     short,
	"count":   func(n uint64) string { return short(float64(n)) },
	"percent": func(ratio float64) string { return digits(100*ratio) + " %" },
	"bytes":   bytesInWords,
	"when":    func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
	"clock":   func(t time.Time) string { return t.Format("15:04:05") },
	"frac":    func(a, b int) int { return 100 * a / b }, // a queue's capacity is 1 or more
	"join":    func(s []string) string { return strings.Join(s, ", ") },
	"by":      byCount,
}

// byCount lists counts by reason, those of zero left out: "full 7, expired 1".
func byCount(counts map[string]uint64) string {
	reasons := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	var out []string
	for _, r := range reasons {
		if counts[r] > 0 {
			out = append(out, r+" "+short(float64(counts[r])))
		}
	}
	return cmp.Or(strings.Join(out, ", "), "–")
}

func bytesInWords(n uint64) string {
	v, unit := float64(n), 0
	for v >= 1024 && unit < 4 {
		v /= 1024
		unit++
	}
	return digits(v) + [...]string{" B", " KiB", " MiB", " GiB", " TiB"}[unit]
}

// serveStatus answers a page for people, or JSON to those who ask for it. The page loads itself
// anew every five seconds, unless refresh=off is asked for.
func (s *Service) serveStatus(w http.ResponseWriter, r *http.Request) {
	st := s.status(r)
	st.Refreshing = r.URL.Query().Get("refresh") != "off"
	w.Header().Set("Cache-Control", "no-store")
	var err error
	if wantsJSON(r) {
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
