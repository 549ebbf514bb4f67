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
	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// MaxFaults is how many faults a fake holds at a time. Those that have struck as often as
// they were to make room for new ones.
const MaxFaults = 1000

// Fault is a rule that was installed. It is safe for concurrent use.
type Fault struct {
	faults *faults // nil: of one call's header
	id     int
	rule   Rule
	err    *failure.Error // what it answers; nil lets the handler run
	dice   *dice          // nil when chance has no say
	seen   atomic.Int64   // calls that were selected
	taken  atomic.Int64   // of these, those that are to be struck
	hits   atomic.Int64   // of these, those that were
	gone   chan struct{}  // closed when it is removed
	held   held
}

// ID is the fault's number: 1 for the first that the fake installed.
func (f *Fault) ID() int { return f.id }

// Rule is what was installed, with the Seed that it draws by.
func (f *Fault) Rule() Rule { return f.rule }

// Hits is how many calls, or connections, the fault has struck.
func (f *Fault) Hits() int { return int(f.hits.Load()) }

// Remove ends the fault; calls that wait because of it go on. Removing again does nothing.
func (f *Fault) Remove() { f.faults.remove(f) }

// Release has everything go on that the fault holds, or keeps silent, now. What it strikes
// afterwards is held again.
func (f *Fault) Release() { f.held.release(-1) }

// ReleaseNext has the n go on that the fault has held for the longest, or all if there are fewer.
func (f *Fault) ReleaseNext(n int) { f.held.release(max(n, 0)) }

// Held is how many calls and connections the fault holds now.
func (f *Fault) Held() int { return f.held.count() }

// WaitHeld waits until the fault holds n at a time. The error is ctx's, and says how many there
// were, or that the fault was removed.
func (f *Fault) WaitHeld(ctx context.Context, n int) error { return f.held.await(ctx, n, f.gone) }

// selects reports whether the fault is of a phase, and of the calls that the rule is about. An
// action on the wire needs a connection, conn, which may be nil.
func (f *Fault) selects(p Phase, call *chassis.Call, conn *wire.Conn) bool {
	r := &f.rule
	if r.Phase != p || !r.selects(call) {
		return false
	}
	if conn == nil && r.onWire() || r.Action == GoAway && !http2(call) {
		return false
	}
	return r.When == nil || r.When(call)
}

// http2 reports whether the call has come over HTTP/2, as those of gRPC do.
func http2(call *chassis.Call) bool { return call.Request == nil || call.Request.ProtoMajor == 2 }

// take reports whether the fault strikes a call that it selects, which it counts.
func (f *Fault) take() bool {
	r := &f.rule
	seen := f.seen.Add(1) - int64(r.After)
	if seen <= 0 || r.Nth > 0 && seen != int64(r.Nth) || r.Every > 1 && seen%int64(r.Every) != 0 {
		return false
	}
	if r.Probability > 0 && r.Probability < 1 && f.dice.float() >= r.Probability {
		return false
	}
	for {
		n := f.taken.Load()
		if r.Count > 0 && n >= int64(r.Count) {
			return false
		}
		if f.taken.CompareAndSwap(n, n+1) {
			break
		}
	}
	if r.Phase != DuringResponse { // there it strikes when, and if, its byte comes
		f.hits.Add(1)
	}
	return true
}

// spent reports whether the fault has struck as often as it was to.
func (f *Fault) spent() bool {
	most := f.rule.Count
	if f.rule.Nth > 0 {
		most = 1
	}
	return most > 0 && f.Hits() >= most
}

// latency is how long one call waits.
func (f *Fault) latency() time.Duration {
	d := f.rule.Latency
	if f.rule.Spread != (Spread{}) {
		d += f.rule.Spread.at(f.dice.float())
	}
	return d
}

// wait lets d pass, unless the fault is removed. The error is ctx's.
func (f *Fault) wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// hold waits until the fault is released or removed. The error is ctx's.
func (f *Fault) hold(ctx context.Context) error {
	t := f.held.enter()
	defer f.held.leave(t)
	select {
	case <-t.done:
	case <-f.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// faults are the installed ones in order. Calls read the list without a lock; whoever changes
// it puts a new one in its place.
type faults struct {
	mu    sync.Mutex
	last  int         // ID that was given last
	seeds *dice       // of rules that have none
	drew  atomic.Bool // chance had a say, so that its seed matters
	list  atomic.Pointer[[]*Fault]
}

func (fs *faults) all() []*Fault {
	if list := fs.list.Load(); list != nil {
		return *list
	}
	return nil
}

// prepare makes a fault of a rule that was checked.
func (fs *faults) prepare(rule Rule, err *failure.Error) *Fault {
	f := &Fault{faults: fs, rule: rule, err: err, gone: make(chan struct{})}
	if rule.random() {
		fs.drew.Store(true)
		if rule.Seed == 0 {
			f.rule.Seed = fs.seeds.seed()
		}
		f.dice = newDice(f.rule.Seed)
	}
	return f
}

// add installs more, in place of all that there are if replace says so.
func (fs *faults) add(more []*Fault, replace bool) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	before := fs.all()
	kept := before
	if replace {
		kept = nil
	}
	list := slices.Concat(kept, more)
	if len(list) > MaxFaults {
		list = slices.DeleteFunc(list, (*Fault).spent)
	}
	if len(list) > MaxFaults {
		return fmt.Errorf("%d faults would be more than %d: clear those that are not needed any more", len(list), MaxFaults)
	}
	for _, f := range more {
		fs.last++
		f.id = fs.last
	}
	fs.list.Store(&list)
	if replace {
		for _, f := range before {
			close(f.gone)
		}
	}
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

func (fs *faults) find(id int) *Fault {
	for _, f := range fs.all() {
		if f.id == id {
			return f
		}
	}
	return nil
}
