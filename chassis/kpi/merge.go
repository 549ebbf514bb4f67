package kpi

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// Rule says what becomes of a gauge when the figures of several worker processes are merged.
type Rule int

const (
	// Last takes each series from the newest living worker that has it. It is the rule of
	// gauges that none is named for.
	Last Rule = iota
	// Sum adds the living workers up: requests in flight, items in a queue.
	Sum
	// Max takes the largest value of the living workers; NaN is smaller than any other.
	Max
	// Newest takes the whole family from the newest living worker that has it, and no series
	// of older ones: for a metric whose labels are what it tells, as those of build_info.
	Newest
)

// rules are those of the gauges that this package makes.
var rules = map[string]Rule{
	"requests_in_flight":        Sum,
	"queue_depth":               Sum,
	"queue_inflight":            Sum,
	"queue_capacity":            Last,
	"queue_oldest_age_seconds":  Max,
	"queue_mode":                Max,
	"queue_tenants":             Max,
	"access_log_failing":        Max,
	"access_log_buffered_lines": Sum,
	"log_segments_waiting":      Max,
	"log_waiting_bytes":         Max,
	"log_upload_lag_seconds":    Max,
	"log_disk_bytes":            Max,
	"log_disk_budget_bytes":     Last,
	"connections":               Sum,
	"spool_records":             Last,
	"spool_held":                Last,
	"spool_parked":              Last,
	"spool_bytes":               Last,
	"spool_limit_bytes":         Last,
	"spool_oldest_age_seconds":  Last,
	"spool_blocked":             Sum,
	"projection_position":       Last,
	"projection_head":           Last,
	"projection_complete":       Last,
	"projection_failing":        Last,
	"kpi_series":                Max,
	"build_info":                Newest,
}

// A Merger makes one set of metrics of the snapshots of several worker processes, as if a single
// process had counted everything. Make one with [NewMerger]. It holds no figures and is safe for
// concurrent use.
//
//   - Counters, histograms and summaries are added up per label set over all generations, those
//     that have ended too. Sums are rounded once, at the end, so neither the order of the
//     generations nor what [Merger.Carry] put together changes the last bit of one, and none
//     falls. Histograms have the bounds of all generations; what one that lacks a bound has
//     counted up to the next higher one of its own is counted there.
//   - Gauges are those of living generations, by their [Rule]. Metrics without a type are taken
//     as [Last] has it, and so are gauge histograms.
//   - A summary's quantiles cannot be merged: they are the newest living generation's.
//   - Metrics whose names begin with go_ or process_ describe one process. Those of living
//     generations are listed side by side with the label worker, the generation's number;
//     Prometheus's own habit of renaming a label in the way to exported_worker is followed.
//     Generation 0 gets no label: it is a service that nobody supervises, whose metrics look as
//     if they had not been merged.
//   - Native buckets are added up as well: at the lowest resolution of all generations, with the
//     largest zero threshold, moved up to the end of a bucket. A series of which one generation
//     counted without native buckets has none, because they would not add up to its count.
//   - Texts are the newest generation's, created time stamps the oldest, exemplars the newest of
//     each bucket. Explicit time stamps are left out.
type Merger struct {
	rules map[string]Rule
}

// NewMerger returns a Merger with a rule for each gauge, by the name of its metric family. The
// gauges of this package need none, unless [Options].Namespace is part of their name. Rules for
// what is not a gauge are ignored. It panics on a rule that does not exist: a mistake in the
// program, found when it starts.
func NewMerger(gauges map[string]Rule) *Merger {
	m := &Merger{rules: maps.Clone(rules)}
	for name, rule := range gauges {
		if rule < Last || rule > Newest {
			panic(fmt.Sprintf("kpi: the gauge %s has rule %d, which does not exist", name, rule))
		}
		m.rules[name] = rule
	}
	return m
}

// A Generation is what one worker process has counted, or several that have ended, see
// [Merger.Carry].
type Generation struct {
	// Worker is the number of the worker generation; larger is newer, and of equal ones the
	// later argument.
	Worker int
	// Living is false when the process has ended. Only what is cumulative is then kept.
	Living bool
	// Data is the newest [Snapshot]; empty when nothing has been counted yet.
	Data []byte
}

// Merge returns the metrics of gens ordered as a [prometheus.Gatherer] orders them, for the
// encoders of Prometheus. The caller may keep and change them. Like a Gatherer it can return both
// metrics and an error, which tells what they lack:
//
//   - A snapshot that cannot be read, or is larger than [MaxSnapshot], is left out whole.
//   - When a name stands for metrics of different types, because a new version changed it, the
//     type of the newest generation that has the name wins, and figures of others are left out.
//     The same goes for names that get in each other's way, such as a histogram x and a counter
//     x_count.
func (m *Merger) Merge(gens ...Generation) ([]*dto.MetricFamily, error) {
	t, err := m.collect(gens)
	byName, conflicts := t.resolve()
	merged := make([]*dto.MetricFamily, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		merged = append(merged, byName[name].merged())
	}
	return merged, errors.Join(append([]error{err}, conflicts...)...)
}

// Carry merges generations that have ended into one snapshot, so that a service which reloads for
// years keeps two, not thousands. It holds what is cumulative, and is merged as an ended
// [Generation] with the number of the newest of gens: the result of Merge(Carry(a, b), c) is that
// of Merge(a, b, c), to the last bit, in any grouping. Living is ignored. As with Merge, an error
// comes with what could be read, unless that is more than [MaxSnapshot].
func (m *Merger) Carry(gens ...Generation) ([]byte, error) {
	ended := slices.Clone(gens)
	for i := range ended {
		ended[i].Living = false
	}
	t, err := m.collect(ended)
	var carried []*dto.MetricFamily
	// All types of a name are kept, the newest last, because which of them wins is not known
	// before the living generations are.
	for _, f := range slices.SortedFunc(maps.Values(t.families), func(a, b *family) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.rank, b.rank))
	}) {
		carried = append(carried, f.carried())
	}
	data, encodeErr := encode(carried)
	return data, errors.Join(err, encodeErr)
}

// collect puts all generations into one table, the oldest first. An error tells which of them
// could not be read.
func (m *Merger) collect(gens []Generation) (*table, error) {
	t := &table{rules: m.rules, families: make(map[familyKey]*family)}
	var errs []error
	for _, g := range slices.SortedStableFunc(slices.Values(gens), func(a, b Generation) int {
		return cmp.Compare(a.Worker, b.Worker)
	}) {
		families, err := decode(g.Data)
		if err != nil {
			errs = append(errs, fmt.Errorf("merge metrics: snapshot of worker %d: %w", g.Worker, err))
		}
		for _, f := range families {
			t.add(g, f)
		}
	}
	return t, errors.Join(errs...)
}

// A table holds the families of all generations while they are added up.
type table struct {
	rules    map[string]Rule
	families map[familyKey]*family
	added    int
}

type familyKey struct {
	name string
	kind dto.MetricType
}

// add puts a family of g into the table; g is not older than the generations before it.
func (t *table) add(g Generation, in *dto.MetricFamily) {
	single := describesProcess(in.GetName())
	if len(in.GetMetric()) == 0 || !g.Living && (single || !cumulative(in.GetType())) {
		return
	}
	key := familyKey{in.GetName(), in.GetType()}
	f := t.families[key]
	if f == nil {
		f = &family{name: key.name, kind: key.kind, series: make(map[string]*series)}
		if f.kind == dto.MetricType_GAUGE && !single {
			f.rule = t.rules[f.name]
		}
		t.families[key] = f
	}
	t.added++
	f.rank, f.help, f.unit = t.added, in.Help, in.Unit
	if f.rule == Newest {
		clear(f.series)
	}
	for _, metric := range in.GetMetric() {
		if single && g.Worker != 0 {
			metric.Label = withWorker(metric.GetLabel(), g.Worker)
		}
		s := f.of(metric.GetLabel())
		if cumulative(f.kind) {
			s.accumulate(f.kind, metric, g.Living)
		} else {
			s.gauge(metric, f.rule)
		}
	}
}

// resolve leaves one family of each name, the newest, and says what it left out.
func (t *table) resolve() (map[string]*family, []error) {
	var errs []error
	byName := make(map[string]*family)
	for _, f := range slices.SortedFunc(maps.Values(t.families), func(a, b *family) int { return cmp.Compare(a.rank, b.rank) }) {
		if old := byName[f.name]; old != nil {
			errs = append(errs, left(old, f))
		}
		byName[f.name] = f
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		for _, suffix := range suffixes(byName[name]) {
			f, other := byName[name], byName[name+suffix]
			switch {
			case f == nil || other == nil:
			case f.rank > other.rank:
				errs = append(errs, left(other, f))
				delete(byName, other.name)
			default:
				errs = append(errs, left(f, other))
				delete(byName, f.name)
			}
		}
	}
	return byName, errs
}

// left says that a family had to give way.
func left(old, winner *family) error {
	return fmt.Errorf("merge metrics: %s was a %s in an older worker and gives way to the newer %s %s: the older figures are left out",
		old.name, kind(old.kind), kind(winner.kind), winner.name)
}

// suffixes are what the text formats put behind the name of f.
func suffixes(f *family) []string {
	switch {
	case f == nil: // it has given way itself
		return nil
	case f.kind == dto.MetricType_SUMMARY:
		return []string{"_count", "_sum"}
	case f.kind == dto.MetricType_HISTOGRAM, f.kind == dto.MetricType_GAUGE_HISTOGRAM:
		return []string{"_bucket", "_count", "_sum"}
	}
	return nil
}

// cumulative reports whether what a process has counted outlives it.
func cumulative(t dto.MetricType) bool {
	return t == dto.MetricType_COUNTER || t == dto.MetricType_HISTOGRAM || t == dto.MetricType_SUMMARY
}

// describesProcess reports whether a metric is of a process rather than of the service.
func describesProcess(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}
