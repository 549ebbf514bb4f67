package kpi_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// nativeHistogram is one of client_golang's, with a resolution and a zero threshold.
func nativeHistogram(factor, zero float64) (prometheus.Histogram, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "h", Help: "H.", Buckets: []float64{.1, 1, 10}, NativeHistogramBucketFactor: factor, NativeHistogramZeroThreshold: zero,
	})
	registry.MustRegister(h)
	return h, registry
}

func snapshot(t testing.TB, g prometheus.Gatherer) []byte {
	t.Helper()
	data, err := kpi.Snapshot(g)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// only is the histogram of the only family, without what tells when.
func only(t testing.TB, families []*dto.MetricFamily) *dto.Histogram {
	t.Helper()
	if len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatalf("%d families: %v", len(families), families)
	}
	h := proto.CloneOf(families[0].GetMetric()[0].GetHistogram())
	h.CreatedTimestamp = nil
	return h
}

// The factors of schemas 8, 5, 3, 1, 0 and -2.
var factors = map[int]float64{8: 1.003, 5: 1.03, 3: 1.1, 1: 1.5, 0: 2, -2: 17}

func TestMergedNativeHistogramsAreOneThatSawEverything(t *testing.T) {
	schemas := []int{8, 5, 3, 1, 0, -2}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		lowest, observations := 8, [][]float64{}
		var gens []kpi.Generation
		for worker := range 1 + r.IntN(4) {
			schema := schemas[r.IntN(len(schemas))]
			h, registry := nativeHistogram(factors[schema], 0x1p-128)
			var seen []float64
			for range r.IntN(60) {
				v := math.Exp(r.NormFloat64() * 4)
				switch r.IntN(12) {
				case 0:
					v = 0
				case 1:
					v = -v
				case 2:
					v = math.Exp2(float64(r.IntN(20) - 10)) // on the bound of a bucket
				}
				h.Observe(v)
				seen = append(seen, v)
			}
			lowest = min(lowest, schema)
			observations = append(observations, seen)
			gens = append(gens, kpi.Generation{Worker: worker + 1, Living: r.IntN(2) == 0, Data: snapshot(t, registry)})
		}
		all, registry := nativeHistogram(factors[lowest], 0x1p-128)
		for _, seen := range observations {
			for _, v := range seen {
				all.Observe(v)
			}
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		want := only(t, families)

		merger := kpi.NewMerger(nil)
		families, err = merger.Merge(gens...)
		if err != nil {
			t.Fatal(err)
		}
		check := func(how string, got *dto.Histogram) {
			t.Helper()
			if off := got.GetSampleSum() - want.GetSampleSum(); math.Abs(off) > 1e-9*math.Abs(want.GetSampleSum())+1e-9 {
				t.Errorf("seed %d, %s: sum %v, want %v", seed, how, got.GetSampleSum(), want.GetSampleSum())
			}
			want := proto.CloneOf(want)
			want.SampleSum = got.SampleSum // rounded once rather than at every observation
			if !proto.Equal(got, want) {
				t.Errorf("seed %d, %s:\n got %v\nwant %v", seed, how, got, want)
			}
		}
		check("merged", only(t, families))

		// Carried in two steps, in any grouping.
		cut := r.IntN(len(gens) + 1)
		data, err := merger.Carry(gens[:cut]...)
		if err != nil {
			t.Fatal(err)
		}
		families, err = merger.Merge(append(slices.Clone(gens[cut:]), kpi.Generation{Worker: cut, Data: data})...)
		if err != nil {
			t.Fatal(err)
		}
		check("carried", only(t, families))
	}
}

func TestTheLargestZeroThresholdTakesInWhatIsBelow(t *testing.T) {
	narrow, a := nativeHistogram(1.1, 0x1p-128)
	wide, b := nativeHistogram(2, 0.3)
	for _, v := range []float64{0, 0.01, -0.2, 0.4, 0.6, -3} {
		narrow.Observe(v)
	}
	for _, v := range []float64{0.2, 0.45, 2} {
		wide.Observe(v)
	}
	families, err := kpi.NewMerger(nil).Merge(
		kpi.Generation{Worker: 1, Living: true, Data: snapshot(t, a)},
		kpi.Generation{Worker: 2, Living: true, Data: snapshot(t, b)})
	if err != nil {
		t.Fatal(err)
	}
	h := only(t, families)
	// 0.3 lies in the bucket that ends at 0.5: 0.4 and 0.45 cannot be told from it any more.
	if h.GetZeroThreshold() != 0.5 || h.GetZeroCount() != 6 || h.GetSchema() != 0 || h.GetSampleCount() != 9 {
		t.Errorf("threshold %v with %d, schema %d, %d in all; want 0.5 with 6, 0, 9", h.GetZeroThreshold(), h.GetZeroCount(), h.GetSchema(), h.GetSampleCount())
	}
	if p, n := counts(h.GetPositiveSpan(), h.GetPositiveDelta()), counts(h.GetNegativeSpan(), h.GetNegativeDelta()); p != "0:1 1:1" || n != "2:1" {
		t.Errorf("positive %s, negative %s", p, n)
	}
}

// counts lists native buckets.
func counts(spans []*dto.BucketSpan, deltas []int64) string {
	var out []string
	var key int32
	var n int64
	for _, s := range spans {
		key += s.GetOffset()
		for range s.GetLength() {
			n, deltas = n+deltas[0], deltas[1:]
			if n != 0 {
				out = append(out, fmt.Sprintf("%d:%d", key, n))
			}
			key++
		}
	}
	return strings.Join(out, " ")
}

func TestAMergedHistogramNeverFalls(t *testing.T) {
	merger := kpi.NewMerger(nil)
	r := rand.New(rand.NewPCG(3, 4))
	var carried []byte
	last := map[string]float64{}
	for worker := 1; worker <= 20; worker++ {
		h, registry := nativeHistogram([]float64{1.1, 1.03}[worker%2], 0x1p-128)
		for range 5 {
			for range 10 {
				h.Observe(math.Exp(r.NormFloat64()))
			}
			families, err := merger.Merge(kpi.Generation{Worker: worker - 1, Data: carried}, kpi.Generation{Worker: worker, Living: true, Data: snapshot(t, registry)})
			if err != nil {
				t.Fatal(err)
			}
			got := only(t, families)
			now := map[string]float64{"count": float64(got.GetSampleCount()), "sum": got.GetSampleSum()}
			if got.GetSchema() == 3 {
				for bucket := range strings.FieldsSeq(counts(got.GetPositiveSpan(), got.GetPositiveDelta())) {
					var key int
					var n float64
					if _, err := fmt.Sscanf(bucket, "%d:%g", &key, &n); err != nil {
						t.Fatal(err)
					}
					now[fmt.Sprint("bucket ", key)] = n
				}
			}
			for what, n := range last {
				if got.GetSchema() == 3 && now[what] < n || now["count"] < last["count"] {
					t.Fatalf("worker %d: %s fell from %v to %v", worker, what, n, now[what])
				}
			}
			if got.GetSchema() == 3 {
				last = now
			}
		}
		var err error
		if carried, err = merger.Carry(kpi.Generation{Worker: worker - 1, Data: carried}, kpi.Generation{Worker: worker, Data: snapshot(t, registry)}); err != nil {
			t.Fatal(err)
		}
	}
	if last["count"] != 1000 {
		t.Errorf("%v observations at the end, want 1000", last["count"])
	}
}

func TestAWorkerWithoutNativeBucketsLeavesTheClassicOnes(t *testing.T) {
	h, registry := nativeHistogram(1.1, 0x1p-128)
	h.Observe(0.5)
	gens := []kpi.Generation{
		{Worker: 1, Data: counted(t, "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2")},
		{Worker: 2, Living: true, Data: snapshot(t, registry)},
	}
	for name, c := range map[string]struct {
		gens   []kpi.Generation
		native bool
		count  uint64
	}{
		"the older counted without":    {gens, false, 3},
		"the older had counted none":   {[]kpi.Generation{{Worker: 1, Data: counted(t, "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0")}, gens[1]}, true, 1},
		"only those with them counted": {gens[1:], true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			families, err := kpi.NewMerger(nil).Merge(c.gens...)
			if err != nil {
				t.Fatal(err)
			}
			got := only(t, families)
			if native := got.Schema != nil; native != c.native || got.GetSampleCount() != c.count {
				t.Errorf("native is %v, %d observations: %v", native, got.GetSampleCount(), got)
			}
		})
	}
}

func TestAnEmptyNativeHistogramIsKnownForOne(t *testing.T) {
	for _, zero := range []float64{0x1p-20, prometheus.NativeHistogramZeroThresholdZero} {
		_, registry := nativeHistogram(1.1, zero)
		families, err := kpi.NewMerger(nil).Merge(kpi.Generation{Living: true, Data: snapshot(t, registry)})
		if err != nil {
			t.Fatal(err)
		}
		// By this Prometheus tells native histograms from others.
		h := only(t, families)
		if h.GetZeroThreshold() == 0 && len(h.GetPositiveSpan()) == 0 {
			t.Errorf("threshold %v: no sign of a native histogram: %v", zero, h)
		}
	}
}

func TestNativeBucketsThatMakeNoSenseAreRefused(t *testing.T) {
	span := func(offset int32, length uint32) *dto.BucketSpan {
		return &dto.BucketSpan{Offset: &offset, Length: &length}
	}
	for name, c := range map[string]struct {
		h    *dto.Histogram
		want string
	}{
		"fewer than the spans say": {&dto.Histogram{PositiveSpan: []*dto.BucketSpan{span(0, 2)}, PositiveDelta: []int64{1}}, "1 native buckets in spans of 2"},
		"too many":                 {&dto.Histogram{NegativeSpan: []*dto.BucketSpan{span(0, 1<<14+1)}, NegativeDelta: make([]int64, 1<<14+1)}, "16384 are the most"},
		"spans that overlap":       {&dto.Histogram{PositiveSpan: []*dto.BucketSpan{span(0, 1), span(-1, 1)}, PositiveDelta: []int64{1, 1}}, "begins 1 before the end of the last"},
		"beyond all numbers":       {&dto.Histogram{PositiveSpan: []*dto.BucketSpan{span(math.MaxInt32, 1)}, PositiveDelta: []int64{1}}, "a native bucket beyond all numbers"},
		"below nothing":            {&dto.Histogram{PositiveSpan: []*dto.BucketSpan{span(0, 1)}, PositiveDelta: []int64{-1}}, "a native bucket with less than nothing"},
		"a negative threshold":     {&dto.Histogram{ZeroThreshold: new(-1.0)}, "a zero threshold of -1"},
		"no threshold":             {&dto.Histogram{ZeroThreshold: new(math.NaN())}, "a zero threshold of NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			c.h.Schema = new(int32(3))
			data := snapshotOf(t, &dto.MetricFamily{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: c.h}}})
			families, err := kpi.NewMerger(nil).Merge(kpi.Generation{Data: data})
			if err == nil || !strings.Contains(err.Error(), c.want) || len(families) != 0 {
				t.Errorf("%d families, error %v; want %q", len(families), err, c.want)
			}
		})
	}
}

// Both histograms of a route are held against client_golang's with the same bounds.
func TestDurationsAreCountedAsClientGolangCountsThem(t *testing.T) {
	registry := prometheus.NewRegistry()
	route := kpi.New(kpi.Options{Registerer: registry}).Route("http", "/", "GET")
	reference := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "h", Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: 0x1p-20,
	})
	r := rand.New(rand.NewPCG(1, 2))
	observe := func(d time.Duration) {
		route.Observe(200, d, 0)
		reference.Observe(d.Seconds())
	}
	for range 20_000 {
		observe(time.Duration(math.Exp(r.Float64()*32 + 1))) // to 59 h
		if r.IntN(10) == 0 {
			observe(time.Duration(r.IntN(20_000)) * time.Millisecond) // on a bound, at times
		}
		if r.IntN(10) == 0 {
			observe(time.Second << r.IntN(16) >> r.IntN(10))
		}
	}
	for _, d := range []time.Duration{0, 1, 953, 954, 500 * time.Microsecond, 500*time.Microsecond + 1, 10 * time.Second, 10*time.Second + 1, 1 << 17 * time.Second} {
		observe(d)
	}
	var m dto.Metric
	if err := reference.Write(&m); err != nil {
		t.Fatal(err)
	}
	got, want := family(t, registry, "request_duration_seconds")[0].GetHistogram(), m.GetHistogram()
	// What took longer than 2^17 s is in the last bucket.
	last := int64(0)
	positive := counts(want.GetPositiveSpan(), want.GetPositiveDelta())
	var kept []string
	for bucket := range strings.FieldsSeq(positive) {
		var key, n int64
		fmt.Sscanf(bucket, "%d:%d", &key, &n)
		if key >= 17*8 {
			last += n
			continue
		}
		kept = append(kept, bucket)
	}
	kept = append(kept, fmt.Sprintf("%d:%d", 17*8, last))
	if g, w := counts(got.GetPositiveSpan(), got.GetPositiveDelta()), strings.Join(kept, " "); g != w {
		t.Errorf("native buckets\n got %s\nwant %s", g, w)
	}
	if got.GetZeroCount() != want.GetZeroCount() || got.GetZeroThreshold() != want.GetZeroThreshold() || got.GetSchema() != want.GetSchema() {
		t.Errorf("zero %d up to %v, schema %d; want %d up to %v, %d", got.GetZeroCount(), got.GetZeroThreshold(), got.GetSchema(),
			want.GetZeroCount(), want.GetZeroThreshold(), want.GetSchema())
	}
	if got.GetSampleCount() != want.GetSampleCount() || got.GetSampleSum() != want.GetSampleSum() {
		t.Errorf("%d of %v, want %d of %v", got.GetSampleCount(), got.GetSampleSum(), want.GetSampleCount(), want.GetSampleSum())
	}
	for i, b := range got.GetBucket() {
		if w := want.GetBucket()[i]; b.GetCumulativeCount() != w.GetCumulativeCount() || b.GetUpperBound() != w.GetUpperBound() {
			t.Errorf("bucket %d: %v, want %v", i, b, w)
		}
	}
}
