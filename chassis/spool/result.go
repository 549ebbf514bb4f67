package spool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An attempt is a record that was tried and did not get through.
type attempt struct {
	Leased
	at          int  // its place in the batch
	unavailable bool // the receiver seems to be at fault
}

// A result is what became of records that were handed to Deliver.
type result struct {
	delivered []Leased
	refused   []Leased
	reasons   []error   // of refused, one each
	failed    []attempt // tried in vain
	untried   []Leased
	last      int           // the place of the last that the receiver took or refused, -1 if there is none
	after     time.Duration // what the receiver asks for
}

// hand hands records to Deliver and settles those that got through.
func (p *Pump) hand(ctx context.Context, leased []Leased) result {
	within, cancel := context.WithTimeout(ctx, p.cfg.Lease/4*3)
	defer cancel()
	records := make([]Record, len(leased))
	for i, l := range leased {
		records[i] = l.Record
	}
	r := p.sort(leased, p.deliver(within, records))
	for _, l := range r.delivered {
		delete(p.doubts, l.seq)
	}
	p.settle(r.delivered, func() error { return p.spool.Ack(ctx, r.delivered...) })
	for i, l := range r.refused {
		delete(p.doubts, l.seq)
		one := []Leased{l}
		p.settle(one, func() error { return p.spool.Park(ctx, r.reasons[i].Error(), l) })
	}
	if r.last >= 0 {
		for seq, d := range p.doubts {
			d.passed = true
			p.doubts[seq] = d
		}
	}
	return r
}

// sort sorts records by what Deliver said of them.
func (p *Pump) sort(leased []Leased, errs []error) result {
	if errs == nil {
		return result{delivered: leased, last: len(leased) - 1}
	}
	r := result{last: -1}
	if len(errs) != len(leased) {
		p.tell(fmt.Errorf("pump: Deliver returned %d errors for %d records, want one for each", len(errs), len(leased)))
		r.untried = leased
		return r
	}
	for i, err := range errs {
		unavailable, _ := errors.AsType[*UnavailableError](err)
		refused, _ := errors.AsType[*RefusedError](err)
		switch {
		case err == nil:
			r.delivered, r.last = append(r.delivered, leased[i]), i
			continue
		case refused != nil:
			r.refused, r.reasons, r.last = append(r.refused, leased[i]), append(r.reasons, err), i
		case unavailable != nil && unavailable.Untried:
			r.untried, r.after = append(r.untried, leased[i]), max(r.after, unavailable.After)
			if len(r.untried) > 1 || len(r.failed) > 0 {
				continue // one word about it is enough
			}
		case unavailable != nil:
			r.failed, r.after = append(r.failed, attempt{leased[i], i, true}), max(r.after, unavailable.After)
		default:
			r.failed = append(r.failed, attempt{leased[i], i, false})
		}
		p.tell(fmt.Errorf("deliver record %q: %w", leased[i].ID, err))
	}
	return r
}

// release gives records back without counting a try.
func (p *Pump) release(ctx context.Context, after time.Duration, leased []Leased) {
	p.settle(leased, func() error { return p.spool.Release(ctx, after, leased...) })
}

// settle does what is to be done with records, again while the spool cannot and their lease lasts: what is
// delivered and not acknowledged would be delivered again.
func (p *Pump) settle(leased []Leased, f func() error) {
	if len(leased) == 0 {
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
