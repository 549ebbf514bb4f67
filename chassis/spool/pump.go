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
// Deliver must return. An error says more when it comes from [Refused] or [Unavailable].
type Deliver func(ctx context.Context, records []Record) []error

// PumpConfig is how a pump works. A zero field means its default.
type PumpConfig struct {
	// Batch is how many records are handed to Deliver at most: 100 by default, and from 2 to 1,000. Of one
	// record alone that fails nobody could tell whether it or its receiver is at fault.
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
	// Breaker is after how many failures in a row the circuit opens, 3 by default: then two records are
	// tried at a time instead of Batch, until one is delivered.
	Breaker int `config:"breaker" doc:"failures in a row after which only two records are tried at a time"`

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
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
}

// Validate refuses bounds that are none. Defaults must have been set.
func (c *PumpConfig) Validate() error {
	var errs []error
	if c.Batch < 2 || c.Batch > maxLeaseRows {
		errs = append(errs, config.Invalid("batch", "want from 2 to %d, got %d", maxLeaseRows, c.Batch))
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
	return errors.Join(errs...)
}

// A Pump drains a spool into a [Deliver] function: lease, deliver, settle, and wait when that failed.
//
//	lease ──records──▶ deliver ──▶ settle ──failed──▶ back off ──▶ lease
//	  └──none──▶ idle ──put, or Poll──▶ lease
//
// After [PumpConfig].Breaker failures in a row the circuit is open: only two records are tried at a
// time. A failure is a call of Deliver in which no record got through; nothing is counted against its
// records then, for it is the receiver that is at fault. Where some got through, those that did not are
// tried again later, one try the less (see [Spool.Nack]).
type Pump struct {
	spool   *Spool
	cfg     PumpConfig
	deliver Deliver

	failures atomic.Int64 // in a row
}

// NewPump makes a pump. It does nothing before Run.
func NewPump(s *Spool, cfg PumpConfig, deliver Deliver) (*Pump, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pump of spool %s: %w: %w", s.name, ErrInvalid, err)
	}
	return &Pump{spool: s, cfg: cfg, deliver: deliver}, nil
}

// Open reports whether the circuit is open: the receiver has failed several times in a row.
func (p *Pump) Open() bool { return p.failures.Load() >= int64(p.cfg.Breaker) }

// Run delivers until ctx ends. What is being delivered then is finished, within the time of its lease,
// and acknowledged; what is not delivered is given back for other processes at once. The error is nil
// when ctx has ended, and otherwise says why the spool cannot be used any more. Run is called once at a
// time.
func (p *Pump) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := p.spool.change()
		n := p.cfg.Batch
		if p.Open() {
			n = 2
		}
		leased, err := p.spool.Lease(ctx, n, p.cfg.Lease)
		switch {
		case ctx.Err() != nil && err != nil:
		case useless(err):
			return fmt.Errorf("pump: %w", err)
		case err != nil:
			p.tell(err)
			p.wait(ctx, p.backoff(p.failures.Add(1)), nil)
		case len(leased) == 0:
			p.wait(ctx, p.cfg.Poll, changed)
		default:
			p.wait(ctx, p.batch(ctx, leased), nil)
		}
	}
	return nil
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

// A result is what became of a batch.
type result struct {
	delivered, doubtful, unserved []Leased // doubtful failed without saying why
	refused                       []Leased
	reasons                       []error
	after                         time.Duration // what the receiver asks for
}

// batch delivers records and settles what became of them. It returns how long to wait.
func (p *Pump) batch(ctx context.Context, leased []Leased) time.Duration {
	work := context.WithoutCancel(ctx)
	within, cancel := context.WithTimeout(work, p.cfg.Lease/4*3)
	defer cancel()
	records := make([]Record, len(leased))
	for i, l := range leased {
		records[i] = l.Record
	}
	r := p.sort(leased, p.deliver(within, records))
	p.settle(leased, func() error { return p.spool.Ack(work, r.delivered...) }, len(r.delivered))
	for i, l := range r.refused {
		p.settle(leased, func() error { return p.spool.Park(work, r.reasons[i].Error(), l) }, 1)
	}
	through := len(r.delivered)+len(r.refused) > 0
	if through {
		p.failures.Store(0)
		for _, l := range r.doubtful {
			after := p.backoff(int64(l.Tries))
			p.settle(leased, func() error { return p.spool.Nack(work, after, l) }, 1)
		}
	} else {
		r.unserved = append(r.unserved, r.doubtful...)
	}
	if len(r.unserved) == 0 {
		return 0
	}
	p.settle(leased, func() error { return p.spool.Release(work, 0, r.unserved...) }, 1)
	return max(r.after, p.backoff(p.failures.Add(1)))
}

// sort sorts records by what Deliver said of them.
func (p *Pump) sort(leased []Leased, errs []error) (r result) {
	if errs == nil {
		return result{delivered: leased}
	}
	if len(errs) != len(leased) {
		p.tell(fmt.Errorf("pump: Deliver returned %d errors for %d records, want one for each", len(errs), len(leased)))
		return result{unserved: leased}
	}
	for i, err := range errs {
		var unavailable *UnavailableError
		var refused *RefusedError
		switch {
		case err == nil:
			r.delivered = append(r.delivered, leased[i])
			continue
		case errors.As(err, &refused):
			r.refused, r.reasons = append(r.refused, leased[i]), append(r.reasons, err)
		case errors.As(err, &unavailable):
			r.unserved, r.after = append(r.unserved, leased[i]), max(r.after, unavailable.After)
		default:
			r.doubtful = append(r.doubtful, leased[i])
		}
		p.tell(fmt.Errorf("deliver record %q: %w", leased[i].ID, err))
	}
	return r
}

// settle does what is to be done with n records, again while the spool cannot and the leases last: what
// is delivered and not acknowledged would be delivered again.
func (p *Pump) settle(leased []Leased, f func() error, n int) {
	if n == 0 {
		return
	}
	for tries := int64(1); ; tries++ {
		err := f()
		if err == nil {
			return
		}
		p.tell(err)
		d := p.backoff(tries)
		if useless(err) || p.spool.cfg.Clock.Now().Add(d).After(leased[0].Until) {
			return
		}
		p.wait(context.Background(), d, nil)
	}
}

// A RefusedError says that the receiver will never take a record.
type RefusedError struct{ Err error }

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %v", e.Err) }

// Unwrap returns why.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refused says that the receiver will never take the record: it is parked at once, with err as the
// reason.
func Refused(err error) error { return &RefusedError{err} }

// An UnavailableError says that the receiver is at fault and not the record.
type UnavailableError struct {
	Err   error
	After time.Duration // how long the receiver asks to wait
}

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("receiver unavailable: %v", e.Err) }

// Unwrap returns why.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Unavailable says that it is the receiver that failed, and not the record: nothing is counted against
// the record, and nothing is delivered before after has passed, if that is longer than the back-off.
// It is what a Deliver function says of records that it did not try any more.
func Unavailable(err error, after time.Duration) error { return &UnavailableError{err, after} }
