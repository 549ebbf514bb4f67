// Package kpi is what a service measures of itself: the rate, errors and duration of every
// route, the state of its queues, its failures, its access log and its runtime, in the form
// Prometheus scrapes.
//
// A service makes one [Metrics] on a registry of its own, resolves a [Route] for each thing it
// serves and tells it of every finished request:
//
//	requests_total{listener,route,method,code}         a counter; code is an HTTP status or the name of a gRPC code
//	request_errors_total{listener,route,method,class}  a counter; class says whose fault: caller, service or dependency
//	request_duration_seconds{listener,route,method}    a histogram, classic from 0.5 ms to 10 s and native
//	requests_in_flight{listener}                       a gauge
//	response_bytes_total{listener,route}               a counter of body bytes
//
// HTTP and gRPC are counted alike. A gRPC call has the method POST and its full method, such
// as /game.v1.GameService/Drop, as its route, so one dashboard shows both. What never became a
// request of a route, its [Listener] counts: connections and refusals. What a service is about,
// it declares as KPIs of its own, a line each: see [Set].
//
// Every label is bounded, because each combination of values is a time series that somebody
// keeps for months. The route is the pattern that matched and never the path; requests that
// match none share [Unmatched]. Listeners and routes beyond a limit, methods that no RFC
// defines and codes that do not exist become [Other]. Above all that, a budget bounds the series
// that a service makes altogether (Options.MaxSeries): when it is spent, new labels become
// [Other] too, and kpi_series_overflow_total says how often.
//
// What other parts of a service count, they keep themselves; [RegisterFailures],
// [RegisterQueues] and [RegisterAccessLog] read their figures at each scrape. Those functions
// and [New] panic when the registry refuses a metric, which happens only if a name is
// registered twice: a mistake in the program, found when it starts.
//
// While a service reloads, its old and its new process both count, and a scrape reaches one of
// them. A [Merger] makes one set of metrics of the [Snapshot] of each, and of what processes that
// have ended left behind: counters are added up and never fall, gauges are merged by a [Rule].
package kpi

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

const (
	// Unmatched is the route of requests that matched no pattern.
	Unmatched = "(unmatched)"
	// Other stands for every label value beyond the bounds.
	Other = "(other)"
)

// maxListeners bounds a label that a program sets, not its callers: a service that opens more
// has named listeners after something that varies.
const maxListeners = 64

// Options say where and how a [Metrics] counts.
type Options struct {
	// Registerer is where the metrics are registered, the service's own registry; it must
	// not be nil.
	Registerer prometheus.Registerer
	// Namespace is put before the names of all metrics that [New] makes, with an underscore.
	// Empty, the default, lets one dashboard serve all services, which the scraper tells apart.
	Namespace string
	// MaxRoutes is how many pairs of listener and route are told apart, 500 by default.
	// Pairs beyond share the route [Other] of their listener.
	MaxRoutes int
	// MaxSeries is how many time series all routes, listeners and KPIs of the service may make,
	// [DefaultMaxSeries] by default, and no fewer than what the labels [Other] need: some 50. A
	// route takes 22 and one more for each code.
	MaxSeries int
	// Clock dates exemplars and the creation of series; the machine's by default.
	Clock clock.Clock
}

// Metrics are the figures of all requests of one service. Make one with [New]. It is safe for
// concurrent use.
type Metrics struct {
	requests *prometheus.CounterVec
	errors   *prometheus.CounterVec
	duration *prometheus.Desc
	inFlight *prometheus.GaugeVec
	bytes    *prometheus.CounterVec

	refusedConns, refusedRequests *prometheus.CounterVec

	clock   clock.Clock
	budget  *budget
	set     *Set
	slowest *Slowest
	history *History

	// routes is replaced, never changed, so that looking a route up takes no lock. It has what known had
	// when a route was last asked for again: a service makes all of its routes at start-up, and to copy
	// those before it for each took a tenth of that.
	routes atomic.Pointer[map[routeKey]*Route]

	mu sync.Mutex // held while a route or listener is added
	// known are all routes. Keys that share a route because of a bound are in it too, while there are not
	// too many.
	known     map[routeKey]*Route
	listeners map[string]*Listener
	named     int // listeners without Other
	pairs     map[pair]struct{}
	maxPairs  int
}

type routeKey struct{ listener, route, method string }

type pair struct{ listener, route string }

// New registers the request metrics and returns them. It panics when the registry holds
// metrics of these names already.
func New(o Options) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: o.Namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		requests: counter("requests_total", "Requests answered, by HTTP status or gRPC code.", "listener", "route", "method", "code"),
		errors:   counter("request_errors_total", "Requests that failed, by whose fault it was: caller, service or dependency.", "listener", "route", "method", "class"),
		duration: prometheus.NewDesc(prometheus.BuildFQName(o.Namespace, "", "request_duration_seconds"),
			"Time from a request's arrival to the end of its answer.", []string{"listener", "route", "method"}, nil),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: o.Namespace, Name: "requests_in_flight",
			Help: "Requests being answered now.",
		}, []string{"listener"}),
		bytes:           counter("response_bytes_total", "Body bytes sent in answers.", "listener", "route"),
		refusedConns:    counter("connections_refused_total", "Connections closed before their first request, by reason.", "listener", "reason"),
		refusedRequests: counter("requests_refused_total", "Requests answered before they reached a handler, by reason.", "listener", "reason"),
		clock:           o.Clock,
		budget:          &budget{max: int64(o.MaxSeries)},
		listeners:       make(map[string]*Listener),
		pairs:           make(map[pair]struct{}),
		maxPairs:        o.MaxRoutes,
	}
	if m.maxPairs <= 0 {
		m.maxPairs = 500
	}
	if m.clock == nil {
		m.clock = clock.Real()
	}
	if m.budget.max <= 0 {
		m.budget.max = DefaultMaxSeries
	}
	m.budget.max = max(m.budget.max, int64(listenerSeries))
	m.budget.take(listenerSeries) // of the listener Other
	m.set = newSet(o.Registerer, m.budget)
	m.slowest = newSlowest(m.clock)
	m.history = newHistory(m)
	m.known = map[routeKey]*Route{}
	m.routes.Store(&map[routeKey]*Route{})
	o.Registerer.MustRegister(m.requests, m.errors, durationCollector{m}, m.inFlight, m.bytes,
		m.refusedConns, m.refusedRequests, m.connections(o.Namespace), m.budget.collector(o.Namespace))
	return m
}

// durationCollector shows the durations of all routes.
type durationCollector struct{ *Metrics }

// Describe implements prometheus.Collector.
func (c durationCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.duration }

// Collect implements prometheus.Collector.
func (c durationCollector) Collect(ch chan<- prometheus.Metric) {
	for _, r := range c.all() {
		ch <- r.duration
	}
}

// all are the routes, each once, in no order.
func (m *Metrics) all() []*Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	routes := make([]*Route, 0, len(m.known))
	for key, r := range m.known {
		if key == r.key {
			routes = append(routes, r)
		}
	}
	return routes
}

// Route returns the observer of one method of one route of a listener, the same one for the
// same arguments. An empty route means [Unmatched]. The first call makes the route's series,
// with zero requests, so resolving routes at start-up shows them before they are used; later
// calls take about as long as a map lookup and allocate nothing.
func (m *Metrics) Route(listener, route, method string) *Route {
	if route == "" {
		route = Unmatched
	}
	key := routeKey{listener, route, standardMethod(method)}
	if r, ok := (*m.routes.Load())[key]; ok {
		return r
	}
	return m.add(key)
}

// add makes the route of key, or finds the one that key shares with others.
func (m *Metrics) add(asked routeKey) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.known[asked]; ok {
		if routes := *m.routes.Load(); len(routes) < len(m.known) {
			routes = maps.Clone(m.known)
			m.routes.Store(&routes)
		}
		return r
	}
	key := asked
	key.listener = m.listener(key.listener).name
	key.route = valid(key.route)
	p := pair{key.listener, key.route}
	if _, ok := m.pairs[p]; !ok && key.route != Unmatched && key.route != Other {
		if len(m.pairs) < m.maxPairs {
			m.pairs[p] = struct{}{}
		} else {
			m.budget.spilled()
			key.route = Other
		}
	}
	rest := routeKey{key.listener, Other, Other} // which its listener has paid for
	r := m.known[key]
	if r == nil && key != rest && !m.budget.take(routeSeries) {
		m.budget.spilled()
		key = rest
		r = m.known[key]
	}
	if r == nil {
		r = m.newRoute(key)
		m.known[key] = r
	}
	if asked != key && len(m.known) < 4*m.maxPairs {
		m.known[asked] = r
	}
	return r
}

func (m *Metrics) newRoute(key routeKey) *Route {
	label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	labels := []*dto.LabelPair{label("listener", key.listener), label("method", key.method), label("route", key.route)}
	r := &Route{
		key:      key,
		metrics:  m,
		duration: newDurations(m.duration, labels, m.clock.Now()),
		bytes:    m.bytes.WithLabelValues(key.listener, key.route),
	}
	for i, class := range classes {
		r.errors[i] = m.errors.WithLabelValues(key.listener, key.route, key.method, class.String())
	}
	r.outcomes.Store(&[]outcome{})
	return r
}

// InFlight returns the gauge of requests being answered on a listener, to be incremented when
// one arrives and decremented when it has been answered. Resolve it once per listener.
func (m *Metrics) InFlight(listener string) prometheus.Gauge { return m.Listener(listener).InFlight() }

// KPIs returns the measures that are the service's own.
func (m *Metrics) KPIs() *Set { return m.set }

// Slowest returns the list of the slowest requests.
func (m *Metrics) Slowest() *Slowest { return m.slowest }

// History returns what the last minutes were like.
func (m *Metrics) History() *History { return m.history }

// Snapshot returns the figures of every route, ordered by listener, route and method. It reads
// what /metrics shows, so both agree. Figures of one route may be some requests apart while
// it is in use.
func (m *Metrics) Snapshot() []RouteStats {
	routes := m.all()
	slices.SortFunc(routes, func(a, b *Route) int {
		return cmp.Or(strings.Compare(a.key.listener, b.key.listener), strings.Compare(a.key.route, b.key.route), strings.Compare(a.key.method, b.key.method))
	})
	stats := make([]RouteStats, len(routes))
	for i, r := range routes {
		stats[i] = r.stats()
	}
	return stats
}

// RouteStats are the figures of one route since the service started.
type RouteStats struct {
	// Listener, Route and Method are the labels of the route.
	Listener, Route, Method string
	// Requests counts all answers.
	Requests uint64
	// Caller, Service and Dependency count those that failed, by whose fault it was.
	Caller, Service, Dependency uint64
	// Mean is the mean duration; zero without requests.
	Mean time.Duration
	// P50 and P99 are the durations that half and 99 in 100 requests did not exceed. They
	// are estimated as Prometheus's histogram_quantile does, by interpolating within a bucket of
	// at most 9 % of its bound: zero without requests, a day and a half at most.
	P50, P99 time.Duration
}

// Errors counts the failures that are not the caller's.
func (s RouteStats) Errors() uint64 { return s.Service + s.Dependency }

// standardMethod is method when RFC 9110 or RFC 5789 defines it.
func standardMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE":
		return method
	}
	return Other
}

// valid is s as a label value, which must be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
