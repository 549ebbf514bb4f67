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

	Admitted  uint64            // what got a worker at once, or a place
	Completed uint64            // what was done, with whatever outcome
	Failed    uint64            // of that, what returned an error, panicked or ended its goroutine
	Panicked  uint64            // of that, what panicked
	Rejected  map[string]uint64 // what was not done, by the name of each Reason
	Dropped   uint64            // of that, what had been admitted

	Waited       uint64        // what has left the queue after waiting, done or not
	WaitTotal    time.Duration // how long all of that waited
	ServiceTotal time.Duration // how long everything completed took
}

// counts are the part of Stats that only grows.
type counts struct {
	admitted, completed, failed, panicked, dropped, waited uint64
	rejected                                               [reasons]uint64
	waitTotal, serviceTotal                                time.Duration
}

// Stats returns the figures now. The caller owns the map.
func (q *Queue) Stats() Stats {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.counts
	s := Stats{
		Name: q.name, Workers: q.limits.Workers, Capacity: q.limits.Capacity,
		Depth: q.waiting.Len(), InFlight: q.inFlight(), Average: q.average, Spread: q.spread,
		Admitted: c.admitted, Completed: c.completed, Failed: c.failed, Panicked: c.panicked,
		Rejected: make(map[string]uint64, reasons), Dropped: c.dropped,
		Waited: c.waited, WaitTotal: c.waitTotal, ServiceTotal: c.serviceTotal,
	}
	for r, n := range c.rejected {
		s.Rejected[Reason(r).String()] = n
	}
	if front := q.waiting.Front(); front != nil {
		s.OldestAge = max(0, now-front.Value.(*item).since)
	}
	for _, w := range q.workers {
		if w.busy {
			s.OldestRun = max(s.OldestRun, now-w.since)
		}
	}
	return s
}
