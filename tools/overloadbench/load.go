package overloadbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// quiet is the load before and after, as a share of the capacity.
const quiet = 0.7

// smallShare is what a small tenant offers under overload, as a share of the capacity.
const smallShare = 0.05

// maxRate is the most that is offered, in requests a second: two processors can serve as much and offer it.
const maxRate = 8000

// maxUsers bounds how many users wait at a time. More mean that the generator is beyond what it can do.
const maxUsers = 30_000

// An outcome is what became of a request.
type outcome int

const (
	good    outcome = iota // answered within the deadline
	late                   // answered later, or not before its user left
	refused                // by the server, or held back by the client
	failed                 // anything else
	outcomes
)

// A tally counts requests by outcome.
type tally [outcomes]int

func (t tally) sum() (n int) {
	for _, count := range t {
		n += count
	}
	return n
}

// share is the part of all that was good, 0 of none.
func (t tally) share() float64 { return float64(t[good]) / float64(max(t.sum(), 1)) }

// A span is a part of the run. Requests belong to the one in which they came.
type span int

const (
	before span = iota
	overload
	firstSecond  // after the load has dropped
	secondSecond // the one behind it
	rest
	spans
)

// plan says when a run is in which span, and how much is offered.
type plan struct {
	before, overload, after time.Duration
	low, high               float64 // requests a second, of the first tenant
	small                   float64 // of each of the others, under overload
}

func (p *plan) at(t time.Duration) (span, float64) {
	switch end := p.before + p.overload; {
	case t < p.before:
		return before, p.low
	case t < end:
		return overload, p.high
	case t < end+time.Second:
		return firstSecond, p.low
	case t < end+2*time.Second:
		return secondSecond, p.low
	}
	return rest, p.low
}

// books are what users report.
type books struct {
	mu      sync.Mutex
	tallies [spans]tally
	small   []tally    // of each small tenant, which all belong to the overload
	served  [spans]int // attempts of patient users that were answered in time, by when they were
	failure error      // the first
}

func (b *books) enter(s span, tenant int, o outcome, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tallies[s][o]++
	if tenant > 0 {
		b.small[tenant-1][o]++
	}
	if o == failed && b.failure == nil {
		b.failure = err
	}
}

// judge is what became of a request whose user asked at a time.
func judge(err error, took, deadline time.Duration) outcome {
	switch {
	case err == nil && took <= deadline:
		return good
	case errors.Is(err, errRefused):
		return refused
	case err == nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), timeout(err):
		return late
	}
	return failed
}

// timeout says whether err is of an attempt that took too long.
func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// offer has users come at random, a Poisson process, whatever becomes of those before them, and returns when
// the plan is over and none waits. The first of tenants is who there always is. What is in the plan's future is
// drawn from seed alone.
func offer(ctx context.Context, tenants []*users, p *plan, deadline time.Duration, seed uint64, mark func(span)) (*books, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, random := &books{small: make([]tally, len(tenants)-1)}, rand.New(rand.NewPCG(seed, 0))
	waiting := make(chan struct{}, maxUsers)
	var all sync.WaitGroup
	start, now, last := time.Now(), time.Duration(0), before
	for _, u := range tenants {
		u.served = func() {
			s, _ := p.at(time.Since(start))
			b.mu.Lock()
			b.served[s]++
			b.mu.Unlock()
		}
	}
	mark(before)
	for {
		s, rate := p.at(now)
		small := 0.0
		if s == overload {
			small = p.small * float64(len(tenants)-1)
		}
		rate += small
		now += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		if now >= p.before+p.overload+p.after {
			break
		}
		due := start.Add(now)
		if err := pause(ctx, time.Until(due)); err != nil {
			break
		}
		if s, _ = p.at(now); s != last {
			mark(s)
			last = s
		}
		tenant := 0
		if s == overload && small > 0 && random.Float64() < small/rate {
			tenant = 1 + random.IntN(len(tenants)-1)
		}
		u := tenants[tenant]
		select {
		case waiting <- struct{}{}:
		default:
			cancel()
			all.Wait()
			return nil, fmt.Errorf("%d users wait: this machine cannot offer so much", maxUsers)
		}
		all.Go(func() {
			defer func() { <-waiting }()
			mine := ctx
			if !u.patient {
				var done context.CancelFunc
				mine, done = context.WithDeadline(ctx, due.Add(deadline))
				defer done()
			}
			err := u.ask(mine)
			b.enter(s, tenant, judge(err, time.Since(due), deadline), err)
		})
	}
	// Those who came last have until their deadline. Whoever waits longer is late.
	_ = pause(ctx, deadline)
	err := ctx.Err()
	cancel()
	all.Wait()
	return b, err
}

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
