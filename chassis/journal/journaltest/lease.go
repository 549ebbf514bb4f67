package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var leaseRules = []rule{
	{
		promise: "a lease has one holder, and each grant a higher fence",
		why:     "what only one may do is done by one, and the one before can be told from it",
		check:   checkLease,
	},
	{
		promise: "of many that want a lease one gets it",
		why:     "all workers ask at once when the holder is gone",
		check:   checkLeaseRace,
	},
	{
		promise: "a lease ends when its time is over",
		why:     "a holder that is dead must not keep everybody out",
		check:   checkLeaseExpiry,
		clocked: true,
	},
	{
		promise: "a clock that is set back keeps no lease for more than twice its time",
		why:     "a machine whose clock was a year ahead would lock everybody out for a year",
		check:   checkLeaseJump,
		clocked: true,
	},
	{
		promise: "events keep their order when the clock jumps",
		why:     "readers go by position, and so must the journal",
		check:   checkClockJump,
		clocked: true,
	},
}

// ttl is long enough for a rule, whatever the machine does.
const ttl = time.Hour

// acquire acquires a lease and fails the rule when that fails.
func (p *probe) acquire(name, holder string, above journal.Fence) journal.Lease {
	p.Helper()
	l, err := p.Leases().Acquire(p.ctx, name, holder, ttl)
	if err != nil {
		p.Fatalf("acquire lease %q for %q: %v", name, holder, err)
	}
	if l.Name != name || l.Holder != holder || l.TTL != ttl || l.Fence <= above {
		p.Errorf("the lease is %+v; want %q for %q and %v, with a fence above %d", l, name, holder, ttl, above)
	}
	return l
}

// wantHeld checks that nobody but its holder can acquire l.
func (p *probe) wantHeld(l journal.Lease) {
	p.Helper()
	got, err := p.Leases().Acquire(p.ctx, l.Name, "somebody else", ttl)
	var held *journal.HeldError
	if !errors.As(err, &held) || held.Name != l.Name || held.Holder != l.Holder || !held.Expires.Equal(l.Expires) {
		p.Errorf("acquiring the lease %+v for somebody else: %+v, %v; want a *journal.HeldError that names it", l, got, err)
	}
}

// wantLost checks that l cannot be renewed.
func (p *probe) wantLost(l journal.Lease) {
	p.Helper()
	if got, err := p.Leases().Renew(p.ctx, l); !errors.Is(err, journal.ErrLeaseLost) {
		p.Errorf("renewing the lease %+v, which is over: %+v, %v; want ErrLeaseLost", l, got, err)
	}
}

func (p *probe) renew(l journal.Lease) journal.Lease {
	p.Helper()
	r, err := p.Leases().Renew(p.ctx, l)
	if err != nil {
		p.Fatalf("renew the lease %+v: %v", l, err)
	}
	if r.Expires.Before(l.Expires) || r.Name != l.Name || r.Holder != l.Holder || r.Fence != l.Fence || r.TTL != l.TTL {
		p.Errorf("the lease %+v is renewed as %+v; want a later end and all else as it was", l, r)
	}
	return r
}

func (p *probe) release(l journal.Lease) {
	p.Helper()
	if err := p.Leases().Release(p.ctx, l); err != nil {
		p.Fatalf("release the lease %+v: %v", l, err)
	}
}

func checkLease(p *probe) {
	ann := p.acquire("mailer", "ann", 0)
	p.wantHeld(ann)
	ann = p.renew(ann)
	p.wantHeld(ann)
	p.acquire("Mailer", "bob", 0) // another lease
	again := p.acquire("mailer", "ann", ann.Fence)
	p.wantLost(ann)
	p.release(ann) // changes nothing
	p.wantHeld(again)
	p.release(again)
	p.release(again)
	p.wantLost(again)
	bob := p.acquire("mailer", "bob", again.Fence)
	p.release(again)
	p.wantLost(again)
	p.wantHeld(bob)
	forged := bob
	forged.Holder = "ann"
	p.wantLost(forged)
	p.release(forged)
	p.wantHeld(bob)
	p.release(bob)
	p.acquire("mailer", "ann", bob.Fence)
	p.wantLost(journal.Lease{Name: "nobody's", Holder: "ann", Fence: 1, TTL: ttl})
	p.release(journal.Lease{Name: "nobody's", Holder: "ann", Fence: 1, TTL: ttl})
	p.wantHeld(p.acquire("nobody's", "bob", 0)) // what was released was never there

	for name, c := range map[string]struct {
		lease, holder string
		ttl           time.Duration
	}{
		"no name":      {"", "ann", ttl},
		"no holder":    {"x", "", ttl},
		"a bad holder": {"x", "a\nb", ttl},
		"no time":      {"x", "ann", 0},
		"before now":   {"x", "ann", -1},
		"for too long": {"x", "ann", journal.MaxLease + 1},
	} {
		_, acquire := p.Leases().Acquire(p.ctx, c.lease, c.holder, c.ttl)
		bad := journal.Lease{Name: c.lease, Holder: c.holder, TTL: c.ttl, Fence: 1}
		_, renew := p.Leases().Renew(p.ctx, bad)
		for verb, err := range map[string]error{"acquire": acquire, "renew": renew, "release": p.Leases().Release(p.ctx, bad)} {
			if !errors.Is(err, journal.ErrInvalid) {
				p.Errorf("%s, %s: %v, want ErrInvalid", verb, name, err)
			}
		}
	}
	if head := p.head(); head != 0 {
		p.Errorf("leases moved the head to %d", head)
	}
}

func checkLeaseRace(p *probe) {
	const workers, rounds = 16, 5
	last := journal.Fence(0)
	for range rounds {
		var mu sync.Mutex
		var granted []journal.Lease
		var group sync.WaitGroup
		for i := range workers {
			group.Go(func() {
				l, err := p.Leases().Acquire(p.ctx, "mailer", fmt.Sprint("worker-", i), ttl)
				var held *journal.HeldError
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					granted = append(granted, l)
				case !errors.As(err, &held):
					p.Errorf("worker %d: %v, want a *journal.HeldError", i, err)
				}
			})
		}
		group.Wait()
		if len(granted) != 1 {
			p.Fatalf("%d of %d workers were granted the lease at the same time, want 1", len(granted), workers)
		}
		if granted[0].Fence <= last {
			p.Errorf("the fence %d comes after %d", granted[0].Fence, last)
		}
		last = granted[0].Fence
		p.release(granted[0])
	}
}

func checkLeaseExpiry(p *probe) {
	ann := p.acquire("mailer", "ann", 0)
	if want := epoch.Add(ttl); !ann.Expires.Equal(want) {
		p.Errorf("the lease expires at %v, want %v", ann.Expires, want)
	}
	p.clock.Advance(ttl - time.Second)
	p.wantHeld(ann)
	ann = p.renew(ann)
	p.clock.Advance(ttl - time.Second)
	p.wantHeld(ann)
	p.clock.Advance(time.Second)
	p.wantLost(ann)
	bob := p.acquire("mailer", "bob", ann.Fence)
	p.release(ann)
	p.wantHeld(bob)
	p.clock.Advance(2 * ttl)
	p.acquire("mailer", "bob", bob.Fence)
	p.wantLost(bob)
}

func checkLeaseJump(p *probe) {
	ann := p.acquire("mailer", "ann", 0)
	p.clock.setBack(ttl)
	p.wantHeld(ann) // as it would be if another machine's clock was behind by that much
	p.clock.setBack(time.Second)
	p.acquire("mailer", "bob", ann.Fence)
	p.wantLost(ann)
}

func checkClockJump(p *probe) {
	const n = 40
	for i := range n {
		p.must(fmt.Sprint("s", i%2), journal.Any, event(fmt.Sprint(i)))
		if i%3 == 0 {
			p.clock.setBack(time.Hour)
		} else {
			p.clock.Advance(time.Minute)
		}
	}
	w := p.watch(0, journal.Filter{})
	events, last, backwards := p.all(0, journal.Filter{}), journal.Position(0), false
	for i, e := range events {
		if string(e.Data) != fmt.Sprint(i) || e.Position <= last {
			p.Fatalf("event %q at position %d comes as number %d, after position %d", e.Data, e.Position, i, last)
		}
		w.want(fmt.Sprint(i))
		last = e.Position
		backwards = backwards || i > 0 && e.Time.Before(events[i-1].Time)
	}
	if len(events) != n || !backwards {
		p.Errorf("%d events, want %d; their times go backwards: %v, want true, as the clock did", len(events), n, backwards)
	}
}
