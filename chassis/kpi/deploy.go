package kpi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ReloadStats is how often a service has replaced its processes, since its supervisor was started.
type ReloadStats struct {
	// Reloads have happened; Failed counts those that did not, by reason. List every reason,
	// those with a count of zero too, because a rate cannot see the step from nothing to one.
	Reloads uint64
	Failed  map[string]uint64
	// Crashes counts workers that died while they served, Killed those that did not end in time.
	Crashes, Killed uint64
	// Rollbacks counts returns to the binary before, Upgrades and Takeovers replacements of the
	// supervisor.
	Rollbacks, Upgrades, Takeovers uint64
	// Workers are alive, by phase: starting, active, draining.
	Workers map[string]int
	// Last is when a worker became ready, or failed to; zero before the first.
	Last time.Time
}

// RegisterReload shows what source returns: the counters reload_total, reload_failed_total{reason},
// worker_crashes_total, worker_killed_total, worker_rollbacks_total, supervisor_upgrades_total and
// supervisor_takeovers_total, and the gauges workers{phase} and
// reload_last_timestamp_seconds. source is called at each scrape.
func RegisterReload(reg prometheus.Registerer, source func() ReloadStats) {
	reloads := prometheus.NewDesc("reload_total", "Reloads after which a new worker served.", nil, nil)
	failed := prometheus.NewDesc("reload_failed_total", "Reloads after which the old worker went on, by reason.", []string{"reason"}, nil)
	crashes := prometheus.NewDesc("worker_crashes_total", "Workers that died while they served.", nil, nil)
	killed := prometheus.NewDesc("worker_killed_total", "Workers that were killed because they did not end in time.", nil, nil)
	rollbacks := prometheus.NewDesc("worker_rollbacks_total", "Returns to the binary before, after crashes.", nil, nil)
	upgrades := prometheus.NewDesc("supervisor_upgrades_total", "Replacements of the supervisor in place.", nil, nil)
	takeovers := prometheus.NewDesc("supervisor_takeovers_total", "Workers taken over from a supervisor that had died.", nil, nil)
	workers := prometheus.NewDesc("workers", "Worker processes, by phase.", []string{"phase"}, nil)
	last := prometheus.NewDesc("reload_last_timestamp_seconds", "When a worker last became ready, or failed to.", nil, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		s := source()
		emit.counter(reloads, s.Reloads)
		for reason, n := range s.Failed {
			emit.counter(failed, n, reason)
		}
		emit.counter(crashes, s.Crashes)
		emit.counter(killed, s.Killed)
		emit.counter(rollbacks, s.Rollbacks)
		emit.counter(upgrades, s.Upgrades)
		emit.counter(takeovers, s.Takeovers)
		for phase, n := range s.Workers {
			emit.gauge(workers, float64(n), phase)
		}
		if !s.Last.IsZero() {
			emit.gauge(last, float64(s.Last.UnixMilli())/1000)
		}
	}, reloads, failed, crashes, killed, rollbacks, upgrades, takeovers, workers, last))
}

// DrainStats is how the connections of one listener have left.
type DrainStats struct {
	Listener string
	// Given connections went to a successor, Adopted ones came from a predecessor.
	Given, Adopted uint64
	// Cut counts connections that were closed with a request under way, by protocol. List
	// every protocol.
	Cut map[string]uint64
}

// RegisterDrain shows what source returns, as the counters connections_given_total{listener},
// connections_adopted_total{listener} and drain_cut_total{listener,protocol}. source is called at
// each scrape.
func RegisterDrain(reg prometheus.Registerer, source func() []DrainStats) {
	listener := []string{"listener"}
	given := prometheus.NewDesc("connections_given_total", "Idle connections handed over to the next worker.", listener, nil)
	adopted := prometheus.NewDesc("connections_adopted_total", "Idle connections taken over from the worker before.", listener, nil)
	cut := prometheus.NewDesc("drain_cut_total", "Connections closed with a request under way, because the drain's time was up.", []string{"listener", "protocol"}, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		for _, s := range source() {
			emit.counter(given, s.Given, s.Listener)
			emit.counter(adopted, s.Adopted, s.Listener)
			for protocol, n := range s.Cut {
				emit.counter(cut, n, s.Listener, protocol)
			}
		}
	}, given, adopted, cut))
}

// CertificateStats is what is known of the certificate of one listener.
type CertificateStats struct {
	Listener string
	// NotAfter is when its validity ends.
	NotAfter time.Time
	// Failed counts changes of its files that could not be taken.
	Failed uint64
}

// RegisterCertificates shows what source returns, as the gauge
// certificate_expiry_timestamp_seconds{listener} and the counter
// certificate_reload_failed_total{listener}. source is called at each scrape.
func RegisterCertificates(reg prometheus.Registerer, source func() []CertificateStats) {
	listener := []string{"listener"}
	expiry := prometheus.NewDesc("certificate_expiry_timestamp_seconds", "When the validity of the certificate in use ends.", listener, nil)
	failed := prometheus.NewDesc("certificate_reload_failed_total", "Changes of certificate files that could not be taken.", listener, nil)
	reg.MustRegister(newCollector(func(emit emitter) {
		for _, s := range source() {
			emit.gauge(expiry, float64(s.NotAfter.Unix()), s.Listener)
			emit.counter(failed, s.Failed, s.Listener)
		}
	}, expiry, failed))
}
