package sentry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// Sink is an [aggregate.Sink] that delivers to Sentry. Make one with [Open]; most services call [Use].
type Sink struct {
	cfg    Config
	spool  *spool.Spool
	sender *sender
	pump   *spool.Pump
	count  func(outcome string)
}

// What becomes of reports, as [Options].Counted is told.
const (
	Taken     = "taken"     // written to the spool
	Delivered = "delivered" // Sentry took the event
	Refused   = "refused"   // Sentry will never take it: it is parked in the spool
	Limited   = "limited"   // answered with 429; it is sent again
	Failed    = "failed"    // a try that failed otherwise; it is sent again
)

var outcomes = []string{Taken, Delivered, Refused, Limited, Failed}

// Options are what a sink takes from the world. The zero value is the real one.
type Options struct {
	// Clock is what waits and rates go by; nil is the machine's.
	Clock clock.Clock
	// Rand is where jitter comes from; nil is crypto/rand.
	Rand io.Reader
	// Counted is told what became of reports, one of [Taken] and so on each time; nil tells nobody.
	Counted func(outcome string)
	// Failed is told of each failure to deliver, and must not block; nil tells nobody. The error has
	// no key in it.
	Failed func(error)
}

// Open opens the spool of cfg, which must have a DSN and the path of a spool; other fields that are
// zero mean their defaults. Nothing is sent before Run. Errors say which setting is wrong.
func Open(ctx context.Context, cfg Config, o Options) (*Sink, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sentry: %w", err)
	}
	if cfg.Spool == "" {
		return nil, errors.New("sentry.spool: want a file in which reports wait, such as /var/lib/game/sentry.spool")
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Counted == nil {
		o.Counted = func(string) {}
	}
	s := &Sink{cfg: cfg, count: o.Counted}
	var err error
	if s.sender, err = newSender(&cfg, o.Clock, o.Counted); err != nil {
		return nil, err
	}
	s.spool, err = spool.Open(ctx, cfg.Spool, spool.Config{
		Limit:    spool.Limit{Bytes: cfg.Bytes, Age: cfg.Age, OnFull: spool.DropOldest},
		SetAside: true, // a damaged spool must not keep the service from starting
		Clock:    o.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("sentry.spool: %w", err)
	}
	s.pump, err = spool.NewPump(s.spool, spool.PumpConfig{
		Batch: min(max(10*cfg.Rate, 2), 100), // well within the lease at this rate
		Rand:  o.Rand, Failed: o.Failed,
	}, s.sender.deliver)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sentry.spool: %w", err), s.spool.Close())
	}
	return s, nil
}

// Take implements [aggregate.Sink]: when it returns nil the report is on the disk.
func (s *Sink) Take(ctx context.Context, r aggregate.Report) error {
	body, err := s.cfg.encode(&r)
	if err == nil {
		err = s.spool.Put(ctx, spool.Record{ID: r.ID, Kind: "event", Body: body})
	}
	if err != nil {
		return fmt.Errorf("sentry: %w", err)
	}
	s.count(Taken)
	return nil
}

// Run delivers until ctx ends. The error is nil then, and otherwise says why the spool cannot be used
// any more. Reports that were not delivered are delivered by whoever opens the spool next.
func (s *Sink) Run(ctx context.Context) error { return s.pump.Run(ctx) }

// Spool is the state of the spool.
func (s *Sink) Spool(ctx context.Context) (spool.Stats, error) { return s.spool.Stats(ctx) }

// waiting is Spool for metrics, zero when the spool does not tell in time.
func (s *Sink) waiting() spool.Stats {
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, _ := s.Spool(ctx)
	return stats
}

// Close closes the spool and the connections. Run must have returned.
func (s *Sink) Close() error {
	s.sender.transport.CloseIdleConnections()
	if err := s.spool.Close(); err != nil {
		return fmt.Errorf("sentry.spool: %w", err)
	}
	return nil
}
