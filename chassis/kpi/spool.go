package kpi

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SpoolStats are the figures of one durable queue. What is held is the file's, which several processes
// may share; what is counted is this process's.
type SpoolStats struct {
	// Records are in the spool, Held ones of them under a lease or waiting to be tried again, Parked
	// ones until an operator acts.
	Records, Held, Parked int64
	// Bytes are taken of at most Limit.
	Bytes, Limit int64
	// OldestAge is how long ago the oldest record that is not parked was put.
	OldestAge time.Duration
	// Blocked callers wait for room.
	Blocked int
	// Put, Acked, Failed and Rejected count records stored, delivered, tried in vain and refused for
	// want of room.
	Put, Acked, Failed, Rejected uint64
	// Dropped counts records removed undelivered, by reason. List every reason, those with a count of
	// zero too, because a rate cannot see the step from nothing to one.
	Dropped map[string]uint64
	// Parkings counts how often a record was parked.
	Parkings uint64
}

// RegisterSpool shows what source returns, each metric labelled by spool: the gauges spool_records,
// spool_held, spool_parked, spool_bytes, spool_limit_bytes, spool_oldest_age_seconds and spool_blocked, and
// the counters spool_put_total, spool_acked_total, spool_failed_total, spool_rejected_total,
// spool_parked_total and spool_dropped_total{reason}. source is called at each scrape, concurrently
// with itself when scrapes overlap. A name that is registered already is an error.
func RegisterSpool(reg prometheus.Registerer, name string, source func() SpoolStats) error {
	spool := prometheus.Labels{"spool": valid(name)}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, spool)
	}
	records := desc("spool_records", "Records in the spool.")
	held := desc("spool_held", "Records under a lease or waiting to be tried again.")
	parked := desc("spool_parked", "Records that are not tried any more until an operator acts.")
	bytes := desc("spool_bytes", "Bytes of the records in the spool.")
	limit := desc("spool_limit_bytes", "Bytes that the spool may hold.")
	oldest := desc("spool_oldest_age_seconds", "How long ago the oldest record that is not parked was put.")
	blocked := desc("spool_blocked", "Callers that wait for room in the spool.")
	put := desc("spool_put_total", "Records stored.")
	acked := desc("spool_acked_total", "Records delivered.")
	failed := desc("spool_failed_total", "Deliveries of a record that failed, without those in which the receiver was not there.")
	rejected := desc("spool_rejected_total", "Records refused for want of room.")
	parkings := desc("spool_parked_total", "Times that a record was parked.")
	dropped := desc("spool_dropped_total", "Records removed undelivered, by reason.", "reason")
	err := reg.Register(newCollector(func(emit emitter) {
		s := source()
		emit.gauge(records, float64(s.Records))
		emit.gauge(held, float64(s.Held))
		emit.gauge(parked, float64(s.Parked))
		emit.gauge(bytes, float64(s.Bytes))
		emit.gauge(limit, float64(s.Limit))
		emit.gauge(oldest, s.OldestAge.Seconds())
		emit.gauge(blocked, float64(s.Blocked))
		emit.counter(put, s.Put)
		emit.counter(acked, s.Acked)
		emit.counter(failed, s.Failed)
		emit.counter(rejected, s.Rejected)
		emit.counter(parkings, s.Parkings)
		for reason, n := range s.Dropped {
			emit.counter(dropped, n, reason)
		}
	}, records, held, parked, bytes, limit, oldest, blocked, put, acked, failed, rejected, parkings, dropped))
	if err != nil {
		return fmt.Errorf("metrics of spool %q: %w", name, err)
	}
	return nil
}
