package kpi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func ExampleRegisterReload() {
	registry := prometheus.NewRegistry()
	kpi.RegisterReload(registry, func() kpi.ReloadStats {
		return kpi.ReloadStats{Reloads: 12, Failed: map[string]uint64{"config": 1}, Workers: map[string]int{"active": 1, "draining": 2}}
	})
	out, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "reload_failed_total", "workers")
	if err != nil {
		fmt.Println(err)
	}
	os.Stdout.Write(out)
	// Output:
	// # HELP reload_failed_total Reloads after which the old worker went on, by reason.
	// # TYPE reload_failed_total counter
	// reload_failed_total{reason="config"} 1
	// # HELP workers Worker processes, by phase.
	// # TYPE workers gauge
	// workers{phase="active"} 1
	// workers{phase="draining"} 2
}

// deploying registers the metrics of reloads, drains and certificates.
func deploying(last time.Time) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	kpi.RegisterReload(registry, func() kpi.ReloadStats {
		return kpi.ReloadStats{
			Reloads: 7, Failed: map[string]uint64{"setup": 2, "exec": 0}, Crashes: 3, Killed: 4, Rollbacks: 5, Upgrades: 6, Takeovers: 8,
			Workers: map[string]int{"active": 1, "draining": 2, "starting": 0}, Last: last,
		}
	})
	kpi.RegisterDrain(registry, func() []kpi.DrainStats {
		return []kpi.DrainStats{
			{Listener: "http", Given: 100, Adopted: 50, Cut: map[string]uint64{"http1": 1, "h2": 0}},
			{Listener: "web"},
		}
	})
	kpi.RegisterCertificates(registry, func() []kpi.CertificateStats {
		return []kpi.CertificateStats{{Listener: "http", NotAfter: time.Unix(1_800_000_000, 0), Failed: 9}}
	})
	return registry
}

func TestDeploymentIsShownAsItIs(t *testing.T) {
	const want = `
# HELP certificate_expiry_timestamp_seconds When the validity of the certificate in use ends.
# TYPE certificate_expiry_timestamp_seconds gauge
certificate_expiry_timestamp_seconds{listener="http"} 1.8e+09
# HELP certificate_reload_failed_total Changes of certificate files that could not be taken.
# TYPE certificate_reload_failed_total counter
certificate_reload_failed_total{listener="http"} 9
# HELP connections_adopted_total Idle connections taken over from the worker before.
# TYPE connections_adopted_total counter
connections_adopted_total{listener="http"} 50
connections_adopted_total{listener="web"} 0
# HELP connections_given_total Idle connections handed over to the next worker.
# TYPE connections_given_total counter
connections_given_total{listener="http"} 100
connections_given_total{listener="web"} 0
# HELP drain_cut_total Connections closed with a request under way, because the drain's time was up.
# TYPE drain_cut_total counter
drain_cut_total{listener="http",protocol="h2"} 0
drain_cut_total{listener="http",protocol="http1"} 1
# HELP reload_failed_total Reloads after which the old worker went on, by reason.
# TYPE reload_failed_total counter
reload_failed_total{reason="exec"} 0
reload_failed_total{reason="setup"} 2
# HELP reload_last_timestamp_seconds When a worker last became ready, or failed to.
# TYPE reload_last_timestamp_seconds gauge
reload_last_timestamp_seconds 1700000000.25
# HELP reload_total Reloads after which a new worker served.
# TYPE reload_total counter
reload_total 7
# HELP supervisor_takeovers_total Workers taken over from a supervisor that had died.
# TYPE supervisor_takeovers_total counter
supervisor_takeovers_total 8
# HELP supervisor_upgrades_total Replacements of the supervisor in place.
# TYPE supervisor_upgrades_total counter
supervisor_upgrades_total 6
# HELP worker_crashes_total Workers that died while they served.
# TYPE worker_crashes_total counter
worker_crashes_total 3
# HELP worker_killed_total Workers that were killed because they did not end in time.
# TYPE worker_killed_total counter
worker_killed_total 4
# HELP worker_rollbacks_total Returns to the binary before, after crashes.
# TYPE worker_rollbacks_total counter
worker_rollbacks_total 5
# HELP workers Worker processes, by phase.
# TYPE workers gauge
workers{phase="active"} 1
workers{phase="draining"} 2
workers{phase="starting"} 0
`
	registry := deploying(time.UnixMilli(1_700_000_000_250))
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestBeforeTheFirstReloadThereIsNoTimeOfIt(t *testing.T) {
	if n, err := testutil.GatherAndCount(deploying(time.Time{}), "reload_last_timestamp_seconds"); n != 0 || err != nil {
		t.Errorf("%d series of reload_last_timestamp_seconds, %v", n, err)
	}
}
