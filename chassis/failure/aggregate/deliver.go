package aggregate

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"
)

const (
	window    = time.Minute // a group that has failed often has one report in it
	early     = 10          // reports that a group makes at once when it begins to fail
	perSecond = 50          // reports of all groups
	maxOutbox = 64          // reports that wait for a sink; of more, the failures wait in their groups

	askEvery    = 10 * time.Second
	takeTimeout = 5 * time.Second
)

type namedSink struct {
	name string
	Sink
}

// pending is a report without what takes long to find out.
type pending struct {
	report Report
	sample Sample
}

// pace is how many reports are made in the current second.
type pace struct {
	second int64
	made   int
}

// allows reports whether one more may be made at now.
func (p *pace) allows(now time.Time) bool {
	if s := now.Unix(); s != p.second {
		*p = pace{second: s}
	}
	return p.made < perSecond
}

// ReportTo has sink take reports of what fails from now on with codes of class Service and Dependency.
//
// When a group begins to fail, that is after a minute without a failure, the first ten failures of its
// first minute make a report each, at once. After that it makes one a minute, with the count of what
// failed since the last. All groups together make 50 in a second; what is over waits with its count, and
// so it does while sinks are slower than that.
func (a *Aggregator) ReportTo(name string, sink Sink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sinks = append(slices.Clip(a.sinks), namedSink{name, sink})
}

// account has a report tell of a failure, now or later. quiet is how long the group had not failed.
// s is the failure as a sample; nil if it is not the first that waits.
func (a *Aggregator) account(g *group, o *Occurrence, s *sampled, quiet time.Duration) {
	if quiet >= window || g.outbreak.IsZero() {
		g.outbreak, g.early = o.Time, 0
	}
	g.waiting++
	if g.waiting == 1 {
		g.since, g.sample = o.Time, s
	}
	if g.due(o.Time) && a.room(o.Time) {
		a.emit(g, o.Time)
		return
	}
	if a.timer == nil {
		a.timer = a.cfg.Clock.AfterFunc(time.Second, a.later)
	}
}

// due reports whether g may report at now.
func (g *group) due(now time.Time) bool {
	return g.early < early && now.Sub(g.outbreak) < window || now.Sub(g.reported) >= window
}

// room reports whether one more report may be made at now.
func (a *Aggregator) room(now time.Time) bool {
	return len(a.outbox) < maxOutbox && a.pace.allows(now)
}

// emit makes a report of what waits in g.
func (a *Aggregator) emit(g *group, now time.Time) {
	a.pace.made++
	r := Report{
		Group: g.name, Code: g.sample.code.Describe(), Place: g.place, Count: g.waiting, Total: g.count, First: g.since, Last: g.last,
		Service: a.cfg.Service, Version: a.cfg.Version, Revision: a.cfg.Revision, Host: a.cfg.Host, Generation: a.cfg.Generation,
	}
	a.outbox = append(a.outbox, pending{r, g.sample.Sample})
	g.reported, g.waiting, g.sample = now, 0, nil
	g.early++
	if a.delivering == nil {
		a.delivering = make(chan struct{})
		go a.deliver()
	}
}

// later makes the reports whose time has come.
func (a *Aggregator) later() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = nil
	now := a.cfg.Clock.Now()
	next := time.Time{}
	for _, g := range a.waiting() {
		at := now.Add(time.Second)
		if g.due(now) {
			if a.room(now) {
				a.emit(g, now)
				continue
			}
		} else {
			at = g.reported.Add(window)
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if !next.IsZero() {
		a.timer = a.cfg.Clock.AfterFunc(next.Sub(now), a.later)
	}
}

// waiting are the groups with failures that no report tells of, those that wait longest first.
func (a *Aggregator) waiting() []*group {
	var all []*group
	for _, g := range a.by {
		if g.waiting > 0 {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(x, y *group) int { return x.since.Compare(y.since) })
	return all
}

// deliver has all sinks take what is in the outbox, and ends when that is empty.
func (a *Aggregator) deliver() {
	for {
		a.mu.Lock()
		if len(a.outbox) == 0 {
			close(a.delivering)
			a.delivering = nil
			a.mu.Unlock()
			return
		}
		p, sinks := a.outbox[0], a.sinks
		a.outbox[0] = pending{}
		a.outbox = a.outbox[1:]
		a.mu.Unlock()
		r := p.report
		r.Sample = p.sample
		r.Total += a.total(r.Group)
		var id [16]byte
		_, _ = io.ReadFull(a.cfg.Rand, id[:])
		r.ID = hex.EncodeToString(id[:])
		for _, s := range sinks {
			if err := take(s, r); err != nil && a.cfg.OnError != nil {
				a.cfg.OnError(s.name, r, err)
			}
		}
	}
}

// take has a sink take r; its panic is an error.
func take(s Sink, r Report) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), takeTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return s.Take(ctx, r)
}

// total is how often a group has failed in other processes. Only deliver calls it, which runs once at
// a time.
func (a *Aggregator) total(name string) uint64 {
	if a.cfg.Elsewhere == nil {
		return 0
	}
	if now := a.cfg.Clock.Now(); a.elsewhere == nil || now.Sub(a.asked) >= askEvery {
		ctx, cancel := context.WithTimeout(context.Background(), takeTimeout)
		groups, err := a.cfg.Elsewhere(ctx)
		cancel()
		a.asked = now
		if a.elsewhere == nil {
			a.elsewhere = map[string]uint64{}
		}
		if err == nil {
			known := map[string]uint64{}
			for _, g := range groups {
				known[g.Key] = max(g.Count, a.elsewhere[g.Key])
			}
			a.elsewhere = known
		}
	}
	return a.elsewhere[name]
}

// Close is Flush, after which sinks are told nothing more. Failures are counted still.
func (a *Aggregator) Close(ctx context.Context) error {
	err := a.Flush(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sinks = nil
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	return err
}

// Flush has all sinks take what they have not been told of yet, however much that is, and waits for
// that until ctx ends.
func (a *Aggregator) Flush(ctx context.Context) error {
	a.mu.Lock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	now := a.cfg.Clock.Now()
	for _, g := range a.waiting() {
		a.emit(g, now)
	}
	done := a.delivering
	a.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		left := len(a.outbox)
		a.mu.Unlock()
		return fmt.Errorf("%d reports of failures were not taken in time: %w", left, ctx.Err())
	}
}
