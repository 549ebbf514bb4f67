package kpi

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Route observes the requests of one method of one route. [Metrics.Route] returns it. It is
// safe for concurrent use, and allocates nothing for a code it has seen before.
type Route struct {
	key      routeKey
	metrics  *Metrics
	duration *durations
	bytes    prometheus.Counter
	streams  atomic.Bool // a stream was answered
	errors   [len(classes)]prometheus.Counter

	// outcomes are the codes seen so far. A route answers with a handful, so that walking
	// a slice beats every map; the slice is replaced, never changed.
	outcomes atomic.Pointer[[]outcome]
	mu       sync.Mutex // held while an outcome is added
}

// routeSeries are the series of a route: durations with the bucket of +Inf, their sum and count,
// body bytes, errors by class, and requests with the code Other.
const routeSeries = len(buckets) + 3 + 1 + len(classes) + 1

// classes are the values of the label class: whose fault an error was.
var classes = [...]failure.Class{failure.Caller, failure.Service, failure.Dependency}

// outcome is one code of a route and its counter.
type outcome struct {
	code    Code
	counter prometheus.Counter
}

// An Answer is what is observed of one request.
type Answer struct {
	// Code is how it ended; see [HTTP] and [GRPC].
	Code Code
	// Class is whose fault it was, [failure.NotProblem] for nobody's. Zero, as for handlers that
	// wrote a status themselves, means what Code says: [Code.Class].
	Class failure.Class
	// Took is the time from arrival to the end of the answer; below zero counts as zero.
	Took time.Duration
	// Bytes of body were sent; below zero counts as zero.
	Bytes int64
	// Stream says that the answer took as long as its caller wanted to listen: it is counted like
	// any other, but is not slow, and its route is left out where the speed of all is told.
	Stream bool
	// ID is the request id, by which a slow request is found in the logs.
	ID string
	// Trace is the trace id when the trace is sampled, so that it can be looked up elsewhere: it
	// may become the exemplar of its duration's bucket. One exemplar a second is taken on a
	// route, and only that one allocates.
	Trace [16]byte
	// End is when the answer ended; zero asks the clock, which takes longer than all the rest.
	End time.Time
}

// Observe counts one answered HTTP request: its final status, how long it took, and the body
// bytes sent. A status outside 100 to 599 is counted as [Other]; a duration or a byte count
// below zero as zero.
func (r *Route) Observe(status int, took time.Duration, bytes int64) {
	r.ObserveAnswer(Answer{Code: HTTP(status), Took: took, Bytes: bytes})
}

// ObserveGRPC counts one answered gRPC call: the number of its code, how long it took, and the
// bytes of the messages sent. A code above 16 is counted as [Other].
func (r *Route) ObserveGRPC(code uint32, took time.Duration, bytes int64) {
	r.ObserveAnswer(Answer{Code: GRPC(code), Took: took, Bytes: bytes})
}

// ObserveAnswer counts one answered request of either protocol.
func (r *Route) ObserveAnswer(a Answer) {
	end := a.End
	if end.IsZero() {
		end = r.metrics.clock.Now()
	}
	r.metrics.history.notice(end)
	r.counter(a.Code).Inc()
	class := a.Class
	if class == 0 {
		class = a.Code.Class()
	}
	if i := int(class) - int(classes[0]); i < len(classes) {
		r.errors[i].Inc()
	}
	took := max(a.Took, 0)
	cell := r.duration.observe(took)
	if a.Bytes > 0 {
		r.bytes.Add(float64(a.Bytes))
	}
	if a.Trace != [16]byte{} {
		r.duration.exemplars.offer(scale.classic[cell], took, a.Trace, end)
	}
	switch {
	case a.Stream:
		if !r.streams.Load() {
			r.streams.Store(true)
		}
	case r.metrics.slowest.Beats(took):
		r.metrics.slowest.Add(Slow{
			ID: strings.Clone(a.ID), Listener: r.key.listener, Route: r.key.route, Method: r.key.method,
			Code: a.Code.String(), Took: took, End: end,
		})
	}
}

func (r *Route) counter(c Code) prometheus.Counter {
	for _, o := range *r.outcomes.Load() {
		if o.code == c {
			return o.counter
		}
	}
	label := c.String()
	if label == Other && c != otherCode {
		return r.counter(otherCode)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.outcomes.Load()
	for _, o := range known {
		if o.code == c {
			return o.counter
		}
	}
	if label != Other && !r.metrics.budget.take(1) {
		// The series of Other is paid for. The code is remembered all the same: there are few.
		r.metrics.budget.spilled()
		label = Other
	}
	o := outcome{c, r.metrics.requests.WithLabelValues(r.key.listener, r.key.route, r.key.method, label)}
	known = append(slices.Clip(known), o)
	r.outcomes.Store(&known)
	return o.counter
}

// stats reads the figures back from the metrics.
func (r *Route) stats() RouteStats {
	s := RouteStats{Listener: r.key.listener, Route: r.key.route, Method: r.key.method}
	s.Caller, s.Service, s.Dependency = total(r.errors[0]), total(r.errors[1]), total(r.errors[2])
	counts := r.duration.counts()
	for _, n := range counts {
		s.Requests += n
	}
	if s.Requests > 0 {
		s.Mean = time.Duration(r.duration.seconds() / float64(s.Requests) * float64(time.Second))
		s.P50 = quantile(0.50, counts)
		s.P99 = quantile(0.99, counts)
	}
	return s
}

// total is the value of a counter of whole things.
func total(c prometheus.Counter) uint64 { return uint64(read(c).GetCounter().GetValue()) }

// read returns the current value of a metric.
func read(metric prometheus.Metric) *dto.Metric {
	var value dto.Metric
	if err := metric.Write(&value); err != nil {
		panic(err) // counters and gauges have no error to return
	}
	return &value
}
