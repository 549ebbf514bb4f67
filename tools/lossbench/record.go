package lossbench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// after is how long a reload is held responsible for slow answers once it is done.
const after = time.Second

// windows are the times of reloads: from the beginning of each until a second after its end, or until the
// next.
type windows struct {
	mu    sync.Mutex
	count int64
	begun time.Time // of the last reload; zero before the first
	ended time.Time // zero while it goes on
}

func (w *windows) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	w.begun, w.ended = time.Now(), time.Time{}
}

func (w *windows) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = time.Now()
}

// reloads is how many have begun.
func (w *windows) reloads() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// touch reports whether some of the time from t0 to t1, which is just over, lies in a window.
func (w *windows) touch(t0, t1 time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.begun.IsZero() && !t1.Before(w.begun) && (w.ended.IsZero() || t0.Before(w.ended.Add(after)))
}

// Bounds of the latencies recorded, in microseconds, and their precision in decimal digits.
const (
	leastLatency, mostLatency = 1, 60_000_000
	precision                 = 3
)

// maxCauses bounds the causes told apart; what comes later is "other".
const maxCauses = 24

// stats are the figures of one protocol. Safe for concurrent use.
type stats struct {
	windows  *windows
	answered func(Answer) // nil: nobody asks

	mu                              sync.Mutex
	requests, failed                int64
	causes                          map[string]int64
	connections, reopens, seenClose int64
	quiet, reload                   *hdrhistogram.Histogram
}

func newStats(w *windows) *stats {
	return &stats{windows: w, causes: map[string]int64{},
		quiet:  hdrhistogram.New(leastLatency, mostLatency, precision),
		reload: hdrhistogram.New(leastLatency, mostLatency, precision)}
}

// done records a request that began at t0 and was answered now. id is the service's name for it, if known.
func (s *stats) done(t0 time.Time, id string) {
	t1 := time.Now()
	if s.answered != nil {
		s.answered(Answer{id, t0, t1})
	}
	h := s.quiet
	if s.windows.touch(t0, t1) {
		h = s.reload
	}
	took := min(max(t1.Sub(t0).Microseconds(), leastLatency), mostLatency)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	_ = h.RecordValue(took) // within the bounds
}

// fail records n requests that failed.
func (s *stats) fail(cause string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests += n
	s.failed += n
	if _, known := s.causes[cause]; !known && len(s.causes) >= maxCauses {
		cause = "other"
	}
	s.causes[cause] += n
}

func (s *stats) connected()     { s.count(&s.connections) }
func (s *stats) reopened()      { s.count(&s.reopens) }
func (s *stats) sawClose()      { s.count(&s.seenClose) }
func (s *stats) count(n *int64) { s.mu.Lock(); defer s.mu.Unlock(); *n++ }

// Latency says how long answers took, from when the request was sent. A client waits for each answer, so a
// service that stands still for a second is one slow answer for each client, not as many as there would have
// been requests.
type Latency struct {
	Count int64        `json:"count"`
	P50   Milliseconds `json:"p50_ms"`
	P99   Milliseconds `json:"p99_ms"`
	Max   Milliseconds `json:"max_ms"`
}

func latency(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) Milliseconds { return Milliseconds(h.ValueAtQuantile(q)) / 1000 }
	return Latency{Count: h.TotalCount(), P50: at(50), P99: at(99), Max: at(100)}
}

// Result is what became of the requests of one protocol.
type Result struct {
	Protocol string           `json:"protocol"`
	Requests int64            `json:"requests"` // answered or failed
	Failed   int64            `json:"failed"`
	Causes   map[string]int64 `json:"causes"` // of the failed ones
	Quiet    Latency          `json:"quiet"`  // of requests answered outside reloads
	Reload   Latency          `json:"reload"` // of requests answered in reloads or in the second after one
	// Connections is how many were opened, Reopens how many streams were opened because the one before
	// had ended as it should, SeenClose how often a client saw in time that the server had closed.
	Connections int64 `json:"connections"`
	Reopens     int64 `json:"reopens"`
	SeenClose   int64 `json:"seen_close"`
}

func (s *stats) result(protocol string) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Result{Protocol: protocol, Requests: s.requests, Failed: s.failed, Causes: map[string]int64{},
		Quiet: latency(s.quiet), Reload: latency(s.reload),
		Connections: s.connections, Reopens: s.reopens, SeenClose: s.seenClose}
	for cause, n := range s.causes {
		r.Causes[cause] = n
	}
	return r
}
