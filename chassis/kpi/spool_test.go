package kpi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func TestWhatEachSpoolHoldsIsShownByItsName(t *testing.T) {
	registry := prometheus.NewRegistry()
	source := func() kpi.SpoolStats {
		return kpi.SpoolStats{
			Records: 1, Held: 2, Parked: 3, Bytes: 4, Limit: 5, OldestAge: 6 * time.Second, Blocked: 7,
			Put: 8, Acked: 9, Failed: 10, Rejected: 11, Parkings: 12, Dropped: map[string]uint64{"full": 13, "age": 0},
		}
	}
	if err := kpi.RegisterSpool(registry, "reports", source); err != nil {
		t.Fatal(err)
	}
	if err := kpi.RegisterSpool(registry, "reports", source); err == nil || !strings.Contains(err.Error(), `"reports"`) {
		t.Errorf("the same name again: %v", err)
	}
	got, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain,
		"spool_records", "spool_held", "spool_parked", "spool_bytes", "spool_limit_bytes", "spool_oldest_age_seconds", "spool_blocked",
		"spool_put_total", "spool_acked_total", "spool_failed_total", "spool_rejected_total", "spool_parked_total", "spool_dropped_total")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`spool_records{spool="reports"} 1`, `spool_held{spool="reports"} 2`, `spool_parked{spool="reports"} 3`,
		`spool_bytes{spool="reports"} 4`, `spool_limit_bytes{spool="reports"} 5`, `spool_oldest_age_seconds{spool="reports"} 6`,
		`spool_blocked{spool="reports"} 7`, `spool_put_total{spool="reports"} 8`, `spool_acked_total{spool="reports"} 9`,
		`spool_failed_total{spool="reports"} 10`, `spool_rejected_total{spool="reports"} 11`, `spool_parked_total{spool="reports"} 12`,
		`spool_dropped_total{reason="full",spool="reports"} 13`, `spool_dropped_total{reason="age",spool="reports"} 0`,
	} {
		if !strings.Contains(string(got), line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
}
