package kpi_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// An old worker finishes its last requests while the new one answers already.
func ExampleMerger_Merge() {
	count := func(requests int, inFlight float64) []byte {
		registry := prometheus.NewRegistry()
		m := kpi.New(kpi.Options{Registerer: registry})
		for range requests {
			m.Route("http", "/v1/games", "GET").Observe(200, time.Millisecond, 2326)
		}
		m.InFlight("http").Set(inFlight)
		data, err := kpi.Snapshot(registry)
		if err != nil {
			fmt.Println(err)
		}
		return data
	}
	merger := kpi.NewMerger(nil)
	families, err := merger.Merge(
		kpi.Generation{Worker: 1, Data: count(1000, 0)}, // has ended
		kpi.Generation{Worker: 2, Living: true, Data: count(200, 3)},
		kpi.Generation{Worker: 3, Living: true, Data: count(7, 4)},
	)
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "requests_total":
			fmt.Println("requests:", f.GetMetric()[0].GetCounter().GetValue())
		case "requests_in_flight":
			fmt.Println("in flight:", f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output:
	// in flight: 7
	// requests: 1207
}

// counted is the snapshot of metrics in the text format.
func counted(t testing.TB, text string) []byte {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(strings.TrimSpace(strings.ReplaceAll(text, "\t", "")) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var list []*dto.MetricFamily
	for _, f := range families {
		list = append(list, f)
	}
	return snapshotOf(t, list...)
}

// snapshotOf is the snapshot of a process that counts families, whatever they are.
func snapshotOf(t testing.TB, families ...*dto.MetricFamily) []byte {
	t.Helper()
	data, err := kpi.Snapshot(gathered(families...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func gathered(families ...*dto.MetricFamily) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
}

// format is families in the text format, in which client_golang must find no inconsistency and
// which Prometheus must be able to read.
func format(t testing.TB, families []*dto.MetricFamily) string {
	t.Helper()
	if _, err := (prometheus.Gatherers{gathered(families...)}).Gather(); err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	return b.String()
}

// same reports what differs between the text got and the lines of want.
func same(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimSpace(strings.ReplaceAll(want, "\t", "")); strings.TrimSpace(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const (
	ended  = false
	living = true
)

func TestFiguresOfSeveralWorkersAreMerged(t *testing.T) {
	type generation struct {
		worker int
		living bool
		text   string
	}
	for name, c := range map[string]struct {
		gens []generation
		want string
	}{
		"counters are added up, those of ended workers too": {
			[]generation{
				{1, ended, "# TYPE games_total counter\ngames_total{a=\"x\"} 5\ngames_total{a=\"old\"} 1"},
				{2, living, "# TYPE games_total counter\ngames_total{a=\"x\"} 20"},
				{3, living, "# TYPE games_total counter\ngames_total{a=\"x\"} 300\ngames_total{a=\"y\"} 7"},
			},
			`# TYPE games_total counter
			games_total{a="old"} 1
			games_total{a="x"} 325
			games_total{a="y"} 7`,
		},
		"integers stay exact": {
			[]generation{
				{1, ended, "# TYPE games_total counter\ngames_total 9007199254740990"},
				{2, living, "# TYPE games_total counter\ngames_total 1"},
			},
			`# TYPE games_total counter
			games_total 9.007199254740991e+15`,
		},
		"a sum is rounded once": {
			[]generation{
				{1, ended, "# TYPE games_total counter\ngames_total 0.1"},
				{2, living, "# TYPE games_total counter\ngames_total 0.2"},
				{3, living, "# TYPE games_total counter\ngames_total 0.3"},
			},
			`# TYPE games_total counter
			games_total 0.6`,
		},
		"what is not finite stays so": {
			[]generation{
				{1, ended, "# TYPE a counter\na +Inf\n# TYPE b counter\nb +Inf\n# TYPE c counter\nc 1.7e308\n# TYPE d counter\nd 0.1"},
				{2, living, "# TYPE a counter\na 0.1\n# TYPE b counter\nb -Inf\n# TYPE c counter\nc 1.7e308\n# TYPE d counter\nd NaN"},
			},
			`# TYPE a counter
			a +Inf
			# TYPE b counter
			b NaN
			# TYPE c counter
			c +Inf
			# TYPE d counter
			d NaN`,
		},
		"a histogram has the bounds of all workers": {
			[]generation{
				{1, ended, `# TYPE wait histogram
				wait_bucket{le="1"} 1
				wait_bucket{le="5"} 3
				wait_bucket{le="+Inf"} 4
				wait_sum 20.5
				wait_count 4`},
				{2, living, `# TYPE wait histogram
				wait_bucket{le="1"} 10
				wait_bucket{le="2"} 20
				wait_bucket{le="10"} 30
				wait_bucket{le="+Inf"} 40
				wait_sum 100
				wait_count 40`},
			},
			`# TYPE wait histogram
			wait_bucket{le="1"} 11
			wait_bucket{le="2"} 21
			wait_bucket{le="5"} 23
			wait_bucket{le="10"} 33
			wait_bucket{le="+Inf"} 44
			wait_sum 120.5
			wait_count 44`,
		},
		"a histogram without buckets leaves those of others": {
			[]generation{
				{1, ended, "# TYPE wait histogram\nwait_bucket{le=\"+Inf\"} 4\nwait_sum 20\nwait_count 4"},
				{2, living, "# TYPE wait histogram\nwait_bucket{le=\"1\"} 10\nwait_bucket{le=\"+Inf\"} 10\nwait_sum 1\nwait_count 10"},
			},
			`# TYPE wait histogram
			wait_bucket{le="1"} 10
			wait_bucket{le="+Inf"} 14
			wait_sum 21
			wait_count 14`,
		},
		"quantiles are those of the newest living worker": {
			[]generation{
				{3, ended, "# TYPE s summary\ns{quantile=\"0.5\"} 9\ns_sum 4\ns_count 3"},
				{2, living, "# TYPE s summary\ns{quantile=\"0.5\"} 8\ns_sum 40\ns_count 30"},
				{1, living, "# TYPE s summary\ns{quantile=\"0.5\"} 7\ns{quantile=\"0.9\"} 70\ns_sum 400\ns_count 300"},
			},
			`# TYPE s summary
			s{quantile="0.5"} 8
			s_sum 444
			s_count 333`,
		},
		"gauges are those of living workers, by their rules": {
			[]generation{
				{1, ended, `# TYPE last gauge
				last 1
				# TYPE gone gauge
				gone 1
				# TYPE sum gauge
				sum 1000
				# TYPE max gauge
				max 1000`},
				{3, living, `# TYPE last gauge
				last{a="both"} 3
				# TYPE sum gauge
				sum{a="both"} 0.3
				# TYPE max gauge
				max{a="both"} 3
				max{a="nan"} NaN
				max{a="second"} 6`},
				{2, living, `# TYPE last gauge
				last{a="both"} 2
				last{a="old"} 4
				# TYPE sum gauge
				sum{a="both"} 0.25
				sum{a="old"} 5
				# TYPE max gauge
				max{a="both"} 5
				max{a="nan"} -1
				max{a="second"} 5`},
			},
			`# TYPE last gauge
			last{a="both"} 3
			last{a="old"} 4
			# TYPE max gauge
			max{a="both"} 5
			max{a="nan"} -1
			max{a="second"} 6
			# TYPE sum gauge
			sum{a="both"} 0.55
			sum{a="old"} 5`,
		},
		"gauges of the chassis have rules": {
			[]generation{
				{1, living, `# TYPE requests_in_flight gauge
				requests_in_flight 1
				# TYPE queue_depth gauge
				queue_depth 1
				# TYPE queue_inflight gauge
				queue_inflight 1
				# TYPE queue_capacity gauge
				queue_capacity 99
				# TYPE queue_oldest_age_seconds gauge
				queue_oldest_age_seconds 5
				# TYPE access_log_failing gauge
				access_log_failing 1
				# TYPE build_info gauge
				build_info{version="1"} 1`},
				{2, living, `# TYPE requests_in_flight gauge
				requests_in_flight 2
				# TYPE queue_depth gauge
				queue_depth 2
				# TYPE queue_inflight gauge
				queue_inflight 2
				# TYPE queue_capacity gauge
				queue_capacity 50
				# TYPE queue_oldest_age_seconds gauge
				queue_oldest_age_seconds 2
				# TYPE access_log_failing gauge
				access_log_failing 0
				# TYPE build_info gauge
				build_info{version="2"} 1`},
			},
			`# TYPE access_log_failing gauge
			access_log_failing 1
			# TYPE build_info gauge
			build_info{version="2"} 1
			# TYPE queue_capacity gauge
			queue_capacity 50
			# TYPE queue_depth gauge
			queue_depth 3
			# TYPE queue_inflight gauge
			queue_inflight 3
			# TYPE queue_oldest_age_seconds gauge
			queue_oldest_age_seconds 5
			# TYPE requests_in_flight gauge
			requests_in_flight 3`,
		},
		"a metric without type is the newest living worker's": {
			[]generation{{3, ended, "u 3"}, {2, living, "u 2"}, {1, living, "u 1"}},
			`# TYPE u untyped
			u 2`,
		},
		"what describes a process is shown for each that lives": {
			[]generation{
				{1, ended, "# TYPE go_threads gauge\ngo_threads 1\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1"},
				{2, living, "# TYPE go_threads gauge\ngo_threads 2\n# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2"},
				{10, living, `# TYPE go_threads gauge
				go_threads 10
				# TYPE process_cpu_seconds_total counter
				process_cpu_seconds_total{a="1",z="2"} 10
				# TYPE process_jobs gauge
				process_jobs{exported_worker="2",worker="1"} 4`},
			},
			`# TYPE go_threads gauge
			go_threads{worker="10"} 10
			go_threads{worker="2"} 2
			# TYPE process_cpu_seconds_total counter
			process_cpu_seconds_total{worker="2"} 2
			process_cpu_seconds_total{a="1",worker="10",z="2"} 10
			# TYPE process_jobs gauge
			process_jobs{exported_exported_worker="1",exported_worker="2",worker="10"} 4`,
		},
		"a service that nobody supervises looks as before": {
			[]generation{{0, living, `# HELP go_threads Threads.
			# TYPE go_threads gauge
			go_threads 1
			# TYPE requests_in_flight gauge
			requests_in_flight{listener="http"} 1
			# TYPE requests_total counter
			requests_total 3`}},
			`# HELP go_threads Threads.
			# TYPE go_threads gauge
			go_threads 1
			# TYPE requests_in_flight gauge
			requests_in_flight{listener="http"} 1
			# TYPE requests_total counter
			requests_total 3`,
		},
		"texts are the newest worker's": {
			[]generation{
				{3, ended, "# HELP n Newest.\n# TYPE n counter\nn 1"},
				{2, living, "# HELP n Older.\n# TYPE n counter\nn 1"},
			},
			`# HELP n Newest.
			# TYPE n counter
			n 2`,
		},
		"label sets of different sizes are ordered": {
			[]generation{
				{1, living, "# TYPE n counter\nn{b=\"1\"} 1\nn{a=\"1\",b=\"2\"} 1\nn 1\nn{a=\"2\"} 1"},
				{2, living, "# TYPE n counter\nn{a=\"1\"} 1\nn{a=\"1\",b=\"1\"} 1"},
			},
			`# TYPE n counter
			n 1
			n{a="1"} 1
			n{b="1"} 1
			n{a="2"} 1
			n{a="1",b="1"} 1
			n{a="1",b="2"} 1`,
		},
		"workers that have counted nothing yet change nothing": {
			[]generation{{1, living, "# TYPE n counter\nn 1"}, {2, living, ""}},
			"# TYPE n counter\nn 1",
		},
		"no workers are no metrics": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var gens []kpi.Generation
			for _, g := range c.gens {
				gens = append(gens, kpi.Generation{Worker: g.worker, Living: g.living, Data: counted(t, g.text)})
			}
			given := slices.Clone(gens)
			slices.Reverse(given) // the arguments' order is not the workers'
			merger := kpi.NewMerger(map[string]kpi.Rule{"sum": kpi.Sum, "max": kpi.Max, "requests_total": kpi.Max})
			families, err := merger.Merge(given...)
			if err != nil {
				t.Fatal(err)
			}
			same(t, strings.ReplaceAll(format(t, families), "\t", ""), c.want)
		})
	}
}

func TestOfEqualNumbersTheLaterArgumentIsNewer(t *testing.T) {
	families, err := kpi.NewMerger(nil).Merge(
		kpi.Generation{Worker: 1, Living: true, Data: counted(t, "# TYPE g gauge\ng 1")},
		kpi.Generation{Worker: 1, Living: true, Data: counted(t, "# TYPE g gauge\ng 2")})
	if err != nil {
		t.Fatal(err)
	}
	same(t, format(t, families), "# TYPE g gauge\ng 2")
}

func TestWhenANameChangesItsTypeTheNewestWins(t *testing.T) {
	counter := counted(t, "# TYPE x counter\nx 5\n# TYPE n counter\nn 1")
	gauge := counted(t, "# TYPE x gauge\nx 7\n# TYPE n counter\nn 1")
	histogram := counted(t, "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 3\nx_count 2\n# TYPE n counter\nn 1")
	summary := counted(t, "# TYPE x summary\nx_sum 3\nx_count 2\n# TYPE n counter\nn 1")
	part := counted(t, "# TYPE x_count counter\nx_count 4\n# TYPE n counter\nn 1")
	buckets := counted(t, "# TYPE x_bucket counter\nx_bucket 4\n# TYPE n counter\nn 1")
	for name, c := range map[string]struct {
		gens []kpi.Generation
		err  string
		want string
	}{
		"a counter that became a gauge": {
			[]kpi.Generation{{1, ended, counter}, {2, living, gauge}},
			"merge metrics: x was a counter in an older worker and gives way to the newer gauge x: the older figures are left out",
			"# TYPE n counter\nn 2\n# TYPE x gauge\nx 7",
		},
		"a gauge that became a counter, twice": {
			[]kpi.Generation{{1, ended, counter}, {2, living, gauge}, {3, living, counter}},
			"merge metrics: x was a gauge in an older worker and gives way to the newer counter x: the older figures are left out",
			"# TYPE n counter\nn 3\n# TYPE x counter\nx 10",
		},
		"an ended worker's gauge stands in nobody's way": {
			[]kpi.Generation{{1, ended, counter}, {2, ended, gauge}}, "",
			"# TYPE n counter\nn 2\n# TYPE x counter\nx 5",
		},
		"a histogram, and what was a counter before": {
			[]kpi.Generation{{1, living, counter}, {2, ended, histogram}},
			"merge metrics: x was a counter in an older worker and gives way to the newer histogram x: the older figures are left out",
			"# TYPE n counter\nn 2\n# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 3\nx_count 2",
		},
		"a histogram in the way of a newer counter": {
			[]kpi.Generation{{1, living, histogram}, {2, living, part}},
			"merge metrics: x was a histogram in an older worker and gives way to the newer counter x_count: the older figures are left out",
			"# TYPE n counter\nn 2\n# TYPE x_count counter\nx_count 4",
		},
		"a histogram in the way of two newer counters": {
			[]kpi.Generation{{1, living, histogram}, {2, living, part}, {3, living, buckets}},
			"merge metrics: x was a histogram in an older worker and gives way to the newer counter x_bucket: the older figures are left out",
			"# TYPE n counter\nn 3\n# TYPE x_bucket counter\nx_bucket 4\n# TYPE x_count counter\nx_count 4",
		},
		"a counter in the way of a newer summary": {
			[]kpi.Generation{{1, living, part}, {2, living, summary}},
			"merge metrics: x_count was a counter in an older worker and gives way to the newer summary x: the older figures are left out",
			"# TYPE n counter\nn 2\n# TYPE x summary\nx_sum 3\nx_count 2",
		},
		"a summary has no buckets": {
			[]kpi.Generation{{1, living, buckets}, {2, living, summary}}, "",
			"# TYPE n counter\nn 2\n# TYPE x summary\nx_sum 3\nx_count 2\n# TYPE x_bucket counter\nx_bucket 4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			merger := kpi.NewMerger(nil)
			families, err := merger.Merge(c.gens...)
			if text := fmt.Sprint(err); err == nil && c.err != "" || err != nil && text != c.err {
				t.Errorf("error %v, want %q", err, c.err)
			}
			same(t, format(t, families), c.want)

			// The same when those that have ended are carried.
			var rest, over []kpi.Generation
			for _, g := range c.gens {
				if g.Living {
					rest = append(rest, g)
				} else {
					over = append(over, g)
				}
			}
			if len(over) == 0 {
				return
			}
			data, err := merger.Carry(over...)
			if err != nil {
				t.Fatal(err)
			}
			families, err = merger.Merge(append(rest, kpi.Generation{Worker: over[len(over)-1].Worker, Data: data})...)
			if text := fmt.Sprint(err); err == nil && c.err != "" || err != nil && text != c.err {
				t.Errorf("carried: error %v, want %q", err, c.err)
			}
			same(t, format(t, families), c.want)
		})
	}
}

func TestCarryKeepsTheNewestOfSeveralTypesOnTop(t *testing.T) {
	merger := kpi.NewMerger(nil)
	data, err := merger.Carry(
		kpi.Generation{Worker: 2, Data: counted(t, "# TYPE x counter\nx 5")},
		kpi.Generation{Worker: 1, Data: counted(t, "# TYPE x summary\nx_sum 1\nx_count 2")})
	if err != nil {
		t.Fatal(err)
	}
	families, err := merger.Merge(kpi.Generation{Data: data})
	same(t, format(t, families), "# TYPE x counter\nx 5")
	if err == nil || !strings.Contains(err.Error(), "x was a summary") {
		t.Errorf("error %v", err)
	}
	families, err = merger.Merge(kpi.Generation{Data: data}, kpi.Generation{Worker: 3, Living: true, Data: counted(t, "# TYPE x summary\nx_sum 1\nx_count 2")})
	same(t, format(t, families), "# TYPE x summary\nx_sum 2\nx_count 4")
	if err == nil || !strings.Contains(err.Error(), "x was a counter") {
		t.Errorf("error %v", err)
	}
}

func TestCarryHoldsOnlyWhatIsCumulative(t *testing.T) {
	merger := kpi.NewMerger(nil)
	data, err := merger.Carry(kpi.Generation{Worker: 1, Living: true, Data: counted(t, `# TYPE c counter
	c 1
	# TYPE g gauge
	g 1
	u 1
	# TYPE go_gc_total counter
	go_gc_total 1
	# TYPE process_wait histogram
	process_wait_bucket{le="+Inf"} 1
	process_wait_sum 1
	process_wait_count 1
	# TYPE s summary
	s{quantile="0.5"} 1
	s_sum 1
	s_count 1`)})
	if err != nil {
		t.Fatal(err)
	}
	families, err := merger.Merge(kpi.Generation{Worker: 1, Living: true, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	same(t, format(t, families), "# TYPE c counter\nc 1\n# TYPE s summary\ns_sum 1\ns_count 1")
	if data, err := merger.Carry(); err != nil || len(data) != 0 {
		t.Errorf("carrying nothing gave %d bytes, %v", len(data), err)
	}
}

func TestSnapshotsThatCannotBeReadAreNamedAndLeftOut(t *testing.T) {
	good := counted(t, "# TYPE n counter\nn 1")
	pair := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	family := func(name string, kind dto.MetricType, labels ...*dto.LabelPair) []byte {
		return snapshotOf(t, &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{Label: labels, Counter: &dto.Counter{Value: proto.Float64(1)}}}})
	}
	for name, c := range map[string]struct {
		data []byte
		err  string
	}{
		"cut off":                       {good[:len(good)-1], "metric family 1: unexpected EOF"},
		"cut off in a length":           {append(slices.Clone(good), 0xff), "metric family 2: unexpected EOF"},
		"a length beyond the end":       {[]byte{0xff, 0xff, 0xff, 0xff, 1}, "metric family 1: "},
		"not protobuf":                  {[]byte{2, 0xff, 0xff}, "metric family 1: "},
		"too large":                     {make([]byte, kpi.MaxSnapshot+1), "16777217 bytes, but 16777216 are the most"},
		"without a name":                {family("", dto.MetricType_COUNTER), `metric family 1, "": not a name`},
		"a name that is not UTF-8":      {family("\xff", dto.MetricType_COUNTER), `metric family 1, "\xff": not a name`},
		"a counter that is a gauge":     {family("n", dto.MetricType_GAUGE), `metric family 1, "n": a metric without the value of a gauge`},
		"a counter that is a summary":   {family("n", dto.MetricType_SUMMARY), "the value of a summary"},
		"a counter that is a histogram": {family("n", dto.MetricType_HISTOGRAM), "the value of a histogram"},
		"a counter that is untyped":     {family("n", dto.MetricType_UNTYPED), "the value of a untyped"},
		"a gauge that is a counter": {snapshotOf(t, &dto.MetricFamily{Name: new("n"), Metric: []*dto.Metric{{Gauge: &dto.Gauge{}}}}),
			"the value of a counter"},
		"an unknown type":           {family("n", 99), "the value of a 99"},
		"a label without name":      {family("n", dto.MetricType_COUNTER, pair("", "v")), `the label ""="v" is not one`},
		"a label that is not UTF-8": {family("n", dto.MetricType_COUNTER, pair("a", "\xff")), `the label "a"="\xff" is not one`},
		"a label twice":             {family("n", dto.MetricType_COUNTER, pair("a", "1"), pair("b", "1"), pair("a", "2")), `two labels "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			merger := kpi.NewMerger(nil)
			gens := []kpi.Generation{
				{Worker: 7, Living: true, Data: c.data},
				{Worker: 8, Living: true, Data: good},
			}
			families, err := merger.Merge(gens...)
			if err == nil || !strings.HasPrefix(err.Error(), "merge metrics: snapshot of worker 7: ") || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			same(t, format(t, families), "# TYPE n counter\nn 1")

			data, err := merger.Carry(gens...)
			if err == nil || !strings.Contains(err.Error(), "worker 7") {
				t.Errorf("carry: error %v", err)
			}
			if families, err = merger.Merge(kpi.Generation{Data: data}); err != nil {
				t.Error(err)
			}
			same(t, format(t, families), "# TYPE n counter\nn 1")
		})
	}
}

func TestSnapshotIsBounded(t *testing.T) {
	help := strings.Repeat("x", kpi.MaxSnapshot)
	data, err := kpi.Snapshot(gathered(&dto.MetricFamily{Name: new("n"), Help: &help}))
	if err == nil || data != nil || !strings.HasSuffix(err.Error(), "bytes, but 16777216 are the most") {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	// One family may well be larger than what protodelim admits by default, 4 MiB.
	large := &dto.MetricFamily{Name: new("n"), Help: new(strings.Repeat("x", kpi.MaxSnapshot-100)), Metric: []*dto.Metric{{Counter: &dto.Counter{}}}}
	data = snapshotOf(t, large)
	merger := kpi.NewMerger(nil)
	if families, err := merger.Merge(kpi.Generation{Data: data}); err != nil || len(families) != 1 {
		t.Errorf("%d families, error %v", len(families), err)
	}
	other := proto.CloneOf(large)
	other.Name = new("m")
	if data, err := merger.Carry(kpi.Generation{Data: data}, kpi.Generation{Data: snapshotOf(t, other)}); err == nil || data != nil {
		t.Errorf("carrying too much gave %d bytes, %v", len(data), err)
	}
}

func TestSnapshotHasWhatCouldBeGathered(t *testing.T) {
	refused := errors.New("no disk")
	data, err := kpi.Snapshot(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{{Name: new("n"), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: new(4.0)}}}}}, refused
	}))
	if !errors.Is(err, refused) || err.Error() != "snapshot of metrics: no disk" {
		t.Errorf("error %v", err)
	}
	families, err := kpi.NewMerger(nil).Merge(kpi.Generation{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	same(t, format(t, families), "# TYPE n counter\nn 4")
}

func TestARuleThatDoesNotExistPanics(t *testing.T) {
	for _, rule := range []kpi.Rule{-1, kpi.Newest + 1} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, "the gauge g has rule") {
					t.Errorf("rule %d: %s", rule, text)
				}
			}()
			kpi.NewMerger(map[string]kpi.Rule{"g": rule})
		}()
	}
}

// Time stamps, exemplars and native buckets are what Prometheus asks for in formats other than the
// text format.
func TestWhatOnlyProtobufTellsIsMergedOrLeftOut(t *testing.T) {
	at := func(second int64) *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: second} }
	exemplar := &dto.Exemplar{Value: new(1.0)}
	process := func(created *timestamppb.Timestamp) []byte {
		return snapshotOf(t,
			&dto.MetricFamily{Name: new("c"), Type: dto.MetricType_COUNTER.Enum(), Unit: new("games"), Metric: []*dto.Metric{{
				TimestampMs: new(int64(5)),
				Counter:     &dto.Counter{Value: new(1.0), CreatedTimestamp: created, Exemplar: exemplar},
			}}},
			&dto.MetricFamily{Name: new("g"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
				Histogram: &dto.Histogram{SampleCount: new(uint64(created.GetSeconds()))},
			}}},
			&dto.MetricFamily{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
				Histogram: &dto.Histogram{
					SampleCount: new(uint64(3)), SampleSum: new(1.5), CreatedTimestamp: created, Exemplars: []*dto.Exemplar{exemplar},
					Schema: new(int32(3)), ZeroThreshold: new(0.1), PositiveSpan: []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(1))}}, PositiveDelta: []int64{3},
					Bucket: []*dto.Bucket{
						{UpperBound: new(1.0), CumulativeCount: new(uint64(1)), Exemplar: exemplar},
						{UpperBound: new(math.NaN()), CumulativeCount: new(uint64(2))},
						{UpperBound: new(math.Inf(1)), CumulativeCount: new(uint64(3)), Exemplar: exemplar},
					},
				},
			}}},
			&dto.MetricFamily{Name: new("i"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
				Histogram: &dto.Histogram{SampleCountFloat: new(3.0), SampleSum: new(1.5), Bucket: []*dto.Bucket{{UpperBound: new(1.0), CumulativeCountFloat: new(2.0)}}},
			}}},
			&dto.MetricFamily{Name: new("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{
				Summary: &dto.Summary{SampleCount: new(uint64(1)), SampleSum: new(1.0), CreatedTimestamp: created},
			}}},
			&dto.MetricFamily{Name: new("without"), Type: dto.MetricType_SUMMARY.Enum()},
		)
	}
	families, err := kpi.NewMerger(nil).Merge(
		kpi.Generation{Worker: 1, Living: true, Data: process(at(200))},
		kpi.Generation{Worker: 2, Living: true, Data: process(at(100))},
		kpi.Generation{Worker: 3, Living: true, Data: process(at(300))},
		kpi.Generation{Worker: 4, Living: true, Data: process(nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := []*dto.MetricFamily{
		{Name: new("c"), Type: dto.MetricType_COUNTER.Enum(), Unit: new("games"), Metric: []*dto.Metric{{
			Counter: &dto.Counter{Value: new(4.0), CreatedTimestamp: at(100)},
		}}},
		{Name: new("g"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
			Histogram: &dto.Histogram{SampleCount: new(uint64(0))},
		}}},
		{Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
			Histogram: &dto.Histogram{
				SampleCount: new(uint64(12)), SampleSum: new(6.0), CreatedTimestamp: at(100),
				Bucket: []*dto.Bucket{
					{UpperBound: new(1.0), CumulativeCount: new(uint64(4)), Exemplar: exemplar},
					{UpperBound: new(math.Inf(1)), CumulativeCount: new(uint64(12)), Exemplar: exemplar},
				},
				// The zero threshold of 0.1 is moved to the end of its bucket, 2^(-26/8).
				Schema: new(int32(3)), ZeroThreshold: new(0.10511205190671433), ZeroCount: new(uint64(0)),
				PositiveSpan: []*dto.BucketSpan{{Offset: new(int32(0)), Length: new(uint32(1))}}, PositiveDelta: []int64{12},
			},
		}}},
		{Name: new("i"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
			Histogram: &dto.Histogram{SampleCount: new(uint64(12)), SampleSum: new(6.0), Bucket: []*dto.Bucket{{UpperBound: new(1.0), CumulativeCount: new(uint64(8))}}},
		}}},
		{Name: new("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{
			Summary: &dto.Summary{SampleCount: new(uint64(4)), SampleSum: new(4.0), CreatedTimestamp: at(100)},
		}}},
	}
	if len(families) != len(want) {
		t.Fatalf("%d families: %v", len(families), families)
	}
	for i, f := range families {
		if !proto.Equal(f, want[i]) {
			t.Errorf("\n got %v\nwant %v", f, want[i])
		}
	}
}

// FuzzMerge feeds bytes that no Gatherer made.
func FuzzMerge(f *testing.F) {
	f.Add([]byte{}, []byte{0})
	f.Add(counted(f, "# TYPE n counter\nn{a=\"b\"} 1\n# TYPE x gauge\nx 1"), counted(f, "# TYPE n gauge\nn 1\n# TYPE x_sum counter\nx_sum 3"))
	f.Add(counted(f, "# TYPE x summary\nx{quantile=\"0.5\"} 1\nx_sum 0.1\nx_count 1"), counted(f, "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_sum 0.3\nx_count 2"))
	fine, a := nativeHistogram(1.03, 0x1p-128)
	coarse, b := nativeHistogram(2, 0.3)
	for i := range 20 {
		fine.Observe(float64(i - 5))
		coarse.(prometheus.ExemplarObserver).ObserveWithExemplar(float64(i), prometheus.Labels{"trace_id": "1"})
	}
	f.Add(snapshot(f, a), snapshot(f, b))
	merger := kpi.NewMerger(map[string]kpi.Rule{"x": kpi.Sum, "n": kpi.Max})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		families, _ := merger.Merge(kpi.Generation{Worker: 1, Living: true, Data: a}, kpi.Generation{Worker: 2, Living: true, Data: b})
		var names []string
		for _, f := range families {
			names = append(names, f.GetName())
			if _, err := expfmt.MetricFamilyToText(new(bytes.Buffer), f); err != nil {
				t.Error(err)
			}
		}
		if !slices.IsSorted(names) || len(slices.Compact(names)) != len(families) {
			t.Errorf("not in order: %q", names)
		}
		direct, _ := merger.Merge(kpi.Generation{Worker: 1, Data: a}, kpi.Generation{Worker: 2, Data: b})
		carry, _ := merger.Carry(kpi.Generation{Worker: 1, Data: a}, kpi.Generation{Worker: 2, Data: b})
		carried, _ := merger.Merge(kpi.Generation{Worker: 2, Data: carry})
		if !bytes.Equal(encoded(t, direct), encoded(t, carried)) {
			t.Errorf("directly\n%v\ncarried\n%v", direct, carried)
		}
	})
}

// encoded is families as bytes, equal for equal ones.
func encoded(t testing.TB, families []*dto.MetricFamily) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := (protodelim.MarshalOptions{MarshalOptions: proto.MarshalOptions{Deterministic: true}}).MarshalTo(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
