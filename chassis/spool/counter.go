package spool

import "maps"

// A counter is one of the numbers that are kept in the file with the records, and change with them.
type counter int

const (
	lastSeq counter = iota
	lastLease
	records
	bytes
	puts
	repeated
	rejected
	acked
	nacked
	released
	expired
	parkings
	requeued
	setAsides
	droppedFull
	droppedAge
	droppedDamaged
	droppedDiscarded
	counters // how many there are
)

// counterNames are those in the file. Later versions only add to them.
var counterNames = [counters]string{
	"seq", "lease", "records", "bytes", "put", "repeated", "rejected", "acked", "nacked", "released",
	"expired", "parkings", "requeued", "set_asides",
	"dropped_full", "dropped_age", "dropped_damaged", "dropped_discarded",
}

// numbers are the values of all counters.
type numbers [counters]int64

func (n *numbers) counts() Counts {
	u := func(c counter) uint64 { return uint64(n[c]) }
	return Counts{
		Put: u(puts), Repeated: u(repeated), Rejected: u(rejected), Acked: u(acked), Nacked: u(nacked),
		Released: u(released), Expired: u(expired), Parkings: u(parkings), Requeued: u(requeued), SetAsides: u(setAsides),
		Dropped: maps.Collect(func(yield func(string, uint64) bool) {
			for i, reason := range reasons {
				if !yield(reason, u(droppedFull+counter(i))) {
					return
				}
			}
		}),
	}
}

// grow adds what has been counted between two moments.
func (n *numbers) grow(before, after *numbers) {
	for c := range n {
		n[c] += after[c] - before[c]
	}
}
