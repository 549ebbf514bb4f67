package kpi_test

import (
	"encoding/hex"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// trace is the id that is read from hex.
func trace(t testing.TB, id string) (out [16]byte) {
	t.Helper()
	if _, err := hex.Decode(out[:], []byte(id)); err != nil {
		t.Fatal(err)
	}
	return out
}

// traces lists the exemplars of the classic buckets of a route's durations.
func traces(t *testing.T, g prometheus.Gatherer) []string {
	t.Helper()
	var out []string
	for _, b := range family(t, g, "request_duration_seconds")[0].GetHistogram().GetBucket() {
		if e := b.GetExemplar(); e != nil {
			out = append(out, e.GetLabel()[0].GetValue())
		}
	}
	return out
}

func TestARouteTakesOneExemplarASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		r := kpi.New(kpi.Options{Registerer: registry}).Route("http", "/", "GET")
		answer := func(took time.Duration, id byte) {
			r.ObserveAnswer(kpi.Answer{Code: kpi.HTTP(200), Took: took, Trace: [16]byte{15: id}})
		}
		answer(time.Millisecond, 0)
		if got := traces(t, registry); len(got) != 0 {
			t.Errorf("exemplars %q without a trace", got)
		}
		answer(time.Millisecond, 1)
		answer(time.Second, 2) // too early
		time.Sleep(time.Second)
		answer(time.Minute, 3)
		time.Sleep(time.Second)
		answer(900*time.Microsecond, 4) // in the bucket of the first
		if got, want := traces(t, registry), []string{strings.Repeat("0", 31) + "4", strings.Repeat("0", 31) + "3"}; !slices.Equal(got, want) {
			t.Errorf("exemplars %q, want %q", got, want)
		}
		h := family(t, registry, "request_duration_seconds")[0].GetHistogram()
		if len(h.GetExemplars()) != 2 || h.GetExemplars()[1].GetValue() != 60 || !h.GetExemplars()[1].GetTimestamp().AsTime().Equal(time.Now().Add(-time.Second)) {
			t.Errorf("native exemplars %v", h.GetExemplars())
		}
		end, id := time.Now(), trace(t, traceID)
		if n := testing.AllocsPerRun(100, func() {
			r.ObserveAnswer(kpi.Answer{Code: kpi.HTTP(200), Took: time.Millisecond, Trace: id, End: end})
		}); n != 0 {
			t.Errorf("%v allocations for a trace that becomes no exemplar", n)
		}
	})
}

func TestScrapersGetTheFormatTheyAskFor(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := kpi.New(kpi.Options{Registerer: registry}).Route("http", "/", "GET")
	r.ObserveAnswer(kpi.Answer{Code: kpi.HTTP(200), Took: 3 * time.Millisecond, Trace: trace(t, traceID), End: time.Unix(1_700_000_000, 0)})
	ask := func(accept string) *httptest.ResponseRecorder {
		w, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		req.Header.Set("Accept", accept)
		kpi.Handler(registry, nil).ServeHTTP(w, req)
		return w
	}
	text := ask("text/plain;version=0.0.4")
	if got := text.Body.String(); !strings.Contains(got, `request_duration_seconds_bucket{listener="http",method="GET",route="/",le="0.005"} 1`) || strings.Contains(got, traceID) {
		t.Errorf("text:\n%s", got)
	}
	open := ask("application/openmetrics-text;version=1.0.0")
	if got := open.Body.String(); !strings.Contains(got, `le="0.005"} 1 # {trace_id="`+traceID+`"} 0.003 1.7e+09`) || !strings.HasSuffix(got, "# EOF\n") {
		t.Errorf("OpenMetrics:\n%s", got)
	}
	proto := ask("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	decoder := expfmt.NewDecoder(proto.Body, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var f dto.MetricFamily
		if err := decoder.Decode(&f); err != nil {
			t.Fatal("no request_duration_seconds in protobuf: ", err)
		}
		if f.GetName() != "request_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSchema() != 3 || len(h.GetPositiveSpan()) != 1 || len(h.GetBucket()) != 14 || h.GetCreatedTimestamp() == nil {
			t.Errorf("%v", h)
		}
		return
	}
}

func TestTheNewestSoundExemplarsAreKept(t *testing.T) {
	label := func(name, value string) []*dto.LabelPair { return []*dto.LabelPair{{Name: &name, Value: &value}} }
	at := func(second int64) *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: second} }
	exemplar := func(second int64, trace string) *dto.Exemplar {
		return &dto.Exemplar{Label: label("trace_id", trace), Value: new(float64(second)), Timestamp: at(second)}
	}
	process := func(worker int, bucket *dto.Exemplar, native ...*dto.Exemplar) kpi.Generation {
		return kpi.Generation{Worker: worker, Living: true, Data: snapshotOf(t, &dto.MetricFamily{
			Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
				SampleCount: new(uint64(1)), SampleSum: new(1.0), Schema: new(int32(3)), ZeroThreshold: new(1.0), ZeroCount: new(uint64(1)),
				Bucket: []*dto.Bucket{{UpperBound: new(1.0), CumulativeCount: new(uint64(1)), Exemplar: bucket}}, Exemplars: native,
			}}},
		})}
	}
	merge := func(gens ...kpi.Generation) *dto.Histogram {
		t.Helper()
		families, err := kpi.NewMerger(nil).Merge(gens...)
		if err != nil {
			t.Fatal(err)
		}
		return only(t, families)
	}
	for name, c := range map[string]struct {
		second *dto.Exemplar
		want   string
	}{
		"a newer one":            {exemplar(20, "second"), "second"},
		"an older one":           {exemplar(5, "second"), "first"},
		"one of the same time":   {exemplar(10, "second"), "second"},
		"one without a time":     {&dto.Exemplar{Value: new(1.0), Label: label("trace_id", "second")}, "first"},
		"one with too long text": {&dto.Exemplar{Value: new(1.0), Timestamp: at(20), Label: label("trace_id", strings.Repeat("x", 121))}, "first"},
		"one with bad text":      {&dto.Exemplar{Value: new(1.0), Timestamp: at(20), Label: label("trace_id", "\xff")}, "first"},
		"one without a value":    {&dto.Exemplar{Timestamp: at(20), Label: label("trace_id", "second")}, "first"},
		"one with a label twice": {&dto.Exemplar{Value: new(1.0), Timestamp: at(20), Label: append(label("a", "1"), label("a", "2")...)}, "first"},
		"none":                   {nil, "first"},
	} {
		t.Run(name, func(t *testing.T) {
			h := merge(process(1, exemplar(10, "first")), process(2, c.second))
			if got := h.GetBucket()[0].GetExemplar().GetLabel()[0].GetValue(); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
		})
	}
	var many, more []*dto.Exemplar
	for i := range int64(20) {
		many, more = append(many, exemplar(i, "a")), append(more, exemplar(i, "b"))
	}
	h := merge(process(1, nil, many...), process(2, nil, append(more, &dto.Exemplar{Value: new(1.0)})...))
	if e := h.GetExemplars(); len(e) != 15 || e[0].GetValue() != 12 || e[14].GetValue() != 19 {
		t.Errorf("%d native exemplars, from %v", len(e), e)
	}
}
