package kpi

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// ProjectionStats are the figures of one projection of a journal.
type ProjectionStats struct {
	// Version is the version of the projection that this process builds and follows with.
	Version int
	// Position is how far the projection has come, Head where the journal ends.
	Position, Head uint64
	// Complete reports that the version has been at the head.
	Complete bool
	// Failing reports that events are not applied at present.
	Failing bool
	// Applied counts the events that this process has applied.
	Applied uint64
}

// RegisterProjection shows what source returns, each metric labelled by projection: the gauges
// projection_position, projection_head, projection_failing and projection_complete, the last of
// which is labelled by version too, and the counter projection_applied_total. source is called at
// each scrape, concurrently with itself when scrapes overlap. It fails when there is a projection of
// that name already.
func RegisterProjection(reg prometheus.Registerer, name string, source func() ProjectionStats) error {
	labels := prometheus.Labels{"projection": valid(name)}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, more, labels)
	}
	position := desc("projection_position", "Position in the journal up to which events were applied.")
	head := desc("projection_head", "Position of the journal's last event, as it was last seen.")
	complete := desc("projection_complete", "Whether the version has been at the head, and is the one that is asked.", "version")
	failing := desc("projection_failing", "Whether events are not applied at present.")
	applied := desc("projection_applied_total", "Events applied.")
	err := reg.Register(newCollector(func(emit emitter) {
		s := source()
		emit.gauge(position, float64(s.Position))
		emit.gauge(head, float64(s.Head))
		emit.gauge(complete, truth(s.Complete), strconv.Itoa(s.Version))
		emit.gauge(failing, truth(s.Failing))
		emit.counter(applied, s.Applied)
	}, position, head, complete, failing, applied))
	if err != nil {
		return fmt.Errorf("metrics of projection %q: %w", name, err)
	}
	return nil
}

// truth is how a metric says yes and no.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
