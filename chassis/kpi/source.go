package kpi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// FailureCount is how often one failure code was answered.
type FailureCount struct {
	// Code is the number of the failure code.
	Code int
	// Class says whose fault the failure is.
	Class string
	// Count is the number of answers since the service started.
	Count uint64
}

// RegisterFailures shows what source returns as failure_total{code,class}. source is called at
// each scrape, concurrently with itself when scrapes overlap; it returns each code once,
// unused ones with a count of zero, because a rate cannot see the step from nothing to one.
func RegisterFailures(reg prometheus.Registerer, source func() []FailureCount) {
	total := prometheus.NewDesc("failure_total", "Failures answered, by failure code.", []string{"code", "class"}, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		for _, f := range source() {
			emit.counter(total, f.Count, strconv.Itoa(f.Code), f.Class)
		}
	}, total))
}

// QueueStats are the figures of one bounded queue.
type QueueStats struct {
	// Name is the label queue; each queue of a service has its own.
	Name string
	// Depth items wait of at most Capacity; InFlight are being worked on.
	Depth, Capacity, InFlight int
	// OldestAge is how long the oldest item has waited, zero when none waits.
	OldestAge time.Duration
	// NewestFirst reports that the queue is overloaded and serves the newest item first.
	NewestFirst bool
	// Tenants is how many tenants have items that wait.
	Tenants int
	// Admitted counts the items that were let in since the queue was opened.
	Admitted uint64
	// Service is how long items were worked on.
	Service QueueHistogram
	// Classes are the figures that are kept by class. List every class.
	Classes []QueueClass
}

// QueueClass are the figures of those items of a queue that matter equally.
type QueueClass struct {
	// Class is the label class.
	Class string
	// Wait is how long items waited until they were worked on.
	Wait QueueHistogram
	// Rejected counts those that were turned away, by reason. List every reason, those with a
	// count of zero too, because a rate cannot see the step from nothing to one.
	Rejected map[string]uint64
	// WouldReject counts those that a dark queue let in although it would have turned them away,
	// by reason; nil for a queue that is not dark.
	WouldReject map[string]uint64
}

// QueueHistogram says how long something took.
type QueueHistogram struct {
	// Bounds are the upper bounds, inclusive, rising.
	Bounds []time.Duration
	// Counts are how many were up to each bound and above the one before; the last, one more than
	// there are bounds, those above all.
	Counts []uint64
	// Sum is how long all took together.
	Sum time.Duration
}

// RegisterQueues shows what source returns, each metric labelled by queue: the gauges
// queue_depth, queue_capacity, queue_inflight, queue_oldest_age_seconds, queue_tenants and
// queue_mode, 1 while the newest are served first; the counters queue_admitted_total,
// queue_rejected_total{reason,class} and, of dark queues alone,
// queue_would_reject_total{reason,class}; and the histograms queue_wait_seconds{class} and
// queue_service_seconds. source is called at each scrape, concurrently with itself when scrapes
// overlap.
func RegisterQueues(reg prometheus.Registerer, source func() []QueueStats) {
	queue := []string{"queue"}
	byClass := []string{"queue", "class"}
	byReason := []string{"queue", "reason", "class"}
	depth := prometheus.NewDesc("queue_depth", "Items that wait in the queue.", queue, nil)
	capacity := prometheus.NewDesc("queue_capacity", "Items that the queue can hold.", queue, nil)
	inFlight := prometheus.NewDesc("queue_inflight", "Items being worked on.", queue, nil)
	oldest := prometheus.NewDesc("queue_oldest_age_seconds", "How long the oldest item has waited.", queue, nil)
	mode := prometheus.NewDesc("queue_mode", "Order of work: 0 the oldest first, 1 the newest first, because of overload.", queue, nil)
	tenants := prometheus.NewDesc("queue_tenants", "Tenants whose items wait in the queue.", queue, nil)
	admitted := prometheus.NewDesc("queue_admitted_total", "Items let into the queue.", queue, nil)
	rejected := prometheus.NewDesc("queue_rejected_total", "Items turned away, by reason and class.", byReason, nil)
	would := prometheus.NewDesc("queue_would_reject_total", "Items that a dark queue let in and would have turned away, by reason and class.", byReason, nil)
	wait := prometheus.NewDesc("queue_wait_seconds", "Time that items waited before they were worked on.", byClass, nil)
	service := prometheus.NewDesc("queue_service_seconds", "Time that items were worked on.", queue, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		for _, q := range source() {
			emit.gauge(depth, float64(q.Depth), q.Name)
			emit.gauge(capacity, float64(q.Capacity), q.Name)
			emit.gauge(inFlight, float64(q.InFlight), q.Name)
			emit.gauge(oldest, q.OldestAge.Seconds(), q.Name)
			newest := 0.0
			if q.NewestFirst {
				newest = 1
			}
			emit.gauge(mode, newest, q.Name)
			emit.gauge(tenants, float64(q.Tenants), q.Name)
			emit.counter(admitted, q.Admitted, q.Name)
			emit.histogram(service, q.Service, q.Name)
			for _, c := range q.Classes {
				for reason, n := range c.Rejected {
					emit.counter(rejected, n, q.Name, reason, c.Class)
				}
				for reason, n := range c.WouldReject {
					emit.counter(would, n, q.Name, reason, c.Class)
				}
				emit.histogram(wait, c.Wait, q.Name, c.Class)
			}
		}
	}, depth, capacity, inFlight, oldest, mode, tenants, admitted, rejected, would, wait, service))
}

// LogStats are the figures of an access log.
type LogStats struct {
	// Lines were written, Dropped ones lost.
	Lines, Dropped uint64
	// Bytes were written.
	Bytes uint64
	// Errors counts failed writes.
	Errors uint64
	// Failing reports that the log is losing lines now.
	Failing bool
	// Buffered lines wait to be written.
	Buffered uint64
}

// RegisterAccessLog shows what source returns: the counters access_log_lines_total,
// access_log_dropped_total, access_log_bytes_total and access_log_errors_total, and the gauges
// access_log_buffered_lines and access_log_failing, 1 while lines are being lost. source is called at each scrape,
// concurrently with itself when scrapes overlap.
func RegisterAccessLog(reg prometheus.Registerer, source func() LogStats) {
	lines := prometheus.NewDesc("access_log_lines_total", "Access log lines written.", nil, nil)
	dropped := prometheus.NewDesc("access_log_dropped_total", "Access log lines lost.", nil, nil)
	bytes := prometheus.NewDesc("access_log_bytes_total", "Bytes written to the access log.", nil, nil)
	errors := prometheus.NewDesc("access_log_errors_total", "Writes to the access log that failed.", nil, nil)
	buffered := prometheus.NewDesc("access_log_buffered_lines", "Access log lines that wait to be written.", nil, nil)
	failing := prometheus.NewDesc("access_log_failing", "1 while the access log is losing lines.", nil, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		s := source()
		emit.counter(lines, s.Lines)
		emit.counter(dropped, s.Dropped)
		emit.counter(bytes, s.Bytes)
		emit.counter(errors, s.Errors)
		emit.gauge(buffered, float64(s.Buffered))
		value := 0.0
		if s.Failing {
			value = 1
		}
		emit.gauge(failing, value)
	}, lines, dropped, bytes, errors, buffered, failing))
}

// RegisterBuild shows which program runs, as build_info{service,version,revision,goversion} with
// the value 1. revision is that of version control, empty when it is not known.
func RegisterBuild(reg prometheus.Registerer, service, version, revision, goversion string) {
	info := prometheus.NewDesc("build_info", "What this process was built from; always 1.", []string{"service", "version", "revision", "goversion"}, nil)
	reg.MustRegister(newCollector(func(emit emitter) { emit.gauge(info, 1, service, version, revision, goversion) }, info))
}

// RegisterRuntime shows the Go runtime (go_…) and the process (process_…): memory, garbage
// collection, goroutines, CPU time, open files. Both tell of the whole process, which services
// that share one have in common.
func RegisterRuntime(reg prometheus.Registerer) {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// collector reads figures that somebody else keeps.
type collector struct {
	descs   []*prometheus.Desc
	collect func(emitter)
}

func newCollector(collect func(emitter), descs ...*prometheus.Desc) collector {
	return collector{descs, collect}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) { c.collect(emitter(ch)) }

// An emitter takes the values of one scrape.
type emitter chan<- prometheus.Metric

func (e emitter) counter(d *prometheus.Desc, n uint64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), allValid(labels)...)
}

func (e emitter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, allValid(labels)...)
}

func (e emitter) histogram(d *prometheus.Desc, h QueueHistogram, labels ...string) {
	var n uint64
	cumulative := make(map[float64]uint64, len(h.Bounds))
	for i, c := range h.Counts {
		n += c
		if i < len(h.Bounds) {
			cumulative[h.Bounds[i].Seconds()] = n
		}
	}
	e <- prometheus.MustNewConstHistogram(d, n, h.Sum.Seconds(), cumulative, allValid(labels)...)
}

// allValid makes labels valid in place, after which the Must functions have nothing to refuse.
func allValid(labels []string) []string {
	for i, l := range labels {
		labels[i] = valid(l)
	}
	return labels
}
