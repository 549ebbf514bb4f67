package spool

import (
	"context"
	"errors"
	"io"
	"time"
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
	// Backoff bounds the random wait after a failure, 1 s by default. Each further failure doubles the
	// bound, up to MaxBackoff, 5 min by default.
	Backoff    time.Duration `config:"backoff" doc:"bound of the random wait after a failed delivery; it doubles with each"`
	MaxBackoff time.Duration `config:"max_backoff" doc:"what that bound grows to"`
	// Breaker is after how many failures in a row the circuit opens, 3 by default: then two records are
	// tried at a time instead of Batch, until one is delivered.
	Breaker int `config:"breaker" doc:"failures in a row after which only two records are tried at a time"`

	// Rand is where jitter comes from; nil means crypto/rand.
	Rand io.Reader `config:"-"`
	// Failed, unless nil, is told of each failure to deliver, and of failures of the spool itself. It
	// must not block.
	Failed func(error) `config:"-"`
}

// A Pump drains a spool into a [Deliver] function.
type Pump struct{}

// NewPump makes a pump. It does nothing before Run.
func NewPump(s *Spool, cfg PumpConfig, deliver Deliver) (*Pump, error) {
	return nil, errors.ErrUnsupported
}

// Run delivers until ctx ends. What is being delivered then is finished, within the time of its lease,
// and acknowledged; what is not delivered is given back for other processes at once. The error is nil
// when ctx has ended, and otherwise says why the spool cannot be used any more.
func (p *Pump) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Refused says that the receiver will never take the record: it is parked at once, with err as the
// reason.
func Refused(err error) error { return err }

// Unavailable says that it is the receiver that failed, and not the record: nothing is counted against
// the record, and nothing is delivered before after has passed, if that is longer than the back-off.
// It is what a Deliver function says of records that it did not try any more.
func Unavailable(err error, after time.Duration) error { return err }
