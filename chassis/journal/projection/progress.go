package projection

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// Progress is how far a projection has come, in this process's version.
type Progress struct {
	Name    string
	Version int
	// Position is that of the last event that was applied or passed over; Head is the journal's, as
	// it was last seen.
	Position, Head journal.Position
	// Events is how many were applied since the version was begun, by any process.
	Events uint64
	// Complete reports that the version has been at the head, and is the one that is asked.
	Complete bool
	// Applied is how many this process has applied since it opened the projection.
	Applied uint64
	// Rate is how many events a second this process has applied since it runs the projection.
	Rate float64
	// Trouble is what stands in the way, nil if nothing does.
	Trouble error
}

// Progress returns how far the projection has come. It touches neither the file nor the journal.
func (p *Projection) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := Progress{
		Name: p.spec.Name, Version: p.spec.Version, Position: p.state.pos, Head: max(p.head, p.state.pos),
		Events: p.state.events, Applied: p.before + p.applied, Complete: p.state.complete, Trouble: p.trouble,
	}
	if took := p.clock.Now().Sub(p.began); !p.began.IsZero() && took > 0 {
		g.Rate = float64(p.applied) / took.Seconds()
	}
	return g
}

// Share is how much of the journal the table has come through, from 0 to 1.
func (g Progress) Share() float64 {
	if g.Head == 0 {
		return 1
	}
	return float64(g.Position) / float64(g.Head)
}

// barWidth is the width of the bar that a Progress is written with.
const barWidth = 20

// String shows the progress in a line, with a bar:
//
//	standings v2 [=============       ]  67 %, 1340000 events, 310000/s
func (g Progress) String() string {
	share := g.Share()
	if !g.Complete {
		share = min(share, 0.99) // all is not done before it is
	}
	full := int(share * barWidth)
	bar := strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full)
	line := fmt.Sprintf("%s v%d [%s] %3.0f %%, %d events", g.Name, g.Version, bar, share*100, g.Events)
	if g.Rate > 0 {
		line += fmt.Sprintf(", %.0f/s", g.Rate)
	}
	if g.Trouble != nil {
		line += ": " + g.Trouble.Error()
	}
	return line
}

// Register shows the projection in the metrics of reg, as [kpi.RegisterProjection] says.
func (p *Projection) Register(reg prometheus.Registerer) error {
	return kpi.RegisterProjection(reg, p.spec.Name, func() kpi.ProjectionStats {
		g := p.Progress()
		return kpi.ProjectionStats{
			Version: g.Version, Position: uint64(g.Position), Head: uint64(g.Head),
			Complete: g.Complete, Failing: g.Trouble != nil, Applied: g.Applied,
		}
	})
}
