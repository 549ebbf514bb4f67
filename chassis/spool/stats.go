package spool

import "time"

// Reasons for which records are dropped: the keys of [Counts].Dropped.
const (
	Full      = "full"      // the spool was full, and DropOldest
	TooOld    = "age"       // Limit.Age
	Damaged   = "damaged"   // its checksum was wrong, or its file was set aside
	Discarded = "discarded" // an operator called Discard
)

var reasons = []string{Full, TooOld, Damaged, Discarded}

// Stats are the figures of a spool at one moment. They add up:
//
//	Total.Put = Total.Acked + all of Total.Dropped + Records
//
// but for records lost with a damaged file, which Dropped counts as far as their number could be read.
type Stats struct {
	Records int64 // in the spool, those below included
	Held    int64 // under a lease, or waiting for the end of what Nack or Release said
	Parked  int64
	Bytes   int64         // of all records, as Limit.Bytes counts them
	Limit   int64         // Limit.Bytes
	Oldest  time.Duration // how long ago the oldest record that is not parked was put, 0 when there is none
	Blocked int           // calls of Put in this process that wait for room

	Total Counts // since the file was made, in all processes
	Here  Counts // of that, what was done through this Spool
}

// Counts are what only grows.
type Counts struct {
	Put       uint64            // records stored
	Repeated  uint64            // records that were put while one with the same ID was there
	Rejected  uint64            // records that were refused for want of room
	Acked     uint64            // records acknowledged
	Nacked    uint64            // times that a record was given back and a try counted
	Released  uint64            // times that it was given back and none was counted
	Expired   uint64            // leases that ended without an answer
	Parkings  uint64            // times that a record was parked
	Requeued  uint64            // times that a parked record was made ready again
	Dropped   map[string]uint64 // records removed undelivered, by reason; all reasons are there
	SetAsides uint64            // times that a damaged file was set aside
}
