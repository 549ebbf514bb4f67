package kpi

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A family is a metric family of several generations.
type family struct {
	name       string
	kind       dto.MetricType
	help, unit *string
	rule       Rule
	rank       int // larger for what was added later
	series     map[string]*series
}

// of is the series with these labels, which are sorted.
func (f *family) of(labels []*dto.LabelPair) *series {
	var key []byte
	for _, l := range labels {
		// The byte 0xff is in no UTF-8.
		key = append(append(key, l.GetName()...), 0xff)
		key = append(append(key, l.GetValue()...), 0xff)
	}
	s := f.series[string(key)]
	if s == nil {
		s = &series{labels: labels}
		f.series[string(key)] = s
	}
	return s
}

// merged is the family as a Gatherer returns one.
func (f *family) merged() *dto.MetricFamily {
	out := f.header()
	for _, s := range f.sorted() {
		out.Metric = append(out.Metric, s.metric(f.kind, s.value.value()))
	}
	return out
}

// carried is the family with sums that are not rounded: what one float cannot hold follows as
// metrics of the same labels.
func (f *family) carried() *dto.MetricFamily {
	out := f.header()
	for _, s := range f.sorted() {
		parts := s.value.parts()
		out.Metric = append(out.Metric, s.metric(f.kind, parts[0]))
		for _, v := range parts[1:] {
			rest := &series{labels: s.labels}
			out.Metric = append(out.Metric, rest.metric(f.kind, v))
		}
	}
	return out
}

func (f *family) header() *dto.MetricFamily {
	return &dto.MetricFamily{Name: &f.name, Help: f.help, Type: &f.kind, Unit: f.unit}
}

// sorted returns the series as client_golang orders them: by the number of labels, then by their
// values.
func (f *family) sorted() []*series {
	all := make([]*series, 0, len(f.series))
	for _, s := range f.series {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *series) int {
		byLabel := func(text func(*dto.LabelPair) string) int {
			return slices.CompareFunc(a.labels, b.labels, func(x, y *dto.LabelPair) int { return strings.Compare(text(x), text(y)) })
		}
		return cmp.Or(
			cmp.Compare(len(a.labels), len(b.labels)),
			byLabel((*dto.LabelPair).GetValue),
			byLabel((*dto.LabelPair).GetName),
		)
	})
	return all
}

// A series is one label set of a family, added up over generations.
type series struct {
	labels []*dto.LabelPair
	value  exact // of a counter or a gauge to be summed, or the sum of a histogram or summary

	count     uint64
	buckets   []bucket      // by rising bound
	beyond    *dto.Exemplar // of what exceeds all bounds
	native    *native       // nil before the first histogram that has native buckets
	classic   bool          // observations were counted that are in no native bucket
	exemplars []*dto.Exemplar
	quantiles []*dto.Quantile
	created   *timestamppb.Timestamp // the oldest

	last *dto.Metric // a gauge that is not summed
}

// bucket counts the observations up to a bound that exceed the bound before.
type bucket struct {
	bound    float64
	count    uint64
	exemplar *dto.Exemplar
}

// accumulate adds a counter, histogram or summary.
func (s *series) accumulate(t dto.MetricType, m *dto.Metric, living bool) {
	switch t {
	case dto.MetricType_COUNTER:
		s.value.add(m.GetCounter().GetValue())
		s.age(m.GetCounter().GetCreatedTimestamp())
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		count := whole(h.GetSampleCount(), h.GetSampleCountFloat())
		s.value.add(h.GetSampleSum())
		s.count += count
		s.age(h.GetCreatedTimestamp())
		s.addBuckets(h.GetBucket())
		s.addNative(h, count)
	case dto.MetricType_SUMMARY:
		s.value.add(m.GetSummary().GetSampleSum())
		s.count += m.GetSummary().GetSampleCount()
		s.age(m.GetSummary().GetCreatedTimestamp())
		if living {
			s.quantiles = m.GetSummary().GetQuantile()
		}
	}
}

// addBuckets adds cumulative buckets. That of +Inf is the count, and needs none.
func (s *series) addBuckets(cumulative []*dto.Bucket) {
	var below uint64
	for _, b := range cumulative {
		bound := b.GetUpperBound()
		switch {
		case math.IsInf(bound, 1):
			s.beyond = newer(s.beyond, b.GetExemplar())
			continue
		case math.IsNaN(bound):
			continue
		}
		upTo := whole(b.GetCumulativeCount(), b.GetCumulativeCountFloat())
		i, ok := slices.BinarySearchFunc(s.buckets, bound, func(b bucket, bound float64) int { return cmp.Compare(b.bound, bound) })
		if !ok {
			s.buckets = slices.Insert(s.buckets, i, bucket{bound: bound})
		}
		s.buckets[i].count += upTo - below
		s.buckets[i].exemplar = newer(s.buckets[i].exemplar, b.GetExemplar())
		below = upTo
	}
}

// addNative adds the native buckets of h. A histogram that counted something without them leaves
// the series without: Prometheus refuses native buckets that do not add up to the count.
func (s *series) addNative(h *dto.Histogram, count uint64) {
	n := nativeOf(h)
	switch {
	case n == nil:
		s.classic = s.classic || count > 0
	case s.native == nil:
		s.native = n
	default:
		s.native.add(n)
	}
	s.exemplars = mergeExemplars(s.exemplars, h.GetExemplars())
}

// whole is a count, of which the float, if there is one, is a different form.
func whole(n uint64, float float64) uint64 {
	if float > 0 {
		return uint64(float)
	}
	return n
}

// age takes t for the created time stamp if it is older.
func (s *series) age(t *timestamppb.Timestamp) {
	if t != nil && (s.created == nil || t.AsTime().Before(s.created.AsTime())) {
		s.created = t
	}
}

// gauge adds a gauge, or something else that is not cumulative.
func (s *series) gauge(m *dto.Metric, rule Rule) {
	switch {
	case rule == Sum:
		s.value.add(m.GetGauge().GetValue())
	case rule == Max && s.last != nil && cmp.Compare(m.GetGauge().GetValue(), s.last.GetGauge().GetValue()) < 0:
	default:
		s.last = m
	}
}

// metric is the series with value for its sum.
func (s *series) metric(t dto.MetricType, value float64) *dto.Metric {
	m := &dto.Metric{Label: s.labels}
	switch {
	case t == dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: &value, CreatedTimestamp: s.created}
	case t == dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleCount: &s.count, SampleSum: &value, Bucket: s.cumulative(), CreatedTimestamp: s.created}
		if s.native != nil && !s.classic {
			s.native.write(m.Histogram)
			m.Histogram.Exemplars = s.exemplars
		}
	case t == dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleCount: &s.count, SampleSum: &value, Quantile: s.quantiles, CreatedTimestamp: s.created}
	case s.last == nil:
		m.Gauge = &dto.Gauge{Value: &value}
	default:
		m.Gauge, m.Untyped, m.Histogram = s.last.Gauge, s.last.Untyped, s.last.Histogram
	}
	return m
}

// cumulative returns the buckets as Prometheus has them.
func (s *series) cumulative() []*dto.Bucket {
	var upTo uint64
	out := make([]*dto.Bucket, len(s.buckets))
	for i, b := range s.buckets {
		upTo += b.count
		out[i] = &dto.Bucket{UpperBound: &b.bound, CumulativeCount: new(upTo), Exemplar: b.exemplar}
	}
	if s.beyond != nil {
		out = append(out, &dto.Bucket{UpperBound: new(math.Inf(1)), CumulativeCount: &s.count, Exemplar: s.beyond})
	}
	return out
}

// withWorker returns labels, which are sorted, with the number of a worker among them.
func withWorker(labels []*dto.LabelPair, worker int) []*dto.LabelPair {
	const name = "worker"
	taken := func(name string) bool {
		return slices.ContainsFunc(labels, func(l *dto.LabelPair) bool { return l.GetName() == name })
	}
	if i := slices.IndexFunc(labels, func(l *dto.LabelPair) bool { return l.GetName() == name }); i >= 0 {
		renamed := "exported_" + name
		for taken(renamed) {
			renamed = "exported_" + renamed
		}
		labels[i] = &dto.LabelPair{Name: &renamed, Value: labels[i].Value}
	}
	labels = append(labels, &dto.LabelPair{Name: new(name), Value: new(strconv.Itoa(worker))})
	sortLabels(labels)
	return labels
}

func sortLabels(labels []*dto.LabelPair) {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
}
