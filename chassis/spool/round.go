package spool

import (
	"context"
	"slices"
	"time"
)

const (
	// probeAnyway is each how manieth failure in a row is followed by a probe although the receiver asks to
	// wait: it should be left alone then, but a record that makes it ask each time would never be found.
	probeAnyway = 4
	// maxReach bounds how far behind the front a probe is taken from: 2^20 records.
	maxReach = 20
	// maxDoubts bounds the records that a pump remembers.
	maxDoubts = 1000
)

// A doubt is what a pump remembers of a record that failed.
type doubt struct {
	passed  bool // another record got through since
	counted bool // a failure has been counted
}

// round delivers records from the front, settles what became of them, and probes when none got through. It
// returns how long to wait.
func (p *Pump) round(ctx context.Context, leased []Leased) time.Duration {
	work := context.WithoutCancel(ctx)
	r := p.hand(work, leased)
	open := p.judge(work, r)
	p.release(work, 0, r.untried)
	switch {
	case r.last >= 0:
		p.failures.Store(0)
		p.reach = 0
	case len(open) < len(r.failed): // what is counted waits by itself
		p.release(work, 0, open)
		return r.after
	}
	if len(open)+len(r.untried) == 0 {
		return r.after
	}
	n := p.failures.Add(1)
	pause := max(r.after, p.backoff(n))
	if r.last >= 0 || len(open) == 0 || ctx.Err() != nil || r.after > 0 && n%probeAnyway != 0 {
		p.release(work, 0, open)
		return pause
	}
	probe := p.behind(work) // before those at the front are given back, which are not behind it
	p.release(work, 0, open)
	if len(probe) > 0 && p.probe(work, probe) {
		return 0
	}
	return pause
}

// judge counts the failures of which it is known that the records are at fault, and returns the others.
func (p *Pump) judge(ctx context.Context, r result) (open []Leased) {
	for _, a := range r.failed {
		d := p.doubts[a.seq]
		if a.at > r.last && !d.passed {
			p.remember(a.seq, doubt{counted: d.counted})
			open = append(open, a.Leased)
			continue
		}
		p.remember(a.seq, doubt{counted: true})
		g := give{counted: true, after: p.backoff(int64(a.Tries)), reason: "the last delivery failed"}
		if a.unavailable {
			g.young, g.reason = p.cfg.Patience, "the receiver was unavailable for it, and took others"
		}
		one := []Leased{a.Leased}
		p.settle(one, func() error { return p.spool.give(ctx, g, one) })
	}
	return open
}

// remember keeps a doubt. All are forgotten when there are too many, which costs tries and no records.
func (p *Pump) remember(seq int64, d doubt) {
	if len(p.doubts) >= maxDoubts {
		clear(p.doubts)
	}
	p.doubts[seq] = d
}

// behind leases a record to probe with: the next one behind the front, and after each probe in vain one
// that is twice as far behind, so that a thousand bad ones are passed with ten probes. Where one got
// through the next one is taken as well.
func (p *Pump) behind(ctx context.Context) []Leased {
	if p.reach > maxReach {
		p.reach = 0
	}
	found, err := p.spool.lease(ctx, p.front(1<<p.reach-1), 1, p.cfg.Lease)
	if err == nil && len(found) == 0 && p.reach > 0 {
		p.reach = 0
		found, err = p.spool.lease(ctx, p.front(0), 1, p.cfg.Lease)
	}
	if err != nil {
		p.tell(err)
	}
	return found
}

// probe tries a record from behind those that failed, and reports whether it got through.
func (p *Pump) probe(ctx context.Context, probe []Leased) bool {
	r := p.hand(ctx, probe)
	p.release(ctx, 0, append(p.judge(ctx, r), r.untried...))
	if r.last < 0 {
		p.reach++
		return false
	}
	p.failures.Store(0)
	return true
}

// again tries records of which a failure has been counted, when their time has come, and reports whether
// there were any. What becomes of them makes no other record wait.
func (p *Pump) again(ctx context.Context) bool {
	if ctx.Err() != nil || p.spool.cfg.Clock.Now().Before(p.nextAgain) {
		return false
	}
	leased, err := p.spool.lease(ctx, p.counted(), p.batch(), p.cfg.Lease)
	if err != nil || len(leased) == 0 {
		return false // an error comes again with the next lease of others
	}
	work := context.WithoutCancel(ctx)
	r := p.hand(work, leased)
	open := p.judge(work, r)
	p.release(work, 0, r.untried)
	if r.last >= 0 {
		p.vain = 0
	}
	if len(open) > 0 || len(open)+len(r.untried) == len(leased) {
		p.vain++
		pause := max(r.after, p.backoff(p.vain))
		p.nextAgain = p.spool.cfg.Clock.Now().Add(pause)
		p.release(work, pause, open)
	}
	return true
}

// front picks records that are ready, without the first ones and those of which a failure is counted.
func (p *Pump) front(skip int) picker {
	return func(t *committer) ([]int64, error) {
		all, err := t.ready(skip)
		if err != nil || len(p.doubts) == 0 {
			return all, err
		}
		found := all[:0]
		for _, seq := range all {
			if !p.doubts[seq].counted {
				found = append(found, seq)
			}
		}
		return found, nil
	}
}

// counted picks records that are ready again and of which a failure is counted.
func (p *Pump) counted() picker {
	return func(t *committer) (found []int64, err error) {
		for seq, d := range p.doubts {
			if !d.counted {
				continue
			}
			is, err := t.isReady(seq)
			if err != nil {
				return nil, err
			}
			if is {
				found = append(found, seq)
			}
		}
		slices.Sort(found)
		return found, nil
	}
}
