package kpi_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func TestWhatEachClientSendsIsShownByItsName(t *testing.T) {
	registry := prometheus.NewRegistry()
	game := kpi.ClientStats{
		Requests: 10, Attempts: map[string]uint64{"accepted": 7, "rejected": 0}, Retries: 3, Hedges: 2, Throttled: 1, Exhausted: 4,
	}
	if err := kpi.RegisterClient(registry, "game", func() kpi.ClientStats { return game }); err != nil {
		t.Fatal(err)
	}
	if err := kpi.RegisterClient(registry, "mail\xff", func() kpi.ClientStats { return kpi.ClientStats{} }); err != nil {
		t.Fatal(err)
	}
	const want = `
# HELP client_attempts_total Attempts of these requests that have ended, by outcome.
# TYPE client_attempts_total counter
client_attempts_total{client="game",outcome="accepted"} 7
client_attempts_total{client="game",outcome="rejected"} 0
# HELP client_hedges_total Attempts while another of the same request was under way.
# TYPE client_hedges_total counter
client_hedges_total{client="game"} 2
client_hedges_total{client="mail�"} 0
# HELP client_requests_total Requests to the service that is called, those held back included.
# TYPE client_requests_total counter
client_requests_total{client="game"} 10
client_requests_total{client="mail�"} 0
# HELP client_retries_total Attempts after a request's first.
# TYPE client_retries_total counter
client_retries_total{client="game"} 3
client_retries_total{client="mail�"} 0
# HELP client_retry_budget_exhausted_total Attempts not made because the budget for them was spent.
# TYPE client_retry_budget_exhausted_total counter
client_retry_budget_exhausted_total{client="game"} 4
client_retry_budget_exhausted_total{client="mail�"} 0
# HELP client_throttled_total Requests not sent because the service refuses too many.
# TYPE client_throttled_total counter
client_throttled_total{client="game"} 1
client_throttled_total{client="mail�"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	err := kpi.RegisterClient(registry, "game", func() kpi.ClientStats { return game })
	if err == nil || !strings.HasPrefix(err.Error(), `metrics of client "game": `) {
		t.Errorf("a second client of the same name: %v", err)
	}
}
