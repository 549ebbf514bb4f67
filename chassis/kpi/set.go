package kpi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxKPIs bounds what a service declares.
	maxKPIs = 500
	// maxLabels bounds the labels of one KPI.
	maxLabels = 4
	// maxValues bounds the sets of label values of one KPI; more share the values Other.
	maxValues = 100
)

// A Set holds the KPIs that are a service's own. A line declares one:
//
//	started := s.KPI().Counter("games_started", "Games started.")
//	ended := s.KPI().Counter("games_ended", "Games that ended, by how.", "ending")
//	think := s.KPI().Histogram("bot_think_seconds", "Time a bot took for a move.").
//		Objective(kpi.Objective{Value: 2, Why: "people wait for the bot"})
//
//	started.Inc()
//	ended.With("draw").Inc()
//
// A KPI without labels is in the metrics from the start, at zero, because a rate cannot see the
// step from nothing to one; of one with labels, each set of values is from the first With.
// One KPI has 100 sets of values at most, and all series are within the service's budget
// (Options.MaxSeries): what exceeds either is counted under the values [Other].
//
// A declaration panics when a name is taken, or is none by Prometheus's conventions: they are
// written in the code. Names are without _total, which counters get. While a service reloads,
// counters and histograms of its processes are added up, gauges as [Gauge.Merge] says.
//
// All methods of the set and its KPIs are safe for concurrent use. Counting takes no lock, but for
// the first use of label values.
type Set struct {
	registerer prometheus.Registerer
	budget     *budget

	mu    sync.Mutex
	kpis  map[string]*measure
	rules map[string]Rule
}

func newSet(r prometheus.Registerer, b *budget) *Set {
	return &Set{registerer: r, budget: b, kpis: make(map[string]*measure), rules: make(map[string]Rule)}
}

type kpiKind string

const (
	counterKPI   kpiKind = "counter"
	gaugeKPI     kpiKind = "gauge"
	histogramKPI kpiKind = "histogram"
)

// A measure is one declared KPI: its description and its series by label values.
type measure struct {
	set       *Set
	name      string // as in the metrics
	help      string
	kind      kpiKind
	labels    []string
	cost      int
	make      func(values []string) prometheus.Metric
	objective atomic.Pointer[Objective]

	series atomic.Pointer[map[string]prometheus.Metric] // replaced, never changed
	mu     sync.Mutex                                   // held while one is added
}

// declare adds a KPI and returns it with its only series, nil when it has labels.
func (s *Set) declare(m *measure, collector prometheus.Collector) prometheus.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	base := strings.TrimSuffix(m.name, "_total")
	err := checkName(base)
	if err == nil {
		err = checkLabels(m.labels)
	}
	switch {
	case err != nil:
	case m.help == "":
		err = fmt.Errorf("it has no help; say in a sentence what it measures")
	case s.kpis[m.name] != nil:
		err = fmt.Errorf("it is declared twice")
	case len(s.kpis) == maxKPIs:
		err = fmt.Errorf("the service has %d KPIs already, the most there may be", maxKPIs)
	case !s.budget.take(m.cost): // of the only series, or of that with the values Other
		err = fmt.Errorf("the budget of %d time series is spent", s.budget.max)
	}
	if err == nil {
		err = s.registerer.Register(collector)
	}
	if err != nil {
		panic(fmt.Sprintf("kpi: the %s %s: %v", m.kind, m.name, err))
	}
	m.set = s
	s.kpis[m.name] = m
	m.series.Store(&map[string]prometheus.Metric{})
	if len(m.labels) > 0 {
		return nil
	}
	only := m.make(nil)
	m.series.Store(&map[string]prometheus.Metric{"": only})
	return only
}

// with finds or makes the series of label values. Each value ends with a byte that is in no UTF-8.
func (m *measure) with(values []string) prometheus.Metric {
	if len(values) != len(m.labels) {
		panic(fmt.Sprintf("kpi: the %s %s has the labels %q, but With got %d values", m.kind, m.name, m.labels, len(values)))
	}
	var buf [128]byte
	key := buf[:0]
	for _, v := range values {
		key = append(append(key, v...), 0xff)
	}
	if series, ok := (*m.series.Load())[string(key)]; ok {
		return series
	}
	return m.add(string(key), slices.Clone(values)) // the clone keeps values from the heap
}

func (m *measure) add(key string, values []string) prometheus.Metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.series.Load()
	if series, ok := known[key]; ok {
		return series
	}
	const other = Other + "\xff"
	rest := strings.Repeat(other, len(values)) // which declare has paid for
	fits := !slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) && len(known) < maxValues
	if key != rest && (!fits || !m.set.budget.take(m.cost)) {
		m.set.budget.spilled()
		key = rest
		for i := range values {
			values[i] = Other
		}
		if series, ok := known[key]; ok {
			return series
		}
	}
	series := m.make(values)
	larger := maps.Clone(known)
	larger[key] = series
	m.series.Store(&larger)
	return series
}

// one is the only series of a KPI without labels.
func (m *measure) one(series prometheus.Metric) prometheus.Metric {
	if series == nil {
		panic(fmt.Sprintf("kpi: the %s %s has the labels %q: name their values by With", m.kind, m.name, m.labels))
	}
	return series
}

// A Counter counts what happens. It never falls.
type Counter struct {
	m    *measure
	only prometheus.Metric // nil when it has labels
}

// Counter declares a counter, whose metric is called name with _total behind it. labels are the
// names of its labels; their values are given by [Counter.With].
func (s *Set) Counter(name, help string, labels ...string) *Counter {
	if base, found := strings.CutSuffix(name, "_total"); found {
		panic(fmt.Sprintf("kpi: the counter %s: _total is added to the name; want %s", name, base))
	}
	m := &measure{name: name + "_total", help: help, kind: counterKPI, labels: labels, cost: 1}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.name, Help: help}, labels)
	m.make = func(values []string) prometheus.Metric { return vec.WithLabelValues(values...) }
	return &Counter{m, s.declare(m, vec)}
}

// With is the counter with values for its labels, in their order. Values known beforehand are best
// named once in Setup, so that they show from the start.
func (c *Counter) With(values ...string) prometheus.Counter {
	return c.m.with(values).(prometheus.Counter)
}

// Inc counts one.
func (c *Counter) Inc() { c.m.one(c.only).(prometheus.Counter).Inc() }

// Add counts n, which must not be below zero.
func (c *Counter) Add(n float64) { c.m.one(c.only).(prometheus.Counter).Add(n) }

// Objective says what the counter's rate is held against, and returns the counter.
func (c *Counter) Objective(o Objective) *Counter {
	c.m.aim(o)
	return c
}

// A Gauge is something that rises and falls.
type Gauge struct {
	m    *measure
	only prometheus.Metric // nil when it has labels or a function
}

// Gauge declares a gauge. labels are the names of its labels; their values are given by
// [Gauge.With].
func (s *Set) Gauge(name, help string, labels ...string) *Gauge {
	m := &measure{name: name, help: help, kind: gaugeKPI, labels: labels, cost: 1}
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.make = func(values []string) prometheus.Metric { return vec.WithLabelValues(values...) }
	return &Gauge{m, s.declare(m, vec)}
}

// GaugeFunc declares a gauge whose value is what f returns. f is called at each scrape, several
// times at once when scrapes overlap. Set and its like panic.
func (s *Set) GaugeFunc(name, help string, f func() float64) *Gauge {
	m := &measure{name: name, help: help, kind: gaugeKPI, cost: 1}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	m.make = func([]string) prometheus.Metric { return gauge }
	s.declare(m, gauge)
	return &Gauge{m, nil}
}

// With is the gauge with values for its labels, in their order.
func (g *Gauge) With(values ...string) prometheus.Gauge { return g.m.with(values).(prometheus.Gauge) }

// Set sets the gauge.
func (g *Gauge) Set(v float64) { g.m.one(g.only).(prometheus.Gauge).Set(v) }

// Add adds to the gauge; v may be below zero.
func (g *Gauge) Add(v float64) { g.m.one(g.only).(prometheus.Gauge).Add(v) }

// Inc adds one.
func (g *Gauge) Inc() { g.Add(1) }

// Dec takes one away.
func (g *Gauge) Dec() { g.Add(-1) }

// Merge says what a scrape shows of the gauge while several processes of the service live, as they
// do during a reload; [Last] if nothing is said. It returns the gauge.
func (g *Gauge) Merge(r Rule) *Gauge {
	if r < Last || r > Newest {
		panic(fmt.Sprintf("kpi: the gauge %s has rule %d, which does not exist", g.m.name, r))
	}
	g.m.set.mu.Lock()
	defer g.m.set.mu.Unlock()
	g.m.set.rules[g.m.name] = r
	return g
}

// Objective says what the gauge's value is held against, and returns the gauge.
func (g *Gauge) Objective(o Objective) *Gauge {
	g.m.aim(o)
	return g
}

// A Histogram says how values are distributed: durations, sizes.
type Histogram struct {
	m    *measure
	only prometheus.Metric // nil when it has labels
}

// Histogram declares a histogram, native and classic at once. Its classic bounds go by the unit
// that the name ends with: 0.5 ms to 10 s for _seconds, 64 B to 16 MiB for _bytes, hundredths for
// _ratio, and powers of two from 1 to 8192 for anything else. labels are the names of its labels;
// their values are given by [Histogram.With].
func (s *Set) Histogram(name, help string, labels ...string) *Histogram {
	bounds := boundsFor(name)
	m := &measure{name: name, help: help, kind: histogramKPI, labels: labels, cost: len(bounds) + 3}
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: bounds,
		// Schema 3, as of durations; with more buckets than that it becomes coarser.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}, labels)
	m.make = func(values []string) prometheus.Metric {
		return vec.WithLabelValues(values...).(prometheus.Histogram)
	}
	return &Histogram{m, s.declare(m, vec)}
}

func boundsFor(name string) []float64 {
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return buckets[:]
	case strings.HasSuffix(name, "_bytes"):
		return prometheus.ExponentialBuckets(64, 4, 10)
	case strings.HasSuffix(name, "_ratio"):
		return []float64{.01, .02, .05, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99, 1}
	}
	return prometheus.ExponentialBuckets(1, 2, 14)
}

// With is the histogram with values for its labels, in their order.
func (h *Histogram) With(values ...string) prometheus.Observer {
	return h.m.with(values).(prometheus.Histogram)
}

// Observe counts v.
func (h *Histogram) Observe(v float64) { h.m.one(h.only).(prometheus.Histogram).Observe(v) }

// Objective says what a quantile is held against, and returns the histogram.
func (h *Histogram) Objective(o Objective) *Histogram {
	h.m.aim(o)
	return h
}

// aim keeps an objective.
func (m *measure) aim(o Objective) { m.objective.Store(o.complete(m.name, m.kind)) }

// Rules returns how the gauges of the set are merged, by name, for [NewMerger].
func (s *Set) Rules() map[string]Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rules)
}

// A Measure describes one KPI of a service's own and its figures.
type Measure struct {
	Name   string
	Type   string // counter, gauge or histogram
	Help   string
	Labels []string
	// Objective is nil when none is set.
	Objective *Objective
	// Values are ordered by their labels.
	Values []MeasureValue
}

// MeasureValue is the figure of one set of label values.
type MeasureValue struct {
	// Labels are the values, in the order of Measure.Labels.
	Labels []string
	// Value is that of a counter or gauge, or the mean of a histogram, NaN before its first
	// observation.
	Value float64
	// Count is how much a histogram has observed.
	Count uint64
}

// Measures returns what has been declared, by name, with the figures of this process.
func (s *Set) Measures() []Measure {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Measure, 0, len(s.kpis))
	for _, name := range slices.Sorted(maps.Keys(s.kpis)) {
		m := s.kpis[name]
		d := Measure{Name: m.name, Type: string(m.kind), Help: m.help, Labels: slices.Clone(m.labels), Objective: m.objective.Load()}
		series := *m.series.Load()
		for _, key := range slices.Sorted(maps.Keys(series)) {
			var v MeasureValue
			if key != "" {
				v.Labels = strings.Split(strings.TrimSuffix(key, "\xff"), "\xff")
			}
			switch value := read(series[key]); m.kind {
			case counterKPI:
				v.Value = value.GetCounter().GetValue()
			case gaugeKPI:
				v.Value = value.GetGauge().GetValue()
			case histogramKPI:
				h := value.GetHistogram()
				v.Count, v.Value = h.GetSampleCount(), h.GetSampleSum()/float64(h.GetSampleCount())
			}
			d.Values = append(d.Values, v)
		}
		out = append(out, d)
	}
	return out
}
