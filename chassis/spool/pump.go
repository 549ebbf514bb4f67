package spool

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// Deliver hands records to their receiver. It returns nil when all were delivered, or one error for
// each record, in their order, nil for those that were. ctx ends before the lease does; when it ends,
// Deliver must return. An error says more when it comes from [Refused], [Unavailable] or [Untried].
type Deliver func(ctx context.Context, records []Record) []error

// PumpConfig is how a pump works. A zero field means its default.
type PumpConfig struct {
	// Batch is how many records are handed to Deliver at most: 100 by default, and up to 1,000.
	Batch int `config:"batch" doc:"records delivered in one call at most"`
	// Lease is how long a batch is kept from other processes, 1 minute by default. Deliver has three
	// quarters of it.
	Lease time.Duration `config:"lease" doc:"time for which records that are being delivered are kept from other processes"`
	// Poll is how often an idle pump looks for records that other processes have put, 1 s by default.
	// Those put by its own process it delivers at once.
	Poll time.Duration `config:"poll" doc:"how often to look for records that other processes have put"`
	// Backoff is the wait after a failure, 1 s by default, of which a random part of up to a half is
	// taken off. Each further failure doubles it, up to MaxBackoff, 5 min by default.
	Backoff    time.Duration `config:"backoff" doc:"wait after a failed delivery; it doubles with each"`
	MaxBackoff time.Duration `config:"max_backoff" doc:"what that wait grows to"`
	// Breaker is after how many failures in a row the circuit opens, 3 by default: then one record is
	// tried at a time instead of Batch, and one probe, until one of them gets through.
	Breaker int `config:"breaker" doc:"failures in a row after which only one record and a probe are tried at a time"`
	// Patience is how old a record becomes at least before it is parked because the receiver is
	// unavailable whenever it is tried, and takes others: 1 hour by default. A part of the receiver may be
	// down, such as one partition; set it to what such an outage may last.
	Patience time.Duration `config:"patience" doc:"age before which no record is parked for which the receiver is unavailable though it takes others"`

	// Rand is where jitter comes from; nil means crypto/rand.
	Rand io.Reader `config:"-"`
	// Failed, unless nil, is told of each failure to deliver, and of failures of the spool itself. It
	// must not block.
	Failed func(error) `config:"-"`
}

// SetDefaults fills what is zero.
func (c *PumpConfig) SetDefaults() {
	if c.Batch == 0 {
		c.Batch = 100
	}
	if c.Lease == 0 {
		c.Lease = time.Minute
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Backoff == 0 {
		c.Backoff = time.Second
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(5*time.Minute, c.Backoff)
	}
	if c.Breaker == 0 {
		c.Breaker = 3
	}
	if c.Patience == 0 {
		c.Patience = time.Hour
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
}

// Validate refuses bounds that are none. Defaults must have been set.
func (c *PumpConfig) Validate() error {
	var errs []error
	if c.Batch < 1 || c.Batch > maxLeaseRows {
		errs = append(errs, config.Invalid("batch", "want from 1 to %d, got %d", maxLeaseRows, c.Batch))
	}
	if c.Lease < time.Second || c.Lease > maxLease {
		errs = append(errs, config.Invalid("lease", "want from 1s to %v, got %v", maxLease, c.Lease))
	}
	if c.Poll < 0 {
		errs = append(errs, config.Invalid("poll", "want more than 0, got %v", c.Poll))
	}
	if c.Backoff < 0 || c.MaxBackoff < c.Backoff {
		errs = append(errs, config.Invalid("backoff", "want more than 0 and at most max_backoff, %v, got %v", c.MaxBackoff, c.Backoff))
	}
	if c.Breaker < 0 {
		errs = append(errs, config.Invalid("breaker", "want 1 or more, got %d", c.Breaker))
	}
	if c.Patience < 0 {
		errs = append(errs, config.Invalid("patience", "want more than 0, got %v", c.Patience))
	}
	return errors.Join(errs...)
}

// A Pump drains a spool into a [Deliver] function: lease, deliver, settle, and wait when that failed.
//
//	lease ──records──▶ deliver ──▶ settle ──none got through──▶ probe ──in vain──▶ back off ──▶ lease
//	  └──none──▶ idle ──put, or Poll──▶ lease                     └──got through──▶ lease
//
// # Who is at fault
//
// A record that fails may be at fault, or its receiver is. A failure is counted against a record (see
// [Spool.Nack]) only when another one got through after it failed, so that an outage counts for nothing,
// however long it is, and all is delivered in its order afterwards:
//
//   - When one further back in the same batch got through, the failure is counted at once.
//   - When one got through since, the record is tried once more, as the receiver may just have come back,
//     and a failure then is counted.
//   - When none got through, one record from behind the front is tried, the probe. If it fails as well the
//     receiver is at fault as far as can be told: all stay in their places, the pump backs off, and the
//     next probe is taken from twice as far behind.
//
// A record with a failure counted waits by itself, longer each time, and is then tried apart from the
// others, which do not wait for it. It is parked after [Config].MaxTries; if the receiver was unavailable
// for it (a time-out, a 502), not before it is Patience old. A record that is alone in the spool is tried
// for good: nothing tells its fault from the receiver's.
//
// A receiver that asks to wait ([Unavailable]) is not probed meanwhile, but for each fourth time in a row.
// After Breaker rounds in a row in which nothing got through the circuit is open: one record and one probe
// are tried at a time.
type Pump struct {
	spool   *Spool
	cfg     PumpConfig
	deliver Deliver

	failures atomic.Int64 // rounds in a row in which nothing got through

	// Of the goroutine that runs it:
	reach     int             // the next probe is the 2^reach-th record behind the front
	doubts    map[int64]doubt // of records that failed, by seq
	vain      int64           // how often in a row records were tried again in vain
	nextAgain time.Time       // before which none is
}

// NewPump makes a pump. It does nothing before Run.
func NewPump(s *Spool, cfg PumpConfig, deliver Deliver) (*Pump, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pump of spool %s: %w: %w", s.name, ErrInvalid, err)
	}
	return &Pump{spool: s, cfg: cfg, deliver: deliver, doubts: map[int64]doubt{}}, nil
}

// Open reports whether the circuit is open: nothing got through several times in a row.
func (p *Pump) Open() bool { return p.failures.Load() >= int64(p.cfg.Breaker) }

// Run delivers until ctx ends. What is being delivered then is finished, within the time of its lease,
// and acknowledged; what is not delivered is given back for other processes at once. The error is nil
// when ctx has ended, and otherwise says why the spool cannot be used any more. Run is called once at a
// time.
func (p *Pump) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := p.spool.change()
		leased, err := p.spool.lease(ctx, p.front(0), p.batch(), p.cfg.Lease)
		switch {
		case ctx.Err() != nil && err != nil:
		case useless(err):
			return fmt.Errorf("pump: %w", err)
		case err != nil:
			p.tell(err)
			p.wait(ctx, p.backoff(p.failures.Add(1)), nil)
		case len(leased) > 0:
			if pause := p.round(ctx, leased); pause > 0 {
				p.wait(ctx, pause, nil)
			} else {
				p.again(ctx)
			}
		case !p.again(ctx):
			p.wait(ctx, p.cfg.Poll, changed)
		}
	}
	return nil
}

// batch is how many records are tried at a time.
func (p *Pump) batch() int {
	if p.Open() {
		return 1
	}
	return p.cfg.Batch
}

// useless says that the spool will never do anything again.
func useless(err error) bool { return errors.Is(err, ErrFailed) || errors.Is(err, ErrClosed) }

// wait waits for d, or until changed is closed.
func (p *Pump) wait(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	if d <= 0 || ctx.Err() != nil {
		return
	}
	over := make(chan struct{})
	t := p.spool.cfg.Clock.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-over:
	case <-changed:
	case <-ctx.Done():
	}
}

// backoff is how long to wait after the nth failure in a row.
func (p *Pump) backoff(n int64) time.Duration {
	d := p.cfg.MaxBackoff
	if n <= 32 && p.cfg.Backoff < p.cfg.MaxBackoff>>(n-1) {
		d = p.cfg.Backoff << (n - 1)
	}
	var b [8]byte
	if _, err := io.ReadFull(p.cfg.Rand, b[:]); err != nil {
		return d // without randomness there is no jitter
	}
	return d - time.Duration(binary.LittleEndian.Uint64(b[:])%uint64(d/2+1))
}

func (p *Pump) tell(err error) {
	if p.cfg.Failed != nil {
		p.cfg.Failed(err)
	}
}
