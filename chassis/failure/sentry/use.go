package sentry

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// Host is what [Use] needs of a service; *chassis.Service is one.
type Host interface {
	Name() string
	Clock() clock.Clock
	Rand() io.Reader
	Dry() bool
	Log(ctx context.Context) *zap.Logger
	KPI() *kpi.Set
	Go(name string, f func(ctx context.Context) error)
	OnClose(name string, f func(context.Context) error)
	ReportFailures(name string, sink aggregate.Sink)
}

// Use has the failures of a service reported to Sentry, as cfg says; without a DSN it does nothing. It
// is called in Setup. The error says what is wrong with the configuration or the spool's file;
// Sentry itself need not be there.
//
// Metrics tell of it: sentry_events_total by outcome (taken into the spool, delivered, refused,
// limited, failed, dropped), sentry_spool_records and sentry_spool_oldest_seconds, which is how far
// Sentry is behind, and sentry_spool_failures_total, how often the disk under the spool failed.
func Use(s Host, cfg Config) error {
	if cfg.DSN.Reveal() == "" {
		return nil
	}
	cfg.SetDefaults()
	if cfg.Spool == "" {
		cfg.Spool = s.Name() + "-sentry.spool"
	}
	if s.Dry() {
		if err := cfg.Validate(); err != nil {
			return fmt.Errorf("sentry: %w", err)
		}
		return nil
	}
	ctx := context.Background() // of the service, not of a request
	log := s.Log(ctx).Named("sentry")
	events := s.KPI().Counter("sentry_events", "Error reports on their way to Sentry, by what became of them.", "outcome")
	for _, outcome := range outcomes {
		events.With(outcome)
	}
	failures := s.KPI().Counter("sentry_spool_failures", "Times that the storage of the error reports for Sentry failed.").With()
	sink, err := Open(ctx, cfg, Options{
		Clock: s.Clock(), Rand: s.Rand(),
		Counted: func(outcome string) { events.With(outcome).Inc() },
		Failed:  func(err error) { log.Warn("reports wait for sentry", zap.Error(err)) },
		Spool: func(err error) {
			if err == nil {
				log.Info("the spool of reports works again", zap.String("spool", cfg.Spool))
				return
			}
			failures.Inc()
			log.Error("the spool of reports failed", zap.Error(err))
		},
	})
	if err != nil {
		return err
	}
	log.Info("failures are reported", zap.String("host", sink.sender.endpoint.host), zap.String("spool", cfg.Spool))
	s.KPI().GaugeFunc("sentry_spool_records", "Error reports that wait for Sentry, those parked included.", func() float64 {
		return float64(sink.waiting().Records)
	}).Merge(kpi.Max)
	s.KPI().GaugeFunc("sentry_spool_oldest_seconds", "Age of the oldest error report that waits for Sentry.", func() float64 {
		return sink.waiting().Oldest.Seconds()
	}).Merge(kpi.Max)
	s.OnClose("sentry", func(context.Context) error { return sink.Close() })
	s.Go("sentry", sink.Run)
	s.ReportFailures("sentry", sink)
	return nil
}

// statsTimeout bounds how long a scrape waits for the spool.
const statsTimeout = time.Second
