package kpi

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A Route observes the requests of one method of one route. [Metrics.Route] returns it. It is
// safe for concurrent use, and allocates nothing for a code it has seen before.
type Route struct {
	key      routeKey
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	bytes    prometheus.Counter

	// outcomes are the codes seen so far. A route answers with a handful, so that walking
	// a slice beats every map; the slice is replaced, never changed.
	outcomes atomic.Pointer[[]outcome]
	mu       sync.Mutex // held while an outcome is added
}

// outcome is one code of a route and its counter.
type outcome struct {
	code    code
	counter prometheus.Counter
}

// Observe counts one answered HTTP request: its final status, how long it took, and the body
// bytes sent. A status outside 100 to 599 is counted as [Other]; a duration or a byte count
// below zero as zero.
func (r *Route) Observe(status int, took time.Duration, bytes int64) {
	r.observe(httpCode(status), took, bytes)
}

// ObserveGRPC counts one answered gRPC call: the number of its code, how long it took, and the
// bytes of the messages sent. A code above 16 is counted as [Other].
func (r *Route) ObserveGRPC(code uint32, took time.Duration, bytes int64) {
	r.observe(grpcCode(code), took, bytes)
}

func (r *Route) observe(c code, took time.Duration, bytes int64) {
	r.counter(c).Inc()
	r.duration.Observe(max(took, 0).Seconds())
	if bytes > 0 {
		r.bytes.Add(float64(bytes))
	}
}

func (r *Route) counter(c code) prometheus.Counter {
	for _, o := range *r.outcomes.Load() {
		if o.code == c {
			return o.counter
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.outcomes.Load()
	for _, o := range known {
		if o.code == c {
			return o.counter
		}
	}
	o := outcome{c, r.requests.WithLabelValues(r.key.listener, r.key.route, r.key.method, c.String())}
	known = append(slices.Clip(known), o)
	r.outcomes.Store(&known)
	return o.counter
}

// stats reads the figures back from the metrics.
func (r *Route) stats() RouteStats {
	s := RouteStats{Listener: r.key.listener, Route: r.key.route, Method: r.key.method}
	for _, o := range *r.outcomes.Load() {
		if o.code.failed() {
			s.Errors += uint64(read(o.counter).GetCounter().GetValue())
		}
	}
	h := read(r.duration).GetHistogram()
	s.Requests = h.GetSampleCount()
	if s.Requests > 0 {
		s.Mean = seconds(h.GetSampleSum() / float64(s.Requests))
		s.P50 = quantile(0.50, h)
		s.P99 = quantile(0.99, h)
	}
	return s
}

// read returns the current value of a metric.
func read(metric prometheus.Metric) *dto.Metric {
	var value dto.Metric
	if err := metric.Write(&value); err != nil {
		panic(err) // counters and histograms have no error to return
	}
	return &value
}

// quantile estimates the duration that the share q of the observations in h did not exceed.
// h has at least one.
func quantile(q float64, h *dto.Histogram) time.Duration {
	rank := q * float64(h.GetSampleCount())
	var lower, below float64
	for _, b := range h.GetBucket() {
		upper, upTo := b.GetUpperBound(), float64(b.GetCumulativeCount())
		if upTo >= rank {
			return seconds(lower + (upper-lower)*(rank-below)/(upTo-below))
		}
		lower, below = upper, upTo
	}
	return seconds(lower)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// A code is how a request ended: an HTTP status, or grpcBase plus a gRPC code, or otherCode.
type code int

const (
	otherCode code = 0
	grpcBase  code = 1000
)

// grpcCodes are the codes of gRPC (https://grpc.io/docs/guides/status-codes/), spelled as
// grpc-go prints them, and whether the service is to blame.
var grpcCodes = [...]struct {
	name   string
	failed bool
}{
	{"OK", false},
	{"Canceled", false},
	{"Unknown", true},
	{"InvalidArgument", false},
	{"DeadlineExceeded", true},
	{"NotFound", false},
	{"AlreadyExists", false},
	{"PermissionDenied", false},
	{"ResourceExhausted", false},
	{"FailedPrecondition", false},
	{"Aborted", false},
	{"OutOfRange", false},
	{"Unimplemented", true},
	{"Internal", true},
	{"Unavailable", true},
	{"DataLoss", true},
	{"Unauthenticated", false},
}

func httpCode(status int) code {
	if status < 100 || status > 599 {
		return otherCode
	}
	return code(status)
}

func grpcCode(number uint32) code {
	if number >= uint32(len(grpcCodes)) {
		return otherCode
	}
	return grpcBase + code(number)
}

// String is the value of the label code.
func (c code) String() string {
	switch {
	case c == otherCode:
		return Other
	case c >= grpcBase:
		return grpcCodes[c-grpcBase].name
	}
	return strconv.Itoa(int(c))
}

// failed reports whether the service is to blame, as it is for a code that does not exist.
func (c code) failed() bool {
	if c >= grpcBase {
		return grpcCodes[c-grpcBase].failed
	}
	return c >= 500 || c == otherCode
}
