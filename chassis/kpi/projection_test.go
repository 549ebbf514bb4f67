package kpi_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func TestHowFarEachProjectionHasComeIsShownByItsName(t *testing.T) {
	registry := prometheus.NewRegistry()
	source := func() kpi.ProjectionStats {
		return kpi.ProjectionStats{Version: 3, Position: 10, Head: 12, Complete: true, Applied: 7}
	}
	if err := kpi.RegisterProjection(registry, "standings", source); err != nil {
		t.Fatal(err)
	}
	if err := kpi.RegisterProjection(registry, "standings", source); err == nil || !strings.Contains(err.Error(), `"standings"`) {
		t.Errorf("the same name again: %v", err)
	}
	got, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain,
		"projection_position", "projection_head", "projection_complete", "projection_failing", "projection_applied_total")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`projection_position{projection="standings"} 10`, `projection_head{projection="standings"} 12`,
		`projection_complete{projection="standings",version="3"} 1`, `projection_failing{projection="standings"} 0`,
		`projection_applied_total{projection="standings"} 7`,
	} {
		if !strings.Contains(string(got), line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
}
