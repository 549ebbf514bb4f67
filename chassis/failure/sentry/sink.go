package sentry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// Sink is an [aggregate.Sink] that delivers to Sentry. Make one with [Open]; most services call [Use]. Its
// methods are safe for concurrent use.
type Sink struct {
	cfg    Config
	o      Options
	sender *sender

	mu      sync.Mutex
	current *spool.Spool // closed while a new one cannot be opened
}

// What becomes of reports, as [Options].Counted is told.
const (
	Taken     = "taken"     // written to the spool
	Delivered = "delivered" // Sentry took the event
	Refused   = "refused"   // Sentry will never take it: it is parked in the spool
	Limited   = "limited"   // answered with 429; it is sent again
	Failed    = "failed"    // a try that failed otherwise; it is sent again
	Dropped   = "dropped"   // it could not be written to the spool, and is lost
)

var outcomes = []string{Taken, Delivered, Refused, Limited, Failed, Dropped}

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
	// Spool is told why the spool does not work any more, once each time, and with nil when it works
	// again; it must not block. Nil tells nobody.
	Spool func(error)
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
	if o.Spool == nil {
		o.Spool = func(error) {}
	}
	s := &Sink{cfg: cfg, o: o}
	var err error
	if s.sender, err = newSender(&cfg, o.Clock, o.Counted); err != nil {
		return nil, err
	}
	if s.current, err = s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sink) open(ctx context.Context) (*spool.Spool, error) {
	opened, err := spool.Open(ctx, s.cfg.Spool, spool.Config{
		Limit:    spool.Limit{Bytes: s.cfg.Bytes, Age: s.cfg.Age, OnFull: spool.DropOldest},
		SetAside: true, // a damaged spool must not keep the service from starting
		Clock:    s.o.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("sentry.spool: %w", err)
	}
	return opened, nil
}

func (s *Sink) spool() *spool.Spool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Take implements [aggregate.Sink]: when it returns nil the report is on the disk. Otherwise it is counted
// as [Dropped].
func (s *Sink) Take(ctx context.Context, r aggregate.Report) error {
	body, err := s.cfg.encode(&r)
	if err == nil {
		err = s.spool().Put(ctx, spool.Record{ID: r.ID, Kind: "event", Body: body})
	}
	if err != nil {
		s.o.Counted(Dropped)
		return fmt.Errorf("sentry: %w", err)
	}
	s.o.Counted(Taken)
	return nil
}

const (
	reopenFirst = time.Second // how long to wait before a spool that failed is opened again
	reopenMost  = time.Minute // what that grows to while it cannot be opened
)

// Run delivers until ctx ends. Reports that were not delivered are delivered by whoever opens the spool
// next. When the spool's storage fails it is closed and opened again, after 1 s at first and at last once
// a minute, and reports are dropped meanwhile: a disk that fails must not end the service. An error says
// that the sink was closed before. Run is called once at a time.
func (s *Sink) Run(ctx context.Context) error {
	for {
		now := s.spool()
		pump, err := spool.NewPump(now, spool.PumpConfig{
			Batch: min(max(10*s.cfg.Rate, 2), 100), // well within the lease at this rate
			Rand:  s.o.Rand, Failed: s.o.Failed,
		}, s.sender.deliver)
		if err == nil {
			err = pump.Run(ctx)
		}
		if !errors.Is(err, spool.ErrFailed) {
			return err
		}
		s.o.Spool(fmt.Errorf("sentry.spool: reports are dropped until it can be opened again: %w", err))
		_ = now.Close() // it may fail as well, and there is nothing left to save
		if err := s.reopen(ctx); err != nil {
			return nil // ctx has ended
		}
		s.o.Spool(nil)
	}
}

// reopen opens the spool anew. The error is that of ctx.
func (s *Sink) reopen(ctx context.Context) error {
	for wait := reopenFirst; ; wait = min(2*wait, reopenMost) {
		if err := clock.Sleep(ctx, s.o.Clock, wait); err != nil {
			return err
		}
		opened, err := s.open(ctx)
		if err == nil {
			s.mu.Lock()
			s.current = opened
			s.mu.Unlock()
			return nil
		}
	}
}

// Spool is the state of the spool. The error wraps [spool.ErrClosed] while the spool cannot be opened again.
func (s *Sink) Spool(ctx context.Context) (spool.Stats, error) { return s.spool().Stats(ctx) }

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
	if err := s.spool().Close(); err != nil {
		return fmt.Errorf("sentry.spool: %w", err)
	}
	return nil
}
