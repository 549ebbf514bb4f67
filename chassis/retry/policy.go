package retry

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// An Outcome is how one attempt ended.
type Outcome int

// The outcomes. Accepted speaks for a service, Rejected, Unreachable and Broken against it; the
// others say nothing of whether it accepts requests.
const (
	Accepted    Outcome = iota // the service answered, be it with an error of its own
	Rejected                   // it refused: overloaded, draining, over a quota
	Unreachable                // no connection: nothing was sent
	Broken                     // the connection broke before the answer: the service may have acted
	Expired                    // no answer by the deadline
	Abandoned                  // the caller gave up, or another attempt was faster
	outcomes                   // how many there are
)

// String is the outcome as it stands in metric labels.
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Rejected:
		return "rejected"
	case Unreachable:
		return "unreachable"
	case Broken:
		return "broken"
	case Expired:
		return "expired"
	case Abandoned:
		return "abandoned"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Against says that the outcome speaks against the service, and another attempt may do better.
func (o Outcome) Against() bool { return o == Rejected || o == Unreachable || o == Broken }

// A Failure is what is known of an attempt that failed. The zero Failure is final.
type Failure struct {
	// Safe says that sending the request once more does nothing twice: it is idempotent, or no
	// handler has seen it.
	Safe bool
	// Never says that the service wants it not again.
	Never bool
	// After is how long the service asks to wait.
	After time.Duration
}

// Throttled says that a request was not sent, because the service that is called refuses too many.
// [errors.As] finds it.
type Throttled struct {
	Service     string
	Probability float64 // with which requests were held back at that moment
}

// Error implements error.
func (t *Throttled) Error() string {
	return fmt.Sprintf("not sent: service %q refuses too many requests, %.0f %% are held back", t.Service, 100*t.Probability)
}

// Stats are what a Policy has counted since it was made.
type Stats struct {
	Requests  uint64            // of the application, held back or not
	Attempts  map[string]uint64 // that have ended, by outcome; every outcome is there
	Retries   uint64            // attempts after the first, hedges apart
	Hedges    uint64            // attempts while another was under way
	Throttled uint64            // requests held back
	Exhausted uint64            // attempts that were not made because the budget was spent
}

// A Policy decides for all requests to one service. Make one with [New]. It is safe for
// concurrent use.
type Policy struct {
	name  string
	cfg   Config
	clock clock.Clock
	rand  io.Reader
	epoch time.Time // from which windows are counted: what sets the date does not move them

	mu     sync.Mutex
	budget window // others: attempts paid from it
	long   window // others: accepts
	short  window
	latest arrivals
	stats  Stats
	ended  [outcomes]uint64
}

// New makes the policy for the service called name. cfg must be valid; zero fields get their
// defaults. rand must be safe for concurrent use.
func New(name string, cfg Config, c clock.Clock, rand io.Reader) *Policy {
	cfg.SetDefaults()
	return &Policy{
		name: name, cfg: cfg, clock: c, rand: rand, epoch: c.Now(),
		budget: newWindow(budgetSpan+time.Second, 11), // no less than the span
		long:   newWindow(2*time.Minute, 24), short: newWindow(time.Second, 20),
	}
}

// now is the time since the policy was made.
func (p *Policy) now() time.Duration { return p.clock.Now().Sub(p.epoch) }

// budgetSpan is over which time the budget is a share of the requests.
const budgetSpan = 10 * time.Second

// Hedge is [Config].Hedge.
func (p *Policy) Hedge() time.Duration { return p.cfg.Hedge }

// Clock is what the policy's times go by.
func (p *Policy) Clock() clock.Clock { return p.clock }

// Stats returns the figures now. The caller owns the map.
func (p *Policy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Attempts = make(map[string]uint64, outcomes)
	for o, n := range p.ended {
		s.Attempts[Outcome(o).String()] = n
	}
	return s
}

// A Request is one request of the application. Its methods are called by one goroutine at a time,
// but Attempted by any.
type Request struct {
	policy   *Policy
	attempts int // made so far, but for hedges
	hedged   bool
}

// Begin lets a request be sent for the first time. The error is a [*Throttled].
func (p *Policy) Begin() (*Request, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.stats.Requests++
	if held, probability := p.hold(now); held {
		p.stats.Throttled++
		return nil, &Throttled{Service: p.name, Probability: probability}
	}
	p.budget.add(now, counts{requests: 1})
	return &Request{policy: p, attempts: 1}, nil
}

// Attempted counts an attempt that has ended.
func (r *Request) Attempted(o Outcome) {
	p := r.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[o]++
	switch {
	case o == Accepted:
		p.observe(counts{requests: 1, others: 1})
	case o.Against():
		p.observe(counts{requests: 1})
	}
}

func (p *Policy) observe(n counts) {
	now := p.now()
	p.long.add(now, n)
	p.short.add(now, n)
}

// Again decides whether the request is sent once more after f, and how long to wait before. If it
// is, it is paid for: whoever then does not send it has wasted a bit of the budget.
func (r *Request) Again(ctx context.Context, f Failure) (wait time.Duration, again bool) {
	p := r.policy
	if !f.Safe || f.Never || f.After > p.cfg.MaxWait || r.attempts >= p.cfg.Attempts || ctx.Err() != nil {
		return 0, false
	}
	wait = max(f.After, 0) + p.jitter(r.attempts)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return 0, false
	}
	if !p.pay(&p.stats.Retries) {
		return 0, false
	}
	r.attempts++
	return wait, true
}

// Hedge decides whether the request, which must be idempotent, is sent a second time while an attempt
// is under way. That happens once, and is paid for as [Request.Again] is.
func (r *Request) Hedge() bool {
	if r.hedged || !r.policy.pay(&r.policy.stats.Hedges) {
		return false
	}
	r.hedged = true
	return true
}

// Wait waits for as long as [Request.Again] says; an error is ctx's.
func (r *Request) Wait(ctx context.Context, d time.Duration) error {
	return clock.Sleep(ctx, r.policy.clock, d)
}

// pay takes one attempt from the budget and counts it under what.
func (p *Policy) pay(what *uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	had := p.budget.total(now)
	share := had.requests * uint64(max(p.cfg.Budget, 0)) / 100
	least := uint64(max(p.cfg.BudgetMin, 0)) * uint64(budgetSpan/time.Second)
	if had.others >= max(share, least) {
		p.stats.Exhausted++
		return false
	}
	if held, _ := p.hold(now); held {
		return false
	}
	p.budget.add(now, counts{others: 1})
	*what++
	return true
}

// hold decides whether the throttle holds an attempt back, and counts it if so. p.mu is held.
func (p *Policy) hold(now time.Duration) (bool, float64) {
	p.latest.add(now)
	probability := p.probability(now)
	if probability == 0 || p.random() >= probability {
		return false, probability
	}
	p.observe(counts{requests: 1})
	return true, probability
}

// probability is with which attempts are held back now. p.mu is held.
func (p *Policy) probability(now time.Duration) float64 {
	if p.cfg.Throttle < 0 {
		return 0
	}
	last := p.short.total(now)
	if last.requests < fewest {
		return 0
	}
	// All of them could go, and it would be no more than the formula lets through under overload.
	if p.latest.within(p.cfg.Throttle * float64(last.others)) {
		return 0
	}
	return min(p.rejection(p.long.total(now)), p.rejection(last))
}

// fewest is how many requests the last second must have had for the formula to tell something.
const fewest = 10

// rejection is the formula of the package documentation.
func (p *Policy) rejection(n counts) float64 {
	requests := float64(n.requests)
	return max(0, (requests-p.cfg.Throttle*float64(n.others))/(requests+1))
}

// jitter is the random wait after the attempts made so far.
func (p *Policy) jitter(attempts int) time.Duration {
	bound := p.cfg.Backoff << (attempts - 1) // attempts are at most maxAttempts
	if bound > p.cfg.MaxBackoff || bound>>(attempts-1) != p.cfg.Backoff {
		bound = p.cfg.MaxBackoff
	}
	return time.Duration(p.random() * float64(bound))
}

// random is a number from 0 to below 1. It panics when the source fails: a process that cannot read
// randomness must not go on.
func (p *Policy) random() float64 {
	var b [8]byte
	if _, err := io.ReadFull(p.rand, b[:]); err != nil {
		panic("retry: reading randomness: " + err.Error())
	}
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}
