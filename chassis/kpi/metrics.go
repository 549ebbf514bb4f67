// Package kpi is what a service measures of itself: the rate, errors and duration of every
// route, the state of its queues, its failures, its access log and its runtime, in the form
// Prometheus scrapes.
//
// A service makes one [Metrics] on a registry of its own, resolves a [Route] for each thing it
// serves and tells it of every finished request:
//
//	requests_total{listener,route,method,code}         a counter; code is an HTTP status or the name of a gRPC code
//	request_duration_seconds{listener,route,method}    a histogram, 0.5 ms to 10 s
//	requests_in_flight{listener}                       a gauge
//	response_bytes_total{listener,route}               a counter of body bytes
//
// HTTP and gRPC are counted alike. A gRPC call has the method POST and its full method, such
// as /game.v1.GameService/Drop, as its route, so one dashboard shows both.
//
// Every label is bounded, because each combination of values is a time series that somebody
// keeps for months. The route is the pattern that matched and never the path; requests that
// match none share [Unmatched]. Listeners and routes beyond a limit, methods that no RFC
// defines and codes that do not exist become [Other].
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
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// Namespace is put before the names of the four metrics, with an underscore. Empty,
	// the default, lets one dashboard serve all services, which the scraper tells apart.
	Namespace string
	// MaxRoutes is how many pairs of listener and route are told apart, 500 by default.
	// Pairs beyond share the route [Other] of their listener.
	MaxRoutes int
}

// Metrics are the figures of all requests of one service. Make one with [New]. It is safe for
// concurrent use.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	bytes    *prometheus.CounterVec

	// routes is replaced, never changed, so that looking a route up takes no lock.
	routes atomic.Pointer[map[routeKey]*Route]

	mu        sync.Mutex // held while a route or listener is added
	listeners map[string]struct{}
	pairs     map[pair]struct{}
	maxPairs  int
}

type routeKey struct{ listener, route, method string }

type pair struct{ listener, route string }

// buckets are the upper bounds of the duration histogram in seconds.
var buckets = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New registers the request metrics and returns them. It panics when the registry holds
// metrics of these names already.
func New(o Options) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: o.Namespace, Name: "requests_total",
			Help: "Requests answered, by HTTP status or gRPC code.",
		}, []string{"listener", "route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: o.Namespace, Name: "request_duration_seconds",
			Help:    "Time from a request's arrival to the end of its answer.",
			Buckets: buckets[:],
		}, []string{"listener", "route", "method"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: o.Namespace, Name: "requests_in_flight",
			Help: "Requests being answered now.",
		}, []string{"listener"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: o.Namespace, Name: "response_bytes_total",
			Help: "Body bytes sent in answers.",
		}, []string{"listener", "route"}),
		listeners: make(map[string]struct{}),
		pairs:     make(map[pair]struct{}),
		maxPairs:  o.MaxRoutes,
	}
	if m.maxPairs <= 0 {
		m.maxPairs = 500
	}
	m.routes.Store(&map[routeKey]*Route{})
	o.Registerer.MustRegister(m.requests, m.duration, m.inFlight, m.bytes)
	return m
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
func (m *Metrics) add(key routeKey) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	key.listener = m.listener(key.listener)
	key.route = valid(key.route)
	p := pair{key.listener, key.route}
	if _, ok := m.pairs[p]; !ok && key.route != Unmatched && key.route != Other {
		if len(m.pairs) < m.maxPairs {
			m.pairs[p] = struct{}{}
		} else {
			key.route = Other
		}
	}
	known := *m.routes.Load()
	if r, ok := known[key]; ok {
		return r
	}
	r := &Route{
		key:      key,
		requests: m.requests,
		duration: m.duration.WithLabelValues(key.listener, key.route, key.method).(prometheus.Histogram),
		bytes:    m.bytes.WithLabelValues(key.listener, key.route),
	}
	r.outcomes.Store(&[]outcome{})
	larger := maps.Clone(known)
	larger[key] = r
	m.routes.Store(&larger)
	return r
}

// listener is the label of a listener. The caller holds the lock.
func (m *Metrics) listener(name string) string {
	name = valid(name)
	if _, ok := m.listeners[name]; !ok {
		if len(m.listeners) == maxListeners {
			return Other
		}
		m.listeners[name] = struct{}{}
	}
	return name
}

// InFlight returns the gauge of requests being answered on a listener, to be incremented when
// one arrives and decremented when it has been answered. Resolve it once per listener.
func (m *Metrics) InFlight(listener string) prometheus.Gauge {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inFlight.WithLabelValues(m.listener(listener))
}

// Snapshot returns the figures of every route, ordered by listener, route and method. It reads
// what /metrics shows, so both agree. Figures of one route may be some requests apart while
// it is in use.
func (m *Metrics) Snapshot() []RouteStats {
	routes := slices.SortedFunc(maps.Values(*m.routes.Load()), func(a, b *Route) int {
		if c := strings.Compare(a.key.listener, b.key.listener); c != 0 {
			return c
		}
		if c := strings.Compare(a.key.route, b.key.route); c != 0 {
			return c
		}
		return strings.Compare(a.key.method, b.key.method)
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
	// Errors counts those that are the service's fault: HTTP 5xx, and the gRPC codes
	// Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable and DataLoss, as the
	// OpenTelemetry semantic conventions for gRPC servers have it.
	Errors uint64
	// Mean is the mean duration; zero without requests.
	Mean time.Duration
	// P50 and P99 are the durations that half and 99 in 100 requests did not exceed. They
	// are estimated from the histogram as Prometheus's histogram_quantile does, by
	// interpolating within a bucket: at most 10 s, zero without requests.
	P50, P99 time.Duration
}

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
