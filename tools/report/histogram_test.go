package report_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

var quantiles = []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1}

// exact is a quantile by the definition of Histogram.Quantile.
func exact(sorted []uint64, q float64) uint64 {
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[max(rank, 1)-1]
}

// draws are durations in µs of many kinds.
var draws = map[string]func(r *rand.Rand) uint64{
	"the same":   func(*rand.Rand) uint64 { return 12_345 },
	"small":      func(r *rand.Rand) uint64 { return r.Uint64N(300) },
	"even":       func(r *rand.Rand) uint64 { return r.Uint64N(1e9) },
	"log-normal": func(r *rand.Rand) uint64 { return uint64(5000 * math.Exp(2*r.NormFloat64())) },
	"two kinds": func(r *rand.Rand) uint64 {
		if r.IntN(20) == 0 {
			return 30e6 + r.Uint64N(1000)
		}
		return 200 + r.Uint64N(50)
	},
	"all sizes":       func(r *rand.Rand) uint64 { return 1 << r.UintN(43) },
	"heavy-tailed":    func(r *rand.Rand) uint64 { return uint64(1000 * math.Pow(r.Float64()+1e-7, -1.2)) },
	"of whole millis": func(r *rand.Rand) uint64 { return 1000 * r.Uint64N(2000) },
}

func TestQuantilesAreWithinHalfAPercentOfExact(t *testing.T) {
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 10, 1000, 50_000} {
				r := rand.New(rand.NewPCG(uint64(n), 2))
				var h report.Histogram
				values := make([]uint64, n)
				var sum uint64
				for i := range values {
					values[i] = draw(r)
					sum += values[i]
					h.Add(values[i])
				}
				slices.Sort(values)
				if h.Count() != uint64(n) || h.Sum() != sum || h.Mean() != sum/uint64(n) || h.Max() != values[n-1] {
					t.Errorf("%d values: count %d, sum %d, mean %d, max %d", n, h.Count(), h.Sum(), h.Mean(), h.Max())
				}
				for _, q := range quantiles {
					got, want := float64(h.Quantile(q)), float64(exact(values, q))
					if math.Abs(got-want) > 0.004*want {
						t.Errorf("quantile %g of %d values: %g, want %g: %.3f %% off", q, n, got, want, 100*math.Abs(got-want)/want)
					}
				}
			}
		})
	}
}

func TestMergedHistogramsAreThatOfAllValues(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var all, merged report.Histogram
	for i := range 40 {
		var part report.Histogram
		for range r.IntN(50) {
			v := uint64(1000 * math.Exp(float64(i%7)*r.NormFloat64()))
			part.Add(v)
			all.Add(v)
		}
		merged.Merge(&part)
		part.Reset()
		if part.Count() != 0 || part.Quantile(0.5) != 0 {
			t.Fatal("a histogram was not reset")
		}
		part.Add(7)
		if part.Count() != 1 || part.Quantile(1) != 7 {
			t.Fatalf("after a reset: %d of %d", part.Quantile(1), part.Count())
		}
	}
	for _, q := range quantiles {
		if merged.Quantile(q) != all.Quantile(q) {
			t.Errorf("quantile %g: %d, want %d", q, merged.Quantile(q), all.Quantile(q))
		}
	}
	if merged.Sum() != all.Sum() || merged.Count() != all.Count() || merged.Max() != all.Max() {
		t.Errorf("merged %d values of %d, want %d of %d", merged.Count(), merged.Sum(), all.Count(), all.Sum())
	}
}

func TestAnEmptyHistogramHasZeros(t *testing.T) {
	var h report.Histogram
	if h.Quantile(0.5)+h.Mean()+h.Max() != 0 {
		t.Error(h.Quantile(0.5), h.Mean(), h.Max())
	}
}

func TestADurationLongerThanAnyBucketCountsInTheLastAndIsTheMaximum(t *testing.T) {
	var h report.Histogram
	h.Add(math.MaxUint64 / 2)
	if h.Max() != math.MaxUint64/2 || h.Quantile(0.5) != math.MaxUint64/2 {
		t.Error(h.Max(), h.Quantile(0.5))
	}
}
