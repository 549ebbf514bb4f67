package fake

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// MaxFaults is how many faults a fake holds at a time. Those that have struck as often as
// they were to make room for new ones.
const MaxFaults = 1000

// Fault is a rule that was installed. It is safe for concurrent use.
type Fault struct {
	faults *faults
	rule   Rule
	err    *failure.Error // what it answers; nil lets the handler run
	hits   atomic.Int64
	gone   chan struct{} // closed when it is removed
}

// Rule is what was installed.
func (f *Fault) Rule() Rule { return f.rule }

// Hits is how many calls the fault has struck.
func (f *Fault) Hits() int { return int(f.hits.Load()) }

// Remove ends the fault; calls that wait because of it go on. Removing again does nothing.
func (f *Fault) Remove() { f.faults.remove(f) }

// take reports whether the fault strikes one call more, and counts it.
func (f *Fault) take() bool {
	for {
		n := f.hits.Load()
		if f.rule.Count > 0 && n >= int64(f.rule.Count) {
			return false
		}
		if f.hits.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (f *Fault) spent() bool { return f.rule.Count > 0 && f.Hits() >= f.rule.Count }

// wait lets the fault's latency pass. The error is ctx's.
func (f *Fault) wait(ctx context.Context) error {
	if f.rule.Latency == 0 {
		return nil
	}
	timer := time.NewTimer(f.rule.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// faults are the installed ones in order. Calls read the list without a lock; whoever changes
// it puts a new one in its place.
type faults struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Fault]
}

func (fs *faults) all() []*Fault {
	if list := fs.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (fs *faults) add(more []*Fault) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := slices.Concat(fs.all(), more)
	if len(list) > MaxFaults {
		list = slices.DeleteFunc(list, (*Fault).spent)
	}
	if len(list) > MaxFaults {
		return fmt.Errorf("%d faults would be more than %d: clear those that are not needed any more", len(list), MaxFaults)
	}
	fs.list.Store(&list)
	return nil
}

func (fs *faults) remove(f *Fault) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := slices.Clone(fs.all())
	i := slices.Index(list, f)
	if i < 0 {
		return // spent and made room for others, or removed before
	}
	list = slices.Delete(list, i, i+1)
	fs.list.Store(&list)
	close(f.gone)
}

func (fs *faults) clear() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all() {
		close(f.gone)
	}
	fs.list.Store(nil)
}

// strike asks every fault in order, up to the first that has an answer of its own.
func (fs *faults) strike(call chassis.Call) []*Fault {
	var struck []*Fault
	for _, f := range fs.all() {
		if !f.rule.selects(call) || !f.take() {
			continue
		}
		struck = append(struck, f)
		if f.err != nil {
			break
		}
	}
	return struck
}

// intercept is the service's World.Intercept.
func (f *Fake) intercept(ctx context.Context, call chassis.Call) error {
	struck := f.faults.strike(call)
	f.calls.add(f.clock.Now(), request.From(ctx), call, struck)
	for _, fault := range struck {
		if err := fault.wait(ctx); err != nil {
			return err
		}
		if fault.err != nil {
			return fault.err
		}
	}
	return nil
}

// Install adds faults, all of them or, with an error that says what is wrong with which, none;
// no call sees a part of them. Faults are asked in the order of their installation: latencies
// add up, and the first failure is the answer.
func (f *Fake) Install(rules ...Rule) ([]*Fault, error) {
	d := f.Description()
	if d.Service == "" {
		return nil, errStopped
	}
	added := make([]*Fault, len(rules))
	for i, rule := range rules {
		err, wrong := rule.check(d, f.sets)
		if wrong != nil && len(rules) > 1 {
			wrong = fmt.Errorf("fault %d: %w", i+1, wrong)
		}
		if wrong != nil {
			return nil, fmt.Errorf("%s: %w", f.name, wrong)
		}
		added[i] = &Fault{faults: &f.faults, rule: rule, err: err, gone: make(chan struct{})}
	}
	if err := f.faults.add(added); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return added, nil
}

// FailNext has the next n calls fail that agree with every Match.
func (f *Fake) FailNext(n int, with Failure, on ...Match) *Fault {
	f.helper()
	if n <= 0 {
		f.refuse(fmt.Errorf("FailNext fails 1 call or more; got %d", n))
		return nil
	}
	return f.install(Rule{Count: n, Failure: with}, on)
}

// Fail has every call fail that agrees with every Match, until the fault is cleared.
func (f *Fake) Fail(with Failure, on ...Match) *Fault {
	f.helper()
	return f.install(Rule{Failure: with}, on)
}

// Latency has every call that agrees with every Match wait for d, in real time, before its
// handler runs, until the fault is cleared.
func (f *Fake) Latency(d time.Duration, on ...Match) *Fault {
	f.helper()
	return f.install(Rule{Latency: d}, on)
}

// install is Install for one rule of a test.
func (f *Fake) install(rule Rule, on []Match) *Fault {
	f.helper()
	var err error
	if rule.Match, err = merge(on); err == nil {
		var added []*Fault
		if added, err = f.Install(rule); err == nil {
			return added[0]
		}
	}
	f.refuse(err)
	return nil
}

// Clear removes all faults; calls that wait because of one go on.
func (f *Fake) Clear() { f.faults.clear() }

// Faults are those installed, in the order in which they are asked. Faults that have struck
// as often as they were to stay until they are cleared or room is needed. The slice is the
// caller's own.
func (f *Fake) Faults() []*Fault { return slices.Clone(f.faults.all()) }

// Unused are the rules of installed faults that have not struck a call.
func (f *Fake) Unused() []Rule {
	var unused []Rule
	for _, fault := range f.faults.all() {
		if fault.Hits() == 0 {
			unused = append(unused, fault.rule)
		}
	}
	return unused
}
