package queue

import (
	"maps"
	"time"
)

// Stats are a queue's figures at one moment. What was admitted is running, waiting, completed
// or was rejected later; every rejection is counted by its reason.
type Stats struct {
	Name     string
	Workers  int
	Capacity int

	Depth     int           // how much waits
	InFlight  int           // how much is being done
	OldestAge time.Duration // how long the first has waited, 0 when nothing waits

	Admitted  uint64            // what got a place, waiting or at once
	Completed uint64            // what was done, with whatever outcome
	Failed    uint64            // of that, what returned an error or panicked
	Panicked  uint64            // of that, what panicked
	Rejected  map[string]uint64 // what was not done, by every Reason's name

	Waited       uint64        // what has left the queue after waiting
	WaitTotal    time.Duration // how long all of that waited
	ServiceTotal time.Duration // how long everything completed took
}

// Stats returns the figures now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Name, s.Workers, s.Capacity = q.name, q.limits.Workers, q.limits.Capacity
	s.Depth, s.InFlight = q.waiting.Len(), q.running
	if front := q.waiting.Front(); front != nil {
		s.OldestAge = time.Since(front.Value.(*item).since)
	}
	s.Rejected = maps.Clone(q.stats.Rejected)
	return s
}
