package projection_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
)

func TestProgressIsALineWithABar(t *testing.T) {
	for want, g := range map[string]projection.Progress{
		"standings v2 [=============       ]  67 %, 1340000 events, 310000/s": {Name: "standings", Version: 2, Position: 1_340_000, Head: 2_000_000, Events: 1_340_000, Rate: 310_000},
		"standings v1 [                    ]   0 %, 0 events":                 {Name: "standings", Version: 1, Head: 10},
		"standings v1 [=================== ]  99 %, 10 events":                {Name: "standings", Version: 1, Position: 10, Head: 10, Events: 10},
		"standings v1 [====================] 100 %, 10 events":                {Name: "standings", Version: 1, Position: 10, Head: 10, Events: 10, Complete: true},
		"standings v1 [====================] 100 %, 0 events: disk is full":   {Name: "standings", Version: 1, Complete: true, Trouble: errors.New("disk is full")},
	} {
		if got := g.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProgressAndMetricsShowABuildUnderWay(t *testing.T) {
	c := clock.NewVirtual(time.Unix(0, 0))
	j := openJournal(t, "mem:")
	fill(t, j, 0, 2500)
	reached, on := make(chan struct{}), make(chan struct{})
	spec := seen(4)
	apply := spec.Apply
	spec.Apply = func(tx *projection.Tx, e journal.Recorded) error {
		if string(e.Data) == "2000" { // the first of the third batch
			close(reached)
			<-on
		}
		return apply(tx, e)
	}
	p, _ := open(t, c, "mem:", j, spec)
	registry := prometheus.NewRegistry()
	must(t, p.Register(registry))
	run(t, p)
	<-reached
	c.Advance(2 * time.Second)
	if got, want := p.Progress().String(), "seen v4 [================    ]  80 %, 2000 events, 1000/s"; got != want {
		t.Errorf("under way: %q, want %q", got, want)
	}
	metrics := func(want string) {
		t.Helper()
		text := strings.NewReplacer("LABEL", `projection="seen"`).Replace(want)
		err := testutil.GatherAndCompare(registry, strings.NewReader(text), "projection_position", "projection_applied_total", "projection_complete")
		if err != nil {
			t.Error(err)
		}
	}
	const help = `# HELP projection_applied_total Events applied.
# TYPE projection_applied_total counter
projection_applied_total{LABEL} %APPLIED
# HELP projection_complete Whether the version has been at the head, and is the one that is asked.
# TYPE projection_complete gauge
projection_complete{LABEL,version="4"} %COMPLETE
# HELP projection_position Position in the journal up to which events were applied.
# TYPE projection_position gauge
projection_position{LABEL} %APPLIED
`
	metrics(strings.NewReplacer("%APPLIED", "2000", "%COMPLETE", "0").Replace(help))
	close(on)
	must(t, p.Ready(t.Context()))
	metrics(strings.NewReplacer("%APPLIED", "2500", "%COMPLETE", "1").Replace(help))
	if err := p.Register(registry); err == nil {
		t.Error("registered twice")
	}
}
