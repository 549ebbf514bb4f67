package fake

import (
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// MaxCalls is how many recorded calls a fake keeps: the latest.
const MaxCalls = 10_000

// Call is one call that reached a handler's door.
type Call struct {
	Seq       uint64    `json:"seq"`  // 1 for the first call since the start or the last Reset
	Time      time.Time `json:"time"` // by the service's clock
	Listener  string    `json:"listener"`
	Method    string    `json:"method"` // "POST" for gRPC
	Route     string    `json:"route"`  // the matched pattern, or gRPC's full method
	RequestID string    `json:"request_id"`
	// Injected reports that a fault answers the call and its handler does not run; Code and
	// Status are the failure's code and HTTP status, and 0 without one.
	Injected bool `json:"injected"`
	Code     int  `json:"code,omitempty"`
	Status   int  `json:"status,omitempty"`
	// Latency is how long faults have the call wait.
	Latency time.Duration `json:"latency_ns,omitempty"`
}

// Calls are the recorded calls in the order of their arrival: the latest [MaxCalls] of them,
// those under way included. HTTP requests that match no route are not recorded.
// The slice is the caller's own.
func (f *Fake) Calls() []Call { return f.calls.all() }

// recording keeps the latest calls in a ring that grows up to its bound.
type recording struct {
	mu   sync.Mutex
	seq  uint64
	ring []Call // of call n at (n-1) mod MaxCalls
}

func (r *recording) add(now time.Time, info *request.Info, call chassis.Call, struck []*Fault) {
	c := Call{Time: now, Listener: call.Listener, Method: call.Method, Route: call.Route}
	if info != nil {
		c.RequestID = info.ID
	}
	for _, f := range struck {
		c.Latency += f.rule.Latency
		if f.err != nil {
			c.Injected, c.Code, c.Status = true, f.err.Code().Number(), f.err.HTTPStatus()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	c.Seq = r.seq
	if len(r.ring) < MaxCalls {
		r.ring = append(r.ring, c)
		return
	}
	r.ring[(c.Seq-1)%MaxCalls] = c
}

func (r *recording) all() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := make([]Call, 0, len(r.ring))
	oldest := 0
	if len(r.ring) == MaxCalls {
		oldest = int(r.seq % MaxCalls)
	}
	calls = append(calls, r.ring[oldest:]...)
	return append(calls, r.ring[:oldest]...)
}

func (r *recording) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq, r.ring = 0, nil
}
