package kpi

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// SampleEvery is the span of one [Sample].
	SampleEvery = 5 * time.Second
	// HistoryFor is how far back a [History] reaches.
	HistoryFor = 10 * time.Minute
	maxSamples = int(HistoryFor / SampleEvery)
)

// A Sample is what all routes of a service have answered in a span of time.
type Sample struct {
	Begin, End time.Time
	// Requests were answered, some of which failed by the fault of the caller, the service or a
	// dependency.
	Requests, Caller, Service, Dependency uint64
	// P50 and P99 are the durations that half and 99 in 100 requests did not exceed, streams
	// left out; zero when there were none.
	P50, P99 time.Duration
}

// A History is what the last ten minutes of one process were like, in samples of five seconds:
// some 10 KB whatever is served. It begins with the process; after a reload, it is a new one. It
// has no timer: the first request after the end of a span takes the span's sample, and what nobody
// asks costs nothing. It is safe for concurrent use.
type History struct {
	metrics *Metrics
	epoch   time.Time    // which next counts from
	next    atomic.Int64 // when the span under way ends, in nanoseconds

	mu      sync.Mutex
	begin   time.Time // of the span under way, zero before the first
	last    sums      // what had been counted then
	samples []Sample  // the oldest first
}

// sums are the figures of all routes added up.
type sums struct {
	requests, caller, service, dependency uint64
	durations                             []uint64 // cells, those of streams left out
}

func newHistory(m *Metrics) *History { return &History{metrics: m, epoch: m.clock.Now()} }

// notice is called before a request that ended at end is counted. It costs a comparison, but for
// once in a span.
func (h *History) notice(end time.Time) {
	if int64(end.Sub(h.epoch)) >= h.next.Load() {
		h.turn(end)
	}
}

// turn ends the span that is over, and begins the one that now is in: the next, or a new one when
// nothing was asked for longer than a span.
func (h *History) turn(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int64(now.Sub(h.epoch)) < h.next.Load() {
		return // another request was faster
	}
	h.metrics.slowest.age()
	sample, sums := h.sample(h.begin.Add(SampleEvery))
	if sample.Requests > 0 {
		if len(h.samples) == maxSamples {
			h.samples = slices.Delete(h.samples, 0, 1)
		}
		h.samples = append(h.samples, sample)
	}
	h.last = sums
	if h.begin = h.begin.Add(SampleEvery); now.Sub(h.begin) >= SampleEvery {
		h.begin = now
	}
	h.next.Store(int64(h.begin.Add(SampleEvery).Sub(h.epoch)))
}

// sample is the span from begin to end. The caller holds the lock.
func (h *History) sample(end time.Time) (Sample, sums) {
	total := h.metrics.sums()
	s := Sample{
		Begin: h.begin, End: end, Requests: total.requests - h.last.requests,
		Caller: total.caller - h.last.caller, Service: total.service - h.last.service, Dependency: total.dependency - h.last.dependency,
	}
	spent := slices.Clone(total.durations)
	for i, n := range h.last.durations {
		// A route is left out as a whole from its first stream on.
		spent[i] -= min(n, spent[i])
	}
	s.P50, s.P99 = quantile(0.50, spent), quantile(0.99, spent)
	return s, total
}

// Samples returns the samples of the last ten minutes, the oldest first, and last that of the span
// under way. In spans that none tells of, nothing was asked.
func (h *History) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.metrics.clock.Now()
	out := slices.Clone(h.samples)
	if end := h.begin.Add(SampleEvery); !h.begin.IsZero() {
		if end.After(now) {
			end = now
		}
		if s, _ := h.sample(end); s.Requests > 0 && end.After(h.begin) {
			out = append(out, s)
		}
	}
	oldest := now.Add(-HistoryFor)
	return slices.DeleteFunc(out, func(s Sample) bool { return !s.End.After(oldest) })
}

// sums adds up all routes.
func (m *Metrics) sums() sums {
	s := sums{durations: make([]uint64, len(scale.native))}
	for _, r := range m.all() {
		s.caller += total(r.errors[0])
		s.service += total(r.errors[1])
		s.dependency += total(r.errors[2])
		if r.streams.Load() {
			for _, n := range r.duration.counts() {
				s.requests += n
			}
		} else {
			r.duration.addTo(s.durations)
		}
	}
	for _, n := range s.durations {
		s.requests += n
	}
	return s
}
