package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// Limits bound a queue. The zero Limits bound nothing and are refused.
type Limits struct {
	Workers  int           // how much is done at a time; 1 or more
	Capacity int           // how much may wait besides; 1 or more
	MaxWait  time.Duration // how long any of it may wait; 0: as long as the caller does
	// Tenants is how many tenants of each class are told apart while they wait, at most
	// [MaxTenants]; 0 means that many. A sixteenth of them, at least one, are lines that all
	// others share by the hash of their name.
	Tenants int
	// PerClient is how many workers one client ([Meta].Client) may hold with work that is still arriving
	// ([Meta].Arriving): one who sends slowly must not keep the workers from others. 0 is half of the
	// Workers and at least 8, -1 is no bound, and neither is as many as there are Workers.
	PerClient int
}

// Options change what a queue does besides its limits. The zero Options are good.
type Options struct {
	// Clock is what waits and work are measured with; nil is the machine's. A caller's
	// deadline is the machine's, as contexts are: the time left when it comes counts.
	Clock clock.Clock
	// OnError is told of submitted work that failed, panicked (a [*PanicError]) or, after it
	// had been admitted, was rejected (a [*Rejected]): its caller has gone and will not hear
	// of it. It is called by several goroutines at a time, the worker's or whichever found
	// that the work will not run; it must not block and not panic. nil drops the error, which
	// shows in the counts alone.
	OnError func(error)
	// Dark lets every caller of Do and Enter in at once, and counts in [Stats] whom the limits
	// would have turned away. Submit keeps to the limits all the same.
	Dark bool
}

// Queue does bounded work. Make one with [New]; close it with [Queue.Close]. It is safe for
// concurrent use.
type Queue struct {
	name    string
	limits  Limits
	onError func(error)
	dark    bool
	clock   clock.Clock
	machine bool // clock is the machine's
	epoch   time.Time
	done    chan struct{} // closed once the queue is closed and empty

	mu      sync.Mutex
	closed  bool
	levels  [classes]level // what waits, by rank; nothing unless all workers are busy
	callers chain          // those of it that somebody waits for, by age
	jobs    chain          // those of it that were submitted, by age
	workers []worker       // those that have ever been needed
	free    []int          // which of them have nothing to do
	unseen  int            // how many are busy with what a dark queue would have turned away
	shares  shares
	order   order
	overdue clock.Timer
	average time.Duration // that work takes, moving; 0 before the first
	spread  time.Duration // mean deviation from it, moving
	counts  counts
	lost    []error // for OnError, once the lock is released
}

// worker is the right to run one piece of work at a time.
type worker struct {
	busy   bool
	unseen bool
	turn   uint64 // which piece of work this is, counted from 1
	since  time.Duration
	end    context.CancelCauseFunc // ends the context of what runs; nil if that is the caller's
	holder netip.Addr              // whose share this is a part of; the zero Addr for what is not arriving
	tenant *tenant                 // who has paid for it; nil for what did not wait
	paid   time.Duration
}

// New makes a queue called name, which its rejections and metrics carry. Limits that lack a
// bound are an error that says which one, and what it would have to be.
func New(name string, limits Limits, options Options) (*Queue, error) {
	switch {
	case name == "":
		return nil, errors.New("queue: a queue needs a name")
	case limits.Workers < 1:
		return nil, fmt.Errorf("queue %q: Limits.Workers is %d: say how much may be done at a time, 1 or more", name, limits.Workers)
	case limits.Capacity < 1:
		return nil, fmt.Errorf("queue %q: Limits.Capacity is %d: say how much may wait, 1 or more", name, limits.Capacity)
	case limits.MaxWait < 0:
		return nil, fmt.Errorf("queue %q: Limits.MaxWait is %v: want 0 (no bound of its own) or more", name, limits.MaxWait)
	case limits.Tenants < 0 || limits.Tenants > MaxTenants:
		return nil, fmt.Errorf("queue %q: Limits.Tenants is %d: want up to %d, or 0 for that many", name, limits.Tenants, MaxTenants)
	case limits.PerClient < -1:
		return nil, fmt.Errorf("queue %q: Limits.PerClient is %d: want 1 or more, 0 for half of the workers, or -1 for no bound", name, limits.PerClient)
	}
	if limits.Tenants == 0 {
		limits.Tenants = MaxTenants
	}
	q := &Queue{
		name: name, limits: limits, onError: options.OnError, dark: options.Dark,
		clock: options.Clock, done: make(chan struct{}), shares: newShares(limits),
	}
	if q.clock == nil {
		q.clock = clock.Real()
	}
	q.machine = q.clock == clock.Real()
	q.epoch = q.clock.Now()
	seed := maphash.MakeSeed()
	for rank := range q.levels {
		q.levels[rank].init(limits.Tenants, seed)
	}
	return q, nil
}

// Do runs f on the caller's goroutine once a worker is free and returns its error; a panic of f
// comes back as a *[PanicError]. When f is not run the error is a *[Rejected].
//
// f's context is ctx, which the caller ends. Only a ctx that can never end, such as
// [context.Background], is given an end: it comes when f returns and when Close runs out of
// time.
func (q *Queue) Do(ctx context.Context, m Meta, f func(context.Context) error) error {
	var end context.CancelCauseFunc
	if ctx.Done() == nil {
		ctx, end = context.WithCancelCause(ctx)
		defer end(nil)
	}
	a, err := q.admit(ctx, m, end)
	if err != nil {
		return err
	}
	return a.work(ctx, f, false)
}

// Submit has f run once a worker is free, on a goroutine of its own, and returns as soon as f
// has a worker or a place to wait in. An error is a *[Rejected]: f will not run.
//
// f's context has ctx's values, but neither its deadline nor its cancellation; it ends when f
// returns and when Close runs out of time. What becomes of f is told to [Options].OnError: after
// it was given a place it can still be rejected, when it waits for longer than [Limits].MaxWait,
// when its place is taken by more critical work or by a tenant who has fewer, and by Close. A nil f
// panics here, where it can be traced to whoever handed it in.
func (q *Queue) Submit(ctx context.Context, m Meta, f func(context.Context) error) error {
	if f == nil {
		panic(fmt.Sprintf("queue %q: Submit of a nil function", q.name))
	}
	now, _, ended := q.judge(ctx)
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	n := newcomer{ctx: work, end: end, f: f, rank: m.Class.rank(), tenant: m.tenant(), since: now, deadline: never}
	q.mu.Lock()
	_, _, err := q.enter(n, ended)
	q.unlock()
	if err != nil {
		end(nil)
	}
	return err
}

// never is the deadline of work that has none.
const never = time.Duration(math.MaxInt64)

// now is the time since the queue was made.
func (q *Queue) now() time.Duration {
	if q.machine {
		return time.Since(q.epoch) // half the price of Now, which also asks for the date
	}
	return q.clock.Now().Sub(q.epoch)
}

// at is a caller's deadline in the time of now.
func (q *Queue) at(deadline time.Time, now time.Duration) time.Duration {
	if q.machine && deadline != deadline.Round(0) { // both have a monotonic reading: no need to look at the clock again
		return deadline.Sub(q.epoch)
	}
	return now + min(time.Until(deadline), never-now) // which some say by a deadline at the end of time
}

// waiting is how much waits.
func (q *Queue) waiting() int { return q.callers.n + q.jobs.n }

// unlock releases q.mu and then reports the submitted work that was dropped meanwhile.
func (q *Queue) unlock() {
	lost := q.lost
	q.lost = nil
	q.mu.Unlock()
	for _, err := range lost {
		q.onError(err)
	}
}
