package kpi

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A Refusal is why a connection or a request was turned away before a handler saw it.
type Refusal uint8

// The reasons, with the value of the label reason. The zero Refusal is [Other].
const (
	RefusedOther Refusal = iota

	// Of connections.

	TooManyConns // limit: the listener has as many as it may
	TooManyOfOne // client_limit: the client has as many as it may
	BadHandshake // tls_handshake: TLS could not be agreed on
	BadProxy     // proxy_header: PROXY protocol was malformed, late or not allowed
	DeniedConn   // acl: the peer may not connect

	// Of requests.

	Malformed      // malformed: no request that HTTP knows, 400
	HeaderTooLarge // header_too_large: 431
	HeaderTimeout  // header_timeout: the header took too long, 408
	NotImplemented // not_implemented: a transfer coding or method, 501
	BadVersion     // version: of HTTP, 505
	DeniedRequest  // acl: the client may not ask this, 403
	refusals       // how many there are
)

// firstRequestRefusal begins those of requests.
const firstRequestRefusal = Malformed

var refusalNames = [refusals]string{
	Other, "limit", "client_limit", "tls_handshake", "proxy_header", "acl",
	"malformed", "header_too_large", "header_timeout", "not_implemented", "version", "acl",
}

// String is the value of the label reason.
func (r Refusal) String() string {
	if r >= refusals {
		return Other
	}
	return refusalNames[r]
}

// ConnStats are the connections of one listener that are open, by what they do: New have not sent
// a request yet, Active ones have one under way, Idle ones wait for the next, and Hijacked ones
// belong to a handler. They are the states of [net/http.ConnState]. Open ones are those of a
// protocol whose server does not tell more of them than that.
type ConnStats struct {
	New      int `json:"new"`
	Active   int `json:"active"`
	Idle     int `json:"idle"`
	Hijacked int `json:"hijacked"`
	Open     int `json:"open"`
}

// Total is all of them.
func (s ConnStats) Total() int { return s.New + s.Active + s.Idle + s.Hijacked + s.Open }

func (s ConnStats) plus(o ConnStats) ConnStats {
	return ConnStats{s.New + o.New, s.Active + o.Active, s.Idle + o.Idle, s.Hijacked + o.Hijacked, s.Open + o.Open}
}

// listenerSeries are the series of a listener: five states, requests in flight, refusals of
// either kind with Other, and the route that what exceeds a bound shares.
const listenerSeries = 5 + 1 + int(refusals) + 1 + routeSeries

// A Listener counts what happens on one listener beside requests that are answered:
//
//	connections{listener,state}                 a gauge; state is new, active, idle, hijacked or open
//	connections_refused_total{listener,reason}  a counter
//	requests_refused_total{listener,reason}     a counter
//
// [Metrics.Listener] returns it; resolve it once. It is safe for concurrent use, and counting
// allocates nothing.
type Listener struct {
	name     string
	inFlight prometheus.Gauge
	conns    [refusals]prometheus.Counter
	requests [refusals]prometheus.Counter

	mu     sync.Mutex
	source []func() ConnStats // several only when listeners share the name Other
}

// Listener returns the observer of the listener called name, the same one for the same name. Its
// series are there from then on, at zero.
func (m *Metrics) Listener(name string) *Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listener(name).show(m)
}

// listener finds or makes a listener. The caller holds the lock.
func (m *Metrics) listener(name string) *Listener {
	name = valid(name)
	if l, ok := m.listeners[name]; ok {
		return l
	}
	if name != Other && (m.named == maxListeners || !m.budget.take(listenerSeries)) {
		m.budget.spilled()
		return m.listener(Other) // which New has paid for
	}
	if name != Other {
		m.named++
	}
	l := &Listener{name: name}
	m.listeners[name] = l
	return l
}

// show makes the series of the listener. The caller holds the lock.
func (l *Listener) show(m *Metrics) *Listener {
	if l.inFlight != nil {
		return l
	}
	l.inFlight = m.inFlight.WithLabelValues(l.name)
	for r := range refusals {
		conn, request := r, r
		if r >= firstRequestRefusal {
			conn = RefusedOther
		} else {
			request = RefusedOther
		}
		l.conns[r] = m.refusedConns.WithLabelValues(l.name, conn.String())
		l.requests[r] = m.refusedRequests.WithLabelValues(l.name, request.String())
	}
	return l
}

// InFlight is the gauge of requests being answered, to be incremented when one arrives and
// decremented when it has been answered.
func (l *Listener) InFlight() prometheus.Gauge { return l.inFlight }

// RefuseConn counts a connection that was closed before its first request. A reason for requests
// is counted as [Other].
func (l *Listener) RefuseConn(r Refusal) {
	if r >= refusals {
		r = RefusedOther
	}
	l.conns[r].Inc()
}

// RefuseRequest counts a request that was answered before it reached a handler. A reason for
// connections is counted as [Other].
func (l *Listener) RefuseRequest(r Refusal) {
	if r >= refusals {
		r = RefusedOther
	}
	l.requests[r].Inc()
}

// Connections has source called at each scrape for the connections that are open now. Call it
// once.
func (l *Listener) Connections(source func() ConnStats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.source = append(l.source, source)
}

// ListenerStats are the figures of one listener.
type ListenerStats struct {
	Name string
	// InFlight requests are being answered.
	InFlight int
	// Counted is false when nobody counts the connections of the listener; Conns is then zero.
	Counted bool
	Conns   ConnStats
	// RefusedConns and RefusedRequests were turned away since the service started, by reason,
	// those with a count of zero left out.
	RefusedConns, RefusedRequests map[string]uint64
}

// Listeners returns the figures of every listener that [Metrics.Listener] has been asked for, by
// name.
func (m *Metrics) Listeners() []ListenerStats {
	var stats []ListenerStats
	for _, l := range m.shown() {
		s := ListenerStats{
			Name: l.name, InFlight: int(read(l.inFlight).GetGauge().GetValue()),
			RefusedConns: map[string]uint64{}, RefusedRequests: map[string]uint64{},
		}
		s.Conns, s.Counted = l.connections()
		for r := range refusals {
			if n := total(l.conns[r]); n > 0 && r < firstRequestRefusal {
				s.RefusedConns[r.String()] = n
			}
			if n := total(l.requests[r]); n > 0 && (r == RefusedOther || r >= firstRequestRefusal) {
				s.RefusedRequests[r.String()] = n
			}
		}
		stats = append(stats, s)
	}
	return stats
}

// shown are the listeners that have series, by name.
func (m *Metrics) shown() []*Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*Listener
	for _, name := range slices.Sorted(maps.Keys(m.listeners)) {
		if l := m.listeners[name]; l.inFlight != nil {
			all = append(all, l)
		}
	}
	return all
}

// connections asks the sources.
func (l *Listener) connections() (sum ConnStats, counted bool) {
	l.mu.Lock()
	sources := l.source
	l.mu.Unlock()
	for _, source := range sources {
		sum = sum.plus(source())
	}
	return sum, len(sources) > 0
}

// connections shows the open connections of all listeners.
func (m *Metrics) connections(namespace string) prometheus.Collector {
	desc := prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "connections"), "Connections that are open, by what they do.", []string{"listener", "state"}, nil)
	return newCollector(func(emit emitter) {
		for _, l := range m.shown() {
			s, counted := l.connections()
			if !counted {
				continue
			}
			emit.gauge(desc, float64(s.New), l.name, "new")
			emit.gauge(desc, float64(s.Active), l.name, "active")
			emit.gauge(desc, float64(s.Idle), l.name, "idle")
			emit.gauge(desc, float64(s.Hijacked), l.name, "hijacked")
			emit.gauge(desc, float64(s.Open), l.name, "open")
		}
	}, desc)
}
