package report

import (
	"math"
	"math/bits"
)

// precision is the number of bits that a histogram keeps of a value: buckets are at most 1/128 of their values
// wide.
const precision = 7

// A Histogram counts durations in buckets whose width grows with the value, as HdrHistogram does it (Gil
// Tene, hdrhistogram.org): 128 between a power of two and the next. A quantile is the middle of its bucket,
// which is at most 0.4 % away from the value. It holds 8 bytes for each bucket between the smallest and the
// largest value, which is 1 KiB for each doubling. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	counts   []uint64
	first    int // the bucket of counts[0]
	n, sum   uint64
	min, max uint64
}

// mostBucketed is the largest duration with a bucket of its own, 203 days in µs; larger ones share the last.
const mostBucketed = 1<<44 - 1

func bucketOf(us uint64) int {
	us = min(us, mostBucketed)
	shift := max(bits.Len64(us)-precision-1, 0)
	return shift<<precision + int(us>>shift)
}

// bucketStart is the smallest value of a bucket, and width how many it has.
func bucketStart(bucket int) (start, width uint64) {
	shift := max(bucket>>precision-1, 0)
	return uint64(bucket-shift<<precision) << shift, 1 << shift
}

// Add counts a duration in µs.
func (h *Histogram) Add(us uint64) {
	if h.n == 0 || us < h.min {
		h.min = us
	}
	h.max = max(h.max, us)
	h.n++
	h.sum += us
	bucket := bucketOf(us)
	if bucket < h.first || bucket >= h.first+len(h.counts) {
		h.reach(bucket, bucket)
	}
	h.counts[bucket-h.first]++
}

// reach makes room for the buckets from low to high.
func (h *Histogram) reach(low, high int) {
	const spare = 16 // buckets on either side, so that room is rarely made
	if len(h.counts) == 0 {
		h.first, h.counts = low, make([]uint64, high-low+1, high-low+1+spare)
		return
	}
	if end := h.first + len(h.counts); low >= h.first && high < h.first+cap(h.counts) {
		h.counts = h.counts[:max(high+1, end)-h.first]
		return
	}
	first, end := h.first, h.first+len(h.counts)
	if low < first {
		first = max(low-spare, 0)
	}
	end = max(end, high+1)
	counts := make([]uint64, end-first, end-first+spare)
	copy(counts[h.first-first:], h.counts)
	h.first, h.counts = first, counts
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	if other.n == 0 {
		return
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.n += other.n
	h.sum += other.sum
	if low, high := other.first, other.first+len(other.counts)-1; low < h.first || high >= h.first+len(h.counts) {
		h.reach(low, high)
	}
	for i, n := range other.counts {
		h.counts[other.first+i-h.first] += n
	}
}

// Reset empties h and keeps its room.
func (h *Histogram) Reset() {
	*h = Histogram{counts: h.counts[:0]}
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.n }

// Sum is that of all durations, in µs, exactly.
func (h *Histogram) Sum() uint64 { return h.sum }

// Max is the largest, in µs, exactly.
func (h *Histogram) Max() uint64 { return h.max }

// Mean is that of all durations, in µs, 0 for none.
func (h *Histogram) Mean() uint64 {
	if h.n == 0 {
		return 0
	}
	return h.sum / h.n
}

// Quantile is the smallest duration in µs that at least the part q of all, from 0 to 1, are not above,
// 0 if there is none.
func (h *Histogram) Quantile(q float64) uint64 {
	if h.n == 0 {
		return 0
	}
	rank := min(max(uint64(ceil(q*float64(h.n))), 1), h.n)
	for i, n := range h.counts {
		if n >= rank {
			start, width := bucketStart(h.first + i)
			return min(max(start+width/2, h.min), h.max)
		}
		rank -= n
	}
	return h.max
}

// ceil is x rounded up, where what floating point adds to a whole number is none: 0.999 of 1000 is 999.
func ceil(x float64) float64 {
	whole := float64(uint64(x))
	if x-whole > 1e-9*x {
		whole++
	}
	return whole
}

// bars are what was counted in steps for plots, without those at both ends that are empty. A bucket counts
// where its middle is.
func (h *Histogram) bars() []HistogramBar {
	var bars []HistogramBar
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		start, width := bucketStart(h.first + i)
		step := 0
		if middle := float64(start) + float64(width-1)/2; middle > 1 {
			step = int(math.Floor(10*math.Log10(middle) + 1e-9))
		}
		for len(bars) > 0 && bars[len(bars)-1].Step < step-1 {
			bars = append(bars, bar(bars[len(bars)-1].Step+1))
		}
		if len(bars) == 0 || bars[len(bars)-1].Step < step {
			bars = append(bars, bar(step))
		}
		bars[len(bars)-1].Count += n
	}
	return bars
}

func bar(step int) HistogramBar {
	return HistogramBar{Step: step, Start: uint64(math.Round(math.Pow(10, float64(step)/10)))}
}
