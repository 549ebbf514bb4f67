package queue

import "time"

// Stats are a queue's figures at one moment; the counts are since it was made. They add up:
// Admitted = Completed + Dropped + Depth + InFlight.
type Stats struct {
	Name     string
	Workers  int
	Capacity int

	Depth     int           // how much waits
	InFlight  int           // how much is being done
	OldestAge time.Duration // how long the first has waited, 0 when nothing waits
	OldestRun time.Duration // how long the longest has been at work: a stuck worker shows here
	Average   time.Duration // how long work took of late, as admission reckons with it
	Spread    time.Duration // how far off that was, on average

	NewestFirst bool // the order: the newest first, not the oldest
	Tenants     int  // how many tenants wait, those of one class and those of another apart
	Dark        bool // as in Options

	Admitted  uint64            // what got a worker at once, or a place
	Completed uint64            // what was done, with whatever outcome
	Failed    uint64            // of that, what returned an error, panicked or ended its goroutine
	Panicked  uint64            // of that, what panicked
	Rejected  map[string]uint64 // what was not done, by the name of each Reason
	Dropped   uint64            // of that, what had been admitted

	Waited    uint64        // what has left the queue after waiting, done or not
	WaitTotal time.Duration // how long all of that waited
	Service   Histogram     // how long everything completed took

	// Classes are the figures that are kept by class, the most critical first; there are always
	// all four.
	Classes []ClassStats
}

// ClassStats are those figures of a queue that are kept by class.
type ClassStats struct {
	Class    Class
	Depth    int
	Rejected map[string]uint64 // as in Stats; all reasons are there
	// WouldReject is what a dark queue let in although it did not fit the limits, by the name of
	// each Reason. It is reckoned without regard to tenants and classes: that a place would
	// have been another's instead is not seen.
	WouldReject map[string]uint64
	Wait        Histogram // how long those waited who got a worker, 0 when they got it at once
}

// counts are the part of Stats that only grows.
type counts struct {
	admitted, completed, failed, panicked, dropped, waited uint64
	rejected, wouldReject                                  [classes][reasons]uint64
	waitTotal                                              time.Duration
	wait                                                   [classes]cells
	service                                                cells
}

// Stats returns the figures now. The caller owns the maps and the slices, but for
// [Histogram].Bounds, which is not to be changed.
func (q *Queue) Stats() Stats {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.order.look(q.callers.n, now, q.average)
	c := &q.counts
	s := Stats{
		Name: q.name, Workers: q.limits.Workers, Capacity: q.limits.Capacity,
		Depth: q.waiting(), InFlight: q.inFlight(), Average: q.average, Spread: q.spread,
		NewestFirst: q.order.newest, Dark: q.dark,
		Admitted: c.admitted, Completed: c.completed, Failed: c.failed, Panicked: c.panicked,
		Rejected: make(map[string]uint64, reasons), Dropped: c.dropped,
		Waited: c.waited, WaitTotal: c.waitTotal, Service: c.service.histogram(),
	}
	for rank := range q.levels {
		l := &q.levels[rank]
		s.Tenants += l.active
		s.Classes = append(s.Classes, ClassStats{
			ranked(rank), l.waiting, named(&c.rejected[rank]), named(&c.wouldReject[rank]), c.wait[rank].histogram(),
		})
		for name, n := range s.Classes[rank].Rejected {
			s.Rejected[name] += n
		}
	}
	if oldest, any := q.oldest(); any {
		s.OldestAge = max(0, now-oldest)
	}
	for i := range q.workers {
		if w := &q.workers[i]; w.busy {
			s.OldestRun = max(s.OldestRun, now-w.since)
		}
	}
	return s
}

// named are counts by the names of the reasons.
func named(counts *[reasons]uint64) map[string]uint64 {
	m := make(map[string]uint64, reasons)
	for r, n := range counts {
		m[Reason(r).String()] = n
	}
	return m
}
