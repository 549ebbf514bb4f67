package queue

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// Limits bound a queue. The zero Limits bound nothing and are refused.
type Limits struct {
	Workers  int           // how much is done at a time; 1 or more
	Capacity int           // how much may wait besides; 1 or more
	MaxWait  time.Duration // how long any of it may wait; 0: as long as the caller does
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
}

// Queue does bounded work, first come, first served. Make one with [New]; close it with
// [Queue.Close]. It is safe for concurrent use.
type Queue struct {
	name    string
	limits  Limits
	onError func(error)
	clock   clock.Clock
	machine bool // clock is the machine's
	epoch   time.Time
	done    chan struct{} // closed once the queue is closed and empty

	mu      sync.Mutex
	closed  bool
	waiting list.List // of *item, who came first in front; empty unless all workers are busy
	workers []worker  // those that have ever been needed
	free    []int     // which of them have nothing to do
	overdue clock.Timer
	average time.Duration // that work takes, moving; 0 before the first
	spread  time.Duration // mean deviation from it, moving
	counts  counts
	lost    []error // for OnError, once the lock is released
}

// worker is the right to run one piece of work at a time.
type worker struct {
	busy  bool
	since time.Duration
	end   context.CancelCauseFunc // ends the context of what runs; nil if that is the caller's
}

// item is work that waits.
type item struct {
	ctx      context.Context
	end      context.CancelCauseFunc     // ends ctx; nil if that is the caller's
	f        func(context.Context) error // of submitted work; nil when the caller waits
	since    time.Duration               // when it came
	deadline time.Duration               // by when it is useful
	place    *list.Element               // nil once it has a worker or is refused
	ready    chan struct{}               // then closed; nil for submitted work
	worker   int                         // that it has been given
	refused  error                       // why it will get none
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
	}
	q := &Queue{name: name, limits: limits, onError: options.OnError, clock: options.Clock, done: make(chan struct{})}
	if q.clock == nil {
		q.clock = clock.Real()
	}
	q.machine = q.clock == clock.Real()
	q.epoch = q.clock.Now()
	return q, nil
}

// Do runs f on the caller's goroutine once a worker is free and returns its error; a panic of f
// comes back as a *[PanicError]. When f is not run the error is a *[Rejected].
//
// f's context is ctx, which the caller ends. Only a ctx that can never end, such as
// [context.Background], is given an end: it comes when f returns and when Close runs out of
// time.
func (q *Queue) Do(ctx context.Context, f func(context.Context) error) error {
	var end context.CancelCauseFunc
	if ctx.Done() == nil {
		ctx, end = context.WithCancelCause(ctx)
		defer end(nil)
	}
	worker, it, err := q.enter(ctx, ctx, end, nil)
	if it != nil {
		worker, err = q.await(it)
	}
	if err != nil {
		return err
	}
	return q.work(ctx, worker, f, false)
}

// Submit has f run once a worker is free, on a goroutine of its own, and returns as soon as f
// has a worker or a place to wait in. An error is a *[Rejected]: f will not run.
//
// f's context has ctx's values, but neither its deadline nor its cancellation; it ends when f
// returns and when Close runs out of time. What becomes of f is told to [Options].OnError. A nil f
// panics here, where it can be traced to whoever handed it in.
func (q *Queue) Submit(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		panic(fmt.Sprintf("queue %q: Submit of a nil function", q.name))
	}
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	_, _, err := q.enter(ctx, work, end, f)
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

// enter finds a worker, or else a place, for work that ctx asks for and that runs with the
// context work, or says why not. f is submitted work, nil when the caller waits.
func (q *Queue) enter(ctx, work context.Context, end context.CancelCauseFunc, f func(context.Context) error) (int, *item, error) {
	now, deadline := q.now(), never
	ended := ctx.Err()
	if d, ok := ctx.Deadline(); ok {
		left := time.Until(d)
		if left <= 0 && ended == nil {
			ended = context.DeadlineExceeded // the context's own timer is late
		}
		if f == nil {
			deadline = now + left
		}
	}
	q.mu.Lock()
	defer q.unlock()
	switch {
	case q.closed:
		return 0, nil, q.reject(Draining, nil)
	case ended != nil:
		return 0, nil, q.reject(atTheDoor(ended), ended)
	case q.inFlight() < q.limits.Workers:
		q.counts.admitted++
		return q.start(work, end, f, now), nil, nil
	}
	if q.waiting.Len() >= q.limits.Capacity {
		q.shed(now)
	}
	switch {
	case q.waiting.Len() >= q.limits.Capacity:
		return 0, nil, q.reject(Full, nil)
	case deadline-now < q.expectedWait()+q.need():
		return 0, nil, q.reject(Deadline, nil)
	}
	q.counts.admitted++
	it := &item{ctx: work, end: end, f: f, since: now, deadline: deadline}
	if f == nil {
		it.ready = make(chan struct{})
	}
	it.place = q.waiting.PushBack(it)
	q.watch(now)
	return 0, it, nil
}

// await returns the worker that it has been given, or why it will get none.
func (q *Queue) await(it *item) (int, error) {
	select {
	case <-it.ready:
	case <-it.ctx.Done():
		q.leave(it)
	}
	if it.refused != nil {
		return 0, it.refused
	}
	if it.ctx.Err() != nil { // it ended together with the wait
		return 0, q.giveBack(it)
	}
	return it.worker, nil
}

// leave takes it, whose context has ended, out of the queue, unless it has a worker or has been
// refused by now.
func (q *Queue) leave(it *item) {
	why, err := it.ended()
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	if it.place != nil {
		q.drop(it, now, why, err)
		q.settle()
	}
}

// giveBack passes on the worker of it, whose context has ended.
func (q *Queue) giveBack(it *item) error {
	why, err := it.ended()
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	q.counts.dropped++
	q.release(it.worker)
	q.next(now)
	return q.reject(why, err)
}

// ended is why the context has.
func (it *item) ended() (Reason, error) {
	switch err := it.ctx.Err(); {
	case it.end != nil: // it has no other end than Close
		return Draining, nil
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline, err
	default:
		return Cancelled, err
	}
}

// unlock releases q.mu and then reports the submitted work that was dropped meanwhile.
func (q *Queue) unlock() {
	lost := q.lost
	q.lost = nil
	q.mu.Unlock()
	for _, err := range lost {
		q.onError(err)
	}
}
