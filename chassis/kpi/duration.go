package kpi

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Durations are counted once and shown twice: as a classic histogram, whose 14 bounds every
// scraper knows, and as a native one (https://prometheus.io/docs/specs/native_histograms/) of
// schema 3, whose buckets grow by 9 % each, for scrapers that ask for protobuf. client_golang can
// do both as well, but looks each native bucket up in a sync.Map, at an allocation for durations
// below 32 ms; here an observation adds to one cell of a table.
//
// The cells are what the bounds of both histograms cut time into, so both are always sums of the
// same cells and agree, also while requests are being counted.
const (
	nativeSchema = 3
	perOctave    = 1 << nativeSchema
	// zeroKey is the native bucket that ends at 2⁻²⁰ s, 0.95 µs: all up to there are in the
	// bucket of zero.
	zeroKey = -20 * perOctave
	// lastKey is the bucket that ends at 2¹⁷ s, a day and a half; what took longer is in it too.
	lastKey = 17 * perOctave
)

// buckets are the upper bounds of the classic duration histogram in seconds.
var buckets = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// scale is the table of cells. It does not change.
var scale = newCells()

// cells are adjoining spans of time.
type cells struct {
	bounds  []int64 // upper bounds in nanoseconds, inclusive; the last cell has none
	native  []int32 // the native bucket of each cell, zeroKey for the bucket of zero
	classic []uint8 // the classic bucket of each cell, len(buckets) for +Inf
	// first is the first cell that can hold a duration whose nanoseconds have so many bits.
	first [65]uint16
}

func newCells() *cells {
	c := new(cells)
	for key := zeroKey; key < lastKey; key++ {
		c.bounds = append(c.bounds, int64(nativeBound(nativeSchema, int32(key))*1e9))
	}
	for _, b := range buckets {
		c.bounds = append(c.bounds, int64(math.Round(b*1e9)))
	}
	slices.Sort(c.bounds)
	c.bounds = slices.Compact(c.bounds)
	for i := range len(c.bounds) + 1 {
		key, class := int32(lastKey), len(buckets)
		if i < len(c.bounds) {
			upper := float64(c.bounds[i]) / 1e9
			key = nativeKey(nativeSchema, upper)
			class, _ = slices.BinarySearch(buckets[:], upper)
		}
		c.native = append(c.native, max(key, zeroKey))
		c.classic = append(c.classic, uint8(class))
	}
	for n := range c.first {
		lowest := int64(0)
		if n > 0 {
			lowest = 1 << min(n-1, 62)
		}
		i, _ := slices.BinarySearch(c.bounds, lowest)
		c.first[n] = uint16(i)
	}
	return c
}

// of is the cell of a duration of zero or more.
func (c *cells) of(d time.Duration) int {
	ns := int64(d)
	i := int(c.first[bits.Len64(uint64(ns))])
	for i < len(c.bounds) && ns > c.bounds[i] {
		i++
	}
	return i
}

// durations is the histogram of one route. It implements prometheus.Metric.
type durations struct {
	desc    *prometheus.Desc
	labels  []*dto.LabelPair // sorted by name
	created *timestamppb.Timestamp

	cells     []atomic.Uint64
	sum       atomic.Uint64 // the bits of a float, in seconds
	exemplars exemplars
}

func newDurations(desc *prometheus.Desc, labels []*dto.LabelPair, now time.Time) *durations {
	return &durations{desc: desc, labels: labels, created: timestamppb.New(now), cells: make([]atomic.Uint64, len(scale.native))}
}

// observe counts a duration of zero or more, and returns its cell.
func (d *durations) observe(took time.Duration) int {
	cell := scale.of(took)
	d.cells[cell].Add(1)
	for {
		old := d.sum.Load()
		sum := math.Float64frombits(old) + took.Seconds()
		if d.sum.CompareAndSwap(old, math.Float64bits(sum)) {
			return cell
		}
	}
}

// addTo adds the cells to counts, which has as many.
func (d *durations) addTo(counts []uint64) {
	for i := range d.cells {
		counts[i] += d.cells[i].Load()
	}
}

// counts reads all cells.
func (d *durations) counts() []uint64 {
	counts := make([]uint64, len(d.cells))
	d.addTo(counts)
	return counts
}

func (d *durations) seconds() float64 { return math.Float64frombits(d.sum.Load()) }

// Desc implements prometheus.Metric.
func (d *durations) Desc() *prometheus.Desc { return d.desc }

// Write implements prometheus.Metric.
func (d *durations) Write(out *dto.Metric) error {
	counts := d.counts()
	h := &dto.Histogram{SampleSum: new(d.seconds()), CreatedTimestamp: d.created}
	var byClass [len(buckets) + 1]uint64
	var total uint64
	n := &native{schema: nativeSchema, zeroKey: zeroKey, positive: make(map[int32]uint64)}
	for i, count := range counts {
		total += count
		byClass[scale.classic[i]] += count
		switch key := scale.native[i]; {
		case count == 0:
		case key == zeroKey:
			n.zero += count
		default:
			n.positive[key] += count
		}
	}
	var upTo uint64
	for i, bound := range buckets {
		upTo += byClass[i]
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: new(upTo), Exemplar: d.exemplars.of(i)})
	}
	if e := d.exemplars.of(len(buckets)); e != nil {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(math.Inf(1)), CumulativeCount: new(total), Exemplar: e})
	}
	h.SampleCount = &total
	h.Exemplars = d.exemplars.all()
	n.write(h)
	out.Label, out.Histogram = d.labels, h
	return nil
}

// quantile estimates the duration that the share q of the observations in counts did not exceed:
// by interpolation within a cell, as Prometheus's histogram_quantile does within a bucket. It is
// zero without observations.
func quantile(q float64, counts []uint64) time.Duration {
	var total uint64
	for _, n := range counts {
		total += n
	}
	rank, below := q*float64(total), 0.0
	for i, n := range counts {
		upTo := below + float64(n)
		if n > 0 && upTo >= rank {
			if i == len(scale.bounds) {
				return time.Duration(scale.bounds[i-1])
			}
			var lower int64
			if i > 0 {
				lower = scale.bounds[i-1]
			}
			return time.Duration(float64(lower) + float64(scale.bounds[i]-lower)*(rank-below)/float64(n))
		}
		below = upTo
	}
	return 0
}
