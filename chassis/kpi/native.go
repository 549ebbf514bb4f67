package kpi

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	dto "github.com/prometheus/client_model/go"
)

// The schemas of native histograms with exponential buckets
// (https://prometheus.io/docs/specs/native_histograms/#schema): in schema s, bucket k holds what
// is above 2^((k-1)/2^s) and not above 2^(k/2^s).
const (
	minSchema = -4
	maxSchema = 8
)

// maxNative bounds the native buckets of one series in a snapshot: all that schema 3 has for any
// float64 there is.
const maxNative = 1 << 14

// A native is the sparse buckets of one series, added up. Bounds are kept as keys of buckets,
// which are exact, so that neither the order nor the grouping of additions changes anything.
type native struct {
	schema int32
	// zeroKey is the bucket at whose upper bound the bucket of zero ends; noZero when it holds
	// only what is exactly zero. A threshold inside a bucket is moved up to that bucket's end:
	// what the bucket holds cannot be told apart.
	zeroKey            int32
	zero               uint64
	positive, negative map[int32]uint64
}

const noZero = math.MinInt32

// nativeOf reads the native buckets of h, nil when it has none. They have passed checkNative.
func nativeOf(h *dto.Histogram) *native {
	if !isNative(h) {
		return nil
	}
	n := &native{schema: h.GetSchema(), zeroKey: noZero, zero: h.GetZeroCount()}
	if t := h.GetZeroThreshold(); t > 0 {
		n.zeroKey = nativeKey(n.schema, t)
	}
	n.positive = unpack(h.GetPositiveSpan(), h.GetPositiveDelta())
	n.negative = unpack(h.GetNegativeSpan(), h.GetNegativeDelta())
	n.absorb()
	return n
}

// isNative reports whether h has native buckets, empty ones too. Those with fractional counts,
// which only queries make, and those with bounds of their own are not taken for any.
func isNative(h *dto.Histogram) bool {
	return h.Schema != nil && h.GetSchema() >= minSchema && h.GetSchema() <= maxSchema &&
		h.GetSampleCountFloat() <= 0 && h.GetZeroCountFloat() <= 0 && len(h.GetPositiveCount())+len(h.GetNegativeCount()) == 0
}

// checkNative refuses native buckets that no encoder makes.
func checkNative(h *dto.Histogram) error {
	if h == nil || !isNative(h) {
		return nil
	}
	if t := h.GetZeroThreshold(); math.IsNaN(t) || math.IsInf(t, 0) || t < 0 {
		return fmt.Errorf("a zero threshold of %v", t)
	}
	return errors.Join(checkSpans(h.GetPositiveSpan(), h.GetPositiveDelta()), checkSpans(h.GetNegativeSpan(), h.GetNegativeDelta()))
}

func checkSpans(spans []*dto.BucketSpan, deltas []int64) error {
	var length, key, count int64
	for i, s := range spans {
		if i > 0 && s.GetOffset() < 0 {
			return fmt.Errorf("a span of native buckets that begins %d before the end of the last", -int64(s.GetOffset()))
		}
		length += int64(s.GetLength())
		if key += int64(s.GetOffset()) + int64(s.GetLength()); key < math.MinInt32/2 || key > math.MaxInt32/2 {
			return errors.New("a native bucket beyond all numbers")
		}
	}
	if length != int64(len(deltas)) || length > maxNative {
		return fmt.Errorf("%d native buckets in spans of %d; %d are the most", len(deltas), length, maxNative)
	}
	for _, d := range deltas {
		if count += d; count < 0 {
			return errors.New("a native bucket with less than nothing")
		}
	}
	return nil
}

// unpack is the counts of buckets by their keys.
func unpack(spans []*dto.BucketSpan, deltas []int64) map[int32]uint64 {
	counts := make(map[int32]uint64)
	var key int32
	var count int64
	for _, s := range spans {
		key += s.GetOffset()
		for range s.GetLength() {
			count, deltas = count+deltas[0], deltas[1:]
			if count > 0 {
				counts[key] += uint64(count)
			}
			key++
		}
	}
	return counts
}

// add adds o, which is left as it is.
func (n *native) add(o *native) {
	o = &native{o.schema, o.zeroKey, o.zero, maps.Clone(o.positive), maps.Clone(o.negative)}
	coarsest := min(n.schema, o.schema)
	n.reduce(coarsest)
	o.reduce(coarsest)
	n.zeroKey = max(n.zeroKey, o.zeroKey)
	n.zero += o.zero
	for key, count := range o.positive {
		n.positive[key] += count
	}
	for key, count := range o.negative {
		n.negative[key] += count
	}
	n.absorb()
}

// reduce lowers the resolution: each step merges two buckets.
func (n *native) reduce(schema int32) {
	for ; n.schema > schema; n.schema-- {
		n.positive, n.negative = halved(n.positive), halved(n.negative)
		if n.zeroKey != noZero {
			n.zeroKey = halfKey(n.zeroKey)
		}
	}
	n.absorb()
}

// halfKey is the bucket of the next lower schema that holds bucket key: half of it, rounded up.
func halfKey(key int32) int32 { return (key + 1) >> 1 }

func halved(counts map[int32]uint64) map[int32]uint64 {
	out := make(map[int32]uint64, len(counts))
	for key, count := range counts {
		out[halfKey(key)] += count
	}
	return out
}

// absorb moves into the bucket of zero what lies within its bound.
func (n *native) absorb() {
	for _, counts := range []map[int32]uint64{n.positive, n.negative} {
		for key, count := range counts {
			if key <= n.zeroKey {
				n.zero += count
				delete(counts, key)
			}
		}
	}
}

// write puts the buckets into h.
func (n *native) write(h *dto.Histogram) {
	h.Schema, h.ZeroCount, h.ZeroThreshold = new(n.schema), new(n.zero), new(0.0)
	if n.zeroKey != noZero {
		h.ZeroThreshold = new(nativeBound(n.schema, n.zeroKey))
	}
	h.PositiveSpan, h.PositiveDelta = pack(n.positive)
	h.NegativeSpan, h.NegativeDelta = pack(n.negative)
	if h.GetZeroThreshold() == 0 && n.zero == 0 && len(n.positive)+len(n.negative) == 0 {
		// A span of no buckets is the sign by which scrapers know an empty native histogram.
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(0))}}
	}
}

// maxGap is how many empty buckets are written rather than begun a new span after, which takes
// more bytes.
const maxGap = 2

// pack is the reverse of unpack.
func pack(counts map[int32]uint64) (spans []*dto.BucketSpan, deltas []int64) {
	var last int64
	var next int32 // the key after the last bucket written
	for i, key := range slices.Sorted(maps.Keys(counts)) {
		gap := key - next
		if i == 0 || gap > maxGap {
			spans = append(spans, &dto.BucketSpan{Offset: new(gap), Length: new(uint32(0))})
			gap = 0
		}
		span := spans[len(spans)-1]
		for range gap {
			deltas = append(deltas, -last)
			last = 0
		}
		*span.Length += uint32(gap) + 1
		deltas = append(deltas, int64(counts[key])-last)
		last, next = int64(counts[key]), key+1
	}
	return spans, deltas
}

// nativeBound is the upper bound of a bucket.
func nativeBound(schema, key int32) float64 {
	if schema <= 0 {
		return math.Ldexp(1, int(key)<<-schema)
	}
	octave, step := key>>schema, key&(1<<schema-1)
	return math.Ldexp(stepBound(schema, step), int(octave)+1)
}

// stepBound is the bound between 1/2 and 1 at step of 2^schema.
func stepBound(schema, step int32) float64 {
	if step == 0 {
		return 0.5 // exactly, as powers of two are
	}
	return math.Exp2(float64(step)/float64(int32(1)<<schema) - 1)
}

// nativeKey is the bucket that holds v, which is above zero and finite; the reverse of
// nativeBound.
func nativeKey(schema int32, v float64) int32 {
	frac, exp := math.Frexp(v) // v = frac × 2^exp, frac from 1/2 to below 1
	if schema <= 0 {
		key := int32(exp)
		if frac == 0.5 {
			key--
		}
		for range -schema {
			key = halfKey(key)
		}
		return key
	}
	steps := int32(1) << schema
	step := sort.Search(int(steps), func(i int) bool { return stepBound(schema, int32(i)) >= frac })
	return (int32(exp)-1)<<schema + int32(step)
}
