package kpi_test

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func ExampleSet() {
	registry := prometheus.NewRegistry()
	kpis := kpi.New(kpi.Options{Registerer: registry}).KPIs() // a service has them from Service.KPI

	started := kpis.Counter("games_started", "Games started.")
	ended := kpis.Counter("games_ended", "Games that ended, by how.", "ending")
	kpis.Gauge("players", "People who play.").Merge(kpi.Sum)

	started.Inc()
	ended.With("draw").Inc()

	out, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "games_started_total", "games_ended_total", "players")
	if err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(out)
	// Output:
	// # HELP games_ended_total Games that ended, by how.
	// # TYPE games_ended_total counter
	// games_ended_total{ending="draw"} 1
	// # HELP games_started_total Games started.
	// # TYPE games_started_total counter
	// games_started_total 1
	// # HELP players People who play.
	// # TYPE players gauge
	// players 0
}

func newSet() (*kpi.Set, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	return kpi.New(kpi.Options{Registerer: registry}).KPIs(), registry
}

// refused is what f panics with.
func refused(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

func TestAKPIWithoutLabelsShowsFromTheStart(t *testing.T) {
	kpis, registry := newSet()
	c := kpis.Counter("games_started", "Games started.")
	g := kpis.Gauge("tables", "Tables that are laid.")
	h := kpis.Histogram("think_seconds", "Time to think.")
	kpis.GaugeFunc("answer", "The answer.", func() float64 { return 42 })
	kpis.Counter("games_ended", "Games that ended.", "ending")
	for _, name := range []string{"games_started_total", "tables", "think_seconds", "answer"} {
		if n := len(family(t, registry, name)); n != 1 {
			t.Errorf("%d series of %s", n, name)
		}
	}
	if n := len(family(t, registry, "games_ended_total")); n != 0 {
		t.Errorf("%d series of a KPI whose labels have no values", n)
	}
	c.Inc()
	c.Add(2)
	g.Set(5)
	g.Add(2)
	g.Inc()
	g.Dec()
	h.Observe(0.25)
	want := []kpi.Measure{
		{Name: "answer", Type: "gauge", Help: "The answer.", Values: []kpi.MeasureValue{{Value: 42}}},
		{Name: "games_ended_total", Type: "counter", Help: "Games that ended.", Labels: []string{"ending"}},
		{Name: "games_started_total", Type: "counter", Help: "Games started.", Values: []kpi.MeasureValue{{Value: 3}}},
		{Name: "tables", Type: "gauge", Help: "Tables that are laid.", Values: []kpi.MeasureValue{{Value: 7}}},
		{Name: "think_seconds", Type: "histogram", Help: "Time to think.", Values: []kpi.MeasureValue{{Value: 0.25, Count: 1}}},
	}
	if got := kpis.Measures(); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { c.Inc(); g.Set(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLabelValuesAreBounded(t *testing.T) {
	kpis, registry := newSet()
	c := kpis.Counter("moves", "Moves made.", "player", "column")
	g := kpis.Gauge("lead", "By how much a player leads.", "player")
	h := kpis.Histogram("move_bytes", "Size of a move.", "player")
	for i := range 300 {
		name := fmt.Sprint("p", i)
		c.With(name, "1").Inc()
		g.With(name).Set(1)
		h.With(name).Observe(1)
	}
	c.With("p0", "1").Inc()
	c.With("\xff", "1").Inc()
	c.With(kpi.Other, kpi.Other).Inc()
	c.With("p0\xff1", "").Inc() // not to be taken for p0, 1
	moves := map[string]float64{}
	for _, m := range family(t, registry, "moves_total") {
		moves[label(m, "player")+" "+label(m, "column")] = m.GetCounter().GetValue()
	}
	if len(moves) != 101 || moves["p0 1"] != 2 || moves["p99 1"] != 1 || moves["(other) (other)"] != 203 {
		t.Errorf("%d sets of values, %v", len(moves), moves)
	}
	for _, name := range []string{"lead", "move_bytes"} {
		if n := len(family(t, registry, name)); n != 101 {
			t.Errorf("%d series of %s", n, name)
		}
	}
	if got := kpis.Measures()[2].Values; len(got) != 101 || !reflect.DeepEqual(got[1].Labels, []string{"p0", "1"}) {
		t.Errorf("%d, the second %v", len(got), got[1])
	}
	if n := testing.AllocsPerRun(100, func() { c.With("p7", "1").Inc() }); n != 0 {
		t.Errorf("%v allocations for values that are known", n)
	}
}

func TestNamesAreHeldToPrometheusConventions(t *testing.T) {
	for name, c := range map[string]struct {
		declare func(*kpi.Set)
		want    string
	}{
		"an empty name":        {func(s *kpi.Set) { s.Gauge("", "X.") }, "the gauge : it is empty; want something like games_started"},
		"capitals":             {func(s *kpi.Set) { s.Gauge("Games", "X.") }, "the gauge Games: want words of a-z and 0-9"},
		"a digit first":        {func(s *kpi.Set) { s.Gauge("4games", "X.") }, "want words of a-z and 0-9"},
		"two underscores":      {func(s *kpi.Set) { s.Gauge("a__b", "X.") }, "want words of a-z and 0-9"},
		"an underscore last":   {func(s *kpi.Set) { s.Gauge("a_", "X.") }, "want words of a-z and 0-9"},
		"a total":              {func(s *kpi.Set) { s.Counter("games_total", "X.") }, "the counter games_total: _total is added to the name; want games"},
		"a gauge with a total": {func(s *kpi.Set) { s.Gauge("games_total_count", "X.") }, "_count belongs to what Prometheus makes of a name; want games_total"},
		"milliseconds":         {func(s *kpi.Set) { s.Histogram("think_ms", "X.") }, "the histogram think_ms: ms is no base unit of Prometheus; want seconds"},
		"a process":            {func(s *kpi.Set) { s.Gauge("process_games", "X.") }, "names that begin with go_ or process_ describe a process and not the service"},
		"no help":              {func(s *kpi.Set) { s.Gauge("games", "") }, "it has no help; say in a sentence what it measures"},
		"a label that scrapers set": {func(s *kpi.Set) { s.Gauge("games", "X.", "instance") },
			`label "instance": scrapers and the chassis set it themselves`},
		"a label that is no word": {func(s *kpi.Set) { s.Gauge("games", "X.", "a-b") }, `label "a-b": want words`},
		"a label twice":           {func(s *kpi.Set) { s.Gauge("games", "X.", "a", "a") }, `label "a": it is there twice`},
		"too many labels":         {func(s *kpi.Set) { s.Gauge("games", "X.", "a", "b", "c", "d", "e") }, "5 labels; 4 are the most"},
		"a KPI twice":             {func(s *kpi.Set) { s.Gauge("games", "X."); s.Histogram("games", "X.") }, "the histogram games: it is declared twice"},
		"a name of the chassis":   {func(s *kpi.Set) { s.Counter("requests", "X.") }, "the counter requests_total: "},
		"too few values":          {func(s *kpi.Set) { s.Counter("games", "X.", "a").With() }, `the counter games_total has the labels ["a"], but With got 0 values`},
		"no values":               {func(s *kpi.Set) { s.Counter("games", "X.", "a").Inc() }, `the counter games_total has the labels ["a"]: name their values by With`},
		"a rule that is none":     {func(s *kpi.Set) { s.Gauge("games", "X.").Merge(9) }, "the gauge games has rule 9, which does not exist"},
		"too many KPIs": {func(s *kpi.Set) {
			for i := range 501 {
				s.Gauge(fmt.Sprint("g", i), "X.")
			}
		}, "the gauge g500: the service has 500 KPIs already"},
		"an objective's bound":    {func(s *kpi.Set) { s.Gauge("games", "X.").Objective(kpi.Objective{Bound: "below"}) }, `the objective of games: bound is "below", want at_most or at_least`},
		"an objective's value":    {func(s *kpi.Set) { s.Gauge("games", "X.").Objective(kpi.Objective{Value: math.NaN()}) }, "value is NaN, want a finite number"},
		"an objective's window":   {func(s *kpi.Set) { s.Counter("games", "X.").Objective(kpi.Objective{Window: -1}) }, "window is -1ns, want more than 0"},
		"an objective's quantile": {func(s *kpi.Set) { s.Histogram("games", "X.").Objective(kpi.Objective{Quantile: 99}) }, "quantile is 99, want one between 0 and 1"},
		"a counter's quantile":    {func(s *kpi.Set) { s.Counter("games", "X.").Objective(kpi.Objective{Quantile: .5}) }, "only a histogram has a quantile"},
	} {
		t.Run(name, func(t *testing.T) {
			kpis, _ := newSet()
			if got := refused(func() { c.declare(kpis) }); !strings.HasPrefix(got, "kpi: ") || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	small := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry(), MaxSeries: 1}).KPIs()
	if got := refused(func() { small.Gauge("games", "X.") }); !strings.Contains(got, "time series is spent") {
		t.Errorf("beyond the budget: %q", got)
	}
}

func TestGaugesSayHowTheyAreMerged(t *testing.T) {
	kpis, registry := newSet()
	kpis.Gauge("players", "Players.").Merge(kpi.Sum).Set(2)
	kpis.Gauge("version", "Version.").Set(2)
	kpis.Histogram("think_seconds", "Time to think.").Observe(1)
	data, err := kpi.Snapshot(registry)
	if err != nil {
		t.Fatal(err)
	}
	families, err := kpi.NewMerger(kpis.Rules()).Merge(kpi.Generation{Worker: 1, Living: true, Data: data}, kpi.Generation{Worker: 2, Living: true, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	merged := gathered(families...)
	if p, v := value(t, merged, "players"), value(t, merged, "version"); p != 4 || v != 2 {
		t.Errorf("players %v, version %v; want 4 and 2", p, v)
	}
	if h := family(t, merged, "think_seconds")[0].GetHistogram(); h.GetSampleCount() != 2 || h.GetSchema() != 3 {
		t.Errorf("%v", h)
	}
}

func TestObjectivesAreKept(t *testing.T) {
	kpis, _ := newSet()
	kpis.Counter("games_lost", "Games lost.").Objective(kpi.Objective{Why: "somebody cheats"})
	kpis.Gauge("players", "Players.").Objective(kpi.Objective{Bound: kpi.AtLeast, Value: 2, Window: time.Minute})
	kpis.Histogram("think_seconds", "Time to think.").Objective(kpi.Objective{Value: 2.5})
	want := map[string]string{
		"games_lost_total": "at most 0 over 5m0s", "players": "at least 2 over 1m0s", "think_seconds": "p99 at most 2.5 over 5m0s",
	}
	for _, m := range kpis.Measures() {
		if got := m.Objective.String(); got != want[m.Name] {
			t.Errorf("%s: %q, want %q", m.Name, got, want[m.Name])
		}
	}
	if m := kpis.Measures()[0]; m.Objective.Why != "somebody cheats" {
		t.Errorf("%+v", m)
	}
}

func TestBoundsGoByTheUnit(t *testing.T) {
	kpis, registry := newSet()
	for name, want := range map[string]struct {
		first, last float64
	}{"a_seconds": {.0005, 10}, "a_bytes": {64, 64 << 18}, "a_ratio": {.01, 1}, "moves": {1, 8192}} {
		kpis.Histogram(name, "X.").Observe(1)
		b := family(t, registry, name)[0].GetHistogram().GetBucket()
		if first, last := b[0].GetUpperBound(), b[len(b)-1].GetUpperBound(); first != want.first || last != want.last {
			t.Errorf("%s: from %v to %v, want %v", name, first, last, want)
		}
	}
}
