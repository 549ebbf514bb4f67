package kpi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// ClientStats is what a service has sent to one of those that it calls.
type ClientStats struct {
	// Requests of the application, those that were held back included.
	Requests uint64
	// Attempts that have ended, by outcome. List every outcome, those with a count of zero too,
	// because a rate cannot see the step from nothing to one.
	Attempts map[string]uint64
	// Retries are the attempts after a request's first, but for Hedges: those while another was
	// under way.
	Retries uint64
	Hedges  uint64
	// Throttled requests were held back, because the service refuses too many.
	Throttled uint64
	// Exhausted counts attempts that were not made because the budget for them was spent.
	Exhausted uint64
}

// RegisterClient shows what source returns, as the counters client_requests_total{client},
// client_attempts_total{client,outcome}, client_retries_total{client}, client_hedges_total{client},
// client_throttled_total{client} and client_retry_budget_exhausted_total{client}. The label client
// is name: that of the service that is called. source is called at each scrape, concurrently with
// itself when scrapes overlap. A name that is registered already is an error.
func RegisterClient(reg prometheus.Registerer, name string, source func() ClientStats) error {
	client := prometheus.Labels{"client": valid(name)}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, client)
	}
	requests := desc("client_requests_total", "Requests to the service that is called, those held back included.")
	attempts := desc("client_attempts_total", "Attempts of these requests that have ended, by outcome.", "outcome")
	retries := desc("client_retries_total", "Attempts after a request's first.")
	hedges := desc("client_hedges_total", "Attempts while another of the same request was under way.")
	throttled := desc("client_throttled_total", "Requests not sent because the service refuses too many.")
	exhausted := desc("client_retry_budget_exhausted_total", "Attempts not made because the budget for them was spent.")
	err := reg.Register(newCollector(func(emit emitter) {
		s := source()
		emit.counter(requests, s.Requests)
		for outcome, n := range s.Attempts {
			emit.counter(attempts, n, outcome)
		}
		emit.counter(retries, s.Retries)
		emit.counter(hedges, s.Hedges)
		emit.counter(throttled, s.Throttled)
		emit.counter(exhausted, s.Exhausted)
	}, requests, attempts, retries, hedges, throttled, exhausted))
	if err != nil {
		return fmt.Errorf("metrics of client %q: %w", name, err)
	}
	return nil
}
