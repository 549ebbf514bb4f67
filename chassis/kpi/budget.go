package kpi

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultMaxSeries is how many time series a service makes when [Options] do not say.
const DefaultMaxSeries = 10_000

// A budget bounds the time series of a service. Each part that can grow reserves what its label
// [Other] needs before it grows, so that there is always somewhere to count: no caller, whatever
// it sends, makes more series than the budget has.
//
// A histogram is counted as the text format shows it: one series for each bucket, the sum and the
// count. It is safe for concurrent use.
type budget struct {
	max      int64
	used     atomic.Int64
	overflow atomic.Uint64
}

// take reserves n series and reports whether there were as many left.
func (b *budget) take(n int) bool {
	for {
		used := b.used.Load()
		if used+int64(n) > b.max {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			return true
		}
	}
}

// spilled counts a set of labels that was folded into Other.
func (b *budget) spilled() { b.overflow.Add(1) }

// collector shows the budget.
func (b *budget) collector(namespace string) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil)
	}
	used := desc("kpi_series", "Time series that routes, listeners and the service's own KPIs have reserved.")
	limit := desc("kpi_series_limit", "Time series that they may reserve.")
	overflow := desc("kpi_series_overflow_total", "Times that labels were folded into "+Other+" because a bound was reached.")
	return newCollector(func(emit emitter) {
		emit.gauge(used, float64(b.used.Load()))
		emit.gauge(limit, float64(b.max))
		emit.counter(overflow, b.overflow.Load())
	}, used, limit, overflow)
}
