package chassis

import (
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// KPI is where a service declares what it measures of its own business, a line each:
//
//	started := s.KPI().Counter("games_started", "Games started.")
//
// They are in the metrics from the start, on the status page and in -describe, bounded like
// everything else that is counted, and merged across reloads. See [kpi.Set]. It belongs into
// Setup.
func (s *Service) KPI() *kpi.Set { return s.kpis }

// counted is a Server that knows its connections.
type counted interface{ Connections() kpi.ConnStats }

// watch has the metrics show the connections of a listener.
func (s *Service) watch(name string, server Server) {
	l := s.metrics.Listener(name)
	if s.Guest() {
		return
	}
	if c, ok := server.(counted); ok {
		l.Connections(c.Connections)
	}
}

// Connections implements counted.
func (e *endpoint) Connections() kpi.ConnStats { return connStats(e.server.States()) }

func connStats(s drain.States) kpi.ConnStats {
	return kpi.ConnStats{New: s.New, Active: s.Active, Idle: s.Idle, Hijacked: s.Hijacked}
}

// observed is what the metrics are told of an HTTP request.
func (ex *exchange) observed(status int, took time.Duration, bytes int64) kpi.Answer {
	a := kpi.Answer{
		Code: kpi.HTTP(status), Took: took, Bytes: bytes, Stream: ex.streams,
		ID: ex.ID, Trace: ex.Trace.Sampled(), End: ex.start.Add(took),
	}
	if ex.failed != nil {
		a.Class = ex.failed.Code().Class()
	}
	return a
}
