package kpi

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// LogFileStats are the figures of the files of a service's logs.
type LogFileStats struct {
	// Waiting segments are not yet where they are to be, WaitingBytes is what they have here, and
	// Lag how long ago the oldest of them was last written to.
	Waiting      int
	WaitingBytes int64
	Lag          time.Duration
	// Disk is what all files have, Budget what they may have, in bytes.
	Disk, Budget int64
	// Packed and Uploaded count segments, Bytes what was uploaded, Errors rounds that went wrong.
	Packed, Uploaded, Bytes, Errors uint64
	// Streams has the figures of each log.
	Streams map[string]LogStreamStats
}

// LogStreamStats are the figures of the files of one log.
type LogStreamStats struct {
	// Lines by what became of them.
	Uploaded, Expired, Dropped uint64
	// Errors counts writes that failed and segments that could not be begun.
	Errors uint64
}

// RegisterLogFiles shows what source returns: the gauges log_segments_waiting, log_waiting_bytes,
// log_upload_lag_seconds, log_disk_bytes and log_disk_budget_bytes, and the counters log_segments_total{step},
// log_uploaded_bytes_total, log_collect_errors_total, log_lines_total{stream,fate} and
// log_segment_errors_total{stream}. source is called at each scrape, concurrently with itself when
// scrapes overlap.
func RegisterLogFiles(reg prometheus.Registerer, source func() LogFileStats) {
	waiting := prometheus.NewDesc("log_segments_waiting", "Sealed log segments that are not yet where they are to be.", nil, nil)
	waitingBytes := prometheus.NewDesc("log_waiting_bytes", "Bytes of log segments that wait.", nil, nil)
	lag := prometheus.NewDesc("log_upload_lag_seconds", "Time since the oldest waiting log segment was written to.", nil, nil)
	disk := prometheus.NewDesc("log_disk_bytes", "Bytes of all files of logs.", nil, nil)
	budget := prometheus.NewDesc("log_disk_budget_bytes", "Bytes that the files of logs may have.", nil, nil)
	segments := prometheus.NewDesc("log_segments_total", "Log segments that were packed or uploaded.", []string{"step"}, nil)
	bytes := prometheus.NewDesc("log_uploaded_bytes_total", "Bytes of log segments uploaded.", nil, nil)
	errors := prometheus.NewDesc("log_collect_errors_total", "Rounds of collecting log segments that went wrong.", nil, nil)
	lines := prometheus.NewDesc("log_lines_total", "Lines of log segments that were uploaded, expired after that, or dropped.", []string{"stream", "fate"}, nil)
	failed := prometheus.NewDesc("log_segment_errors_total", "Writes to log segments that failed.", []string{"stream"}, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		s := source()
		emit.gauge(waiting, float64(s.Waiting))
		emit.gauge(waitingBytes, float64(s.WaitingBytes))
		emit.gauge(lag, s.Lag.Seconds())
		emit.gauge(disk, float64(s.Disk))
		emit.gauge(budget, float64(s.Budget))
		emit.counter(segments, s.Packed, "packed")
		emit.counter(segments, s.Uploaded, "uploaded")
		emit.counter(bytes, s.Bytes)
		emit.counter(errors, s.Errors)
		for _, stream := range slices.Sorted(maps.Keys(s.Streams)) {
			l := s.Streams[stream]
			emit.counter(lines, l.Uploaded, stream, "uploaded")
			emit.counter(lines, l.Expired, stream, "expired")
			emit.counter(lines, l.Dropped, stream, "dropped")
			emit.counter(failed, l.Errors, stream)
		}
	}, waiting, waitingBytes, lag, disk, budget, segments, bytes, errors, lines, failed))
}
