package chassis_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

func TestAServiceDeclaresItsKPIsInALineEach(t *testing.T) {
	sup := supervise()
	sup.worker = 2
	older := prometheus.NewRegistry()
	declare := func(k *kpi.Set, ended, players float64) {
		k.Counter("games_ended", "Games that ended, by how.", "ending").With("draw").Add(ended)
		k.Gauge("players", "People who play.").Merge(kpi.Sum).Set(players)
		k.Histogram("think_seconds", "Time to think.").Objective(kpi.Objective{Value: 2, Why: "people wait"})
		k.Counter("games_lost", "Games that were lost, by why.", "reason")
	}
	declare(kpi.New(kpi.Options{Registerer: older}).KPIs(), 4, 3)
	data, err := kpi.Snapshot(older)
	if err != nil {
		t.Fatal(err)
	}
	sup.others = []reload.Snapshot{{Worker: 1, Living: true, Data: data}}
	h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, c conf) error {
		declare(s.KPI(), 2, 1)
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	got := series(t, h.admin("/metrics").body)
	if got["games_ended_total{ending=draw}"] != 6 || got["players"] != 4 {
		t.Errorf("%v games, %v players; want 6 and 4", got["games_ended_total{ending=draw}"], got["players"])
	}
	d, err := h.s.Description()
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]chassis.MetricDescription{}
	for i, m := range d.Metrics {
		described[m.Name] = m
		if i > 0 && d.Metrics[i-1].Name >= m.Name {
			t.Errorf("%s is described after %s", m.Name, d.Metrics[i-1].Name)
		}
	}
	if m := described["games_lost_total"]; !reflect.DeepEqual(m.Labels, []string{"reason"}) || m.Type != "counter" || m.Help == "" {
		t.Errorf("a KPI without a series is described as %+v", m)
	}
	if m := described["think_seconds"]; m.Objective == nil || m.Objective.Value != 2 || m.Objective.Quantile != 0.99 || m.Objective.Why != "people wait" {
		t.Errorf("%+v", m)
	}
	for _, name := range []string{"request_errors_total", "connections", "connections_refused_total", "requests_refused_total", "kpi_series", "kpi_series_overflow_total"} {
		if described[name].Help == "" {
			t.Errorf("%s is not described", name)
		}
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreShownByWhatTheyDo(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("hi"), "GET /wait": func(http.ResponseWriter, *http.Request) error {
		entered <- struct{}{}
		<-release
		return nil
	}})))
	h.get("/")
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		h.get("/wait")
	}()
	receive(t, entered, "the request")
	h.wantMetric(1, "connections", "listener", "http", "state", "active")
	close(release)
	receive(t, answered, "the answer")
	// A connection becomes idle a moment after its client has the answer.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if n, _ := h.metric("connections", "listener", "http", "state", "idle"); n == 1 {
			break
		}
	}
	h.wantMetric(1, "connections", "listener", "http", "state", "idle")
	h.wantMetric(0, "connections_refused_total", "listener", "http", "reason", "limit")
}
