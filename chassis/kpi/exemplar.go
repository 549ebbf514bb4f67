package kpi

import (
	"cmp"
	"encoding/hex"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// exemplarEvery is how often a route takes an exemplar at most. Scrapes come every few seconds and
// keep the last one of each bucket, so that more would be made to be thrown away.
const exemplarEvery = time.Second

// exemplars are traces of requests whose durations are in each classic bucket of a histogram.
type exemplars struct {
	next    atomic.Int64 // no exemplar is taken before, in Unix nanoseconds
	byClass [len(buckets) + 1]atomic.Pointer[dto.Exemplar]
}

// offer takes a request's trace for an exemplar of its bucket, unless it took one a moment ago.
func (e *exemplars) offer(class uint8, took time.Duration, trace [16]byte, at time.Time) {
	now, next := at.UnixNano(), e.next.Load()
	if now < next || !e.next.CompareAndSwap(next, now+int64(exemplarEvery)) {
		return
	}
	e.byClass[class].Store(&dto.Exemplar{
		Label: []*dto.LabelPair{{Name: new("trace_id"), Value: new(hex.EncodeToString(trace[:]))}},
		Value: new(took.Seconds()), Timestamp: timestamppb.New(at),
	})
}

func (e *exemplars) of(class int) *dto.Exemplar { return e.byClass[class].Load() }

// all are the exemplars by rising duration, as a native histogram has them.
func (e *exemplars) all() []*dto.Exemplar {
	var all []*dto.Exemplar
	for i := range e.byClass {
		if x := e.byClass[i].Load(); x != nil {
			all = append(all, x)
		}
	}
	return all
}

// maxExemplarRunes bounds the labels of an exemplar: OpenMetrics 1.0, section "Exemplars".
const maxExemplarRunes = 128

// newer is the exemplar with the later time stamp, b when they have the same; one that the
// encoders of Prometheus would refuse is none.
func newer(a, b *dto.Exemplar) *dto.Exemplar {
	switch {
	case !sound(b):
		return a
	case a == nil, a.GetTimestamp() == nil:
		return b
	case b.GetTimestamp() == nil, b.GetTimestamp().AsTime().Before(a.GetTimestamp().AsTime()):
		return a
	}
	return b
}

// sound reports whether an encoder takes e.
func sound(e *dto.Exemplar) bool {
	if e == nil || e.Value == nil || e.Timestamp != nil && !e.Timestamp.IsValid() {
		return false
	}
	runes := 0
	for i, l := range e.GetLabel() {
		if l.GetName() == "" || !utf8.ValidString(l.GetName()) || !utf8.ValidString(l.GetValue()) ||
			slices.ContainsFunc(e.GetLabel()[:i], func(other *dto.LabelPair) bool { return other.GetName() == l.GetName() }) {
			return false
		}
		runes += utf8.RuneCountInString(l.GetName()) + utf8.RuneCountInString(l.GetValue())
	}
	return runes <= maxExemplarRunes
}

// maxExemplars bounds the exemplars of one series that has native buckets: as many as a histogram
// of this package makes.
const maxExemplars = len(buckets) + 1

// mergeExemplars keeps the newest of the exemplars of native buckets, by rising value; those
// without a time stamp, which Prometheus refuses there, are left out. a has been merged before.
func mergeExemplars(a, b []*dto.Exemplar) []*dto.Exemplar {
	all := slices.Clone(a)
	for _, e := range b {
		if sound(e) && e.Timestamp != nil {
			all = append(all, e)
		}
	}
	if len(all) > maxExemplars {
		slices.SortFunc(all, func(x, y *dto.Exemplar) int {
			return cmp.Or(y.GetTimestamp().AsTime().Compare(x.GetTimestamp().AsTime()), byValue(x, y))
		})
		all = all[:maxExemplars]
	}
	slices.SortFunc(all, byValue)
	return all
}

// byValue orders exemplars by value, and equal ones by their labels and time, so that there is
// one order.
func byValue(x, y *dto.Exemplar) int {
	return cmp.Or(
		cmp.Compare(x.GetValue(), y.GetValue()),
		slices.CompareFunc(x.GetLabel(), y.GetLabel(), func(a, b *dto.LabelPair) int {
			return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetValue(), b.GetValue()))
		}),
		x.GetTimestamp().AsTime().Compare(y.GetTimestamp().AsTime()),
	)
}
