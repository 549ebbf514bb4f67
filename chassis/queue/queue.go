package queue

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Limits bound a queue.
type Limits struct {
	Workers  int           // how much is done at a time; 1 or more
	Capacity int           // how much may wait; 1 or more
	MaxWait  time.Duration // how long one may wait; 0: as long as its context lives
}

// Options change what a queue does beside its limits. The zero Options are good.
type Options struct {
	// OnError is told of submitted work that failed, panicked or was rejected after it had
	// been admitted; nobody else hears of it. It is called on the queue's goroutines and may
	// be called from several at a time. nil drops the error, which the counts still show.
	OnError func(error)
}

// Queue does bounded work. Make one with [New]; close it with [Queue.Close]. It is safe for
// concurrent use.
type Queue struct {
	name   string
	limits Limits
	report func(error)

	// base is the context of submitted work; it ends when Close runs out of time.
	base   context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting list.List // of *item, the first come in front
	running int
	closed  bool
	idle    chan struct{} // closed when nothing runs or waits; nil unless Close waits
	average time.Duration // of the time that work takes, moving
	stats   Stats
}

// item is one piece of work that waits.
type item struct {
	ctx     context.Context
	since   time.Time
	place   *list.Element
	turn    chan error  // receives nil when its turn has come, or why it never will
	run     func()      // submitted work, for which turn is nil
	dropped func(error) // tells submitted work why it will not run
	stop    func() bool // ends watching the context of submitted work
	expiry  *time.Timer // of MaxWait, nil without
}

// New makes a queue called name, which its rejections and metrics carry. Limits without a
// bound are an error that says which one is missing.
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
	q := &Queue{name: name, limits: limits, report: options.OnError}
	if q.report == nil {
		q.report = func(error) {}
	}
	q.base, q.cancel = context.WithCancel(context.Background())
	q.stats.Rejected = map[string]uint64{}
	for r := range reasons {
		q.stats.Rejected[Reason(r).String()] = 0
	}
	return q, nil
}

// Do runs f when its turn comes, on the caller's goroutine and with the caller's context, and
// returns its error; a panic of f comes back as a *PanicError. When f is not run the error is a
// *Rejected.
func (q *Queue) Do(ctx context.Context, f func(context.Context) error) error {
	q.mu.Lock()
	if err := q.admit(ctx); err != nil {
		q.mu.Unlock()
		return err
	}
	if q.running < q.limits.Workers {
		q.running++
		q.stats.Admitted++
		q.mu.Unlock()
		return q.work(ctx, f)
	}
	it := &item{ctx: ctx, since: time.Now(), turn: make(chan error, 1)}
	q.enqueue(it)
	q.mu.Unlock()
	select {
	case err := <-it.turn:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		if err := q.leave(it, reasonOf(ctx)); err != nil {
			return err
		}
		// The turn came at the same moment: the place is taken and must be given back.
		if err := <-it.turn; err != nil {
			return err
		}
		return q.giveBack(reasonOf(ctx), ctx.Err())
	}
	return q.work(ctx, f)
}

// Submit has f run when its turn comes and returns as soon as it has a place; an error is a
// *Rejected. While f waits, the end of ctx takes it out again; once f runs, its context has
// ctx's values but ends only when Close runs out of time.
func (q *Queue) Submit(ctx context.Context, f func(context.Context) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.admit(ctx); err != nil {
		return err
	}
	run := func() {
		work, cancel := q.detach(ctx)
		defer cancel()
		if err := q.work(work, f); err != nil {
			q.report(err)
		}
	}
	if q.running < q.limits.Workers {
		q.running++
		q.stats.Admitted++
		go run()
		return nil
	}
	it := &item{ctx: ctx, since: time.Now(), run: run, dropped: q.report}
	q.enqueue(it)
	it.stop = context.AfterFunc(ctx, func() {
		if err := q.leave(it, reasonOf(ctx)); err != nil {
			q.report(err)
		}
	})
	return nil
}

// detach is ctx without its end, ended by the queue.
func (q *Queue) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(q.base, cancel)
	return work, func() { stop(); cancel() }
}

// admit says why something may not even wait. q.mu is held.
func (q *Queue) admit(ctx context.Context) error {
	if q.closed {
		return q.reject(Draining, nil)
	}
	if err := ctx.Err(); err != nil {
		return q.reject(reasonOf(ctx), err)
	}
	busy := q.running >= q.limits.Workers
	if deadline, ok := ctx.Deadline(); ok {
		need := q.average
		if busy {
			need += q.expectedWait()
		}
		if time.Until(deadline) < need {
			return q.reject(Deadline, nil)
		}
	}
	if busy && q.waiting.Len() >= q.limits.Capacity {
		return q.reject(Full, nil)
	}
	return nil
}

// expectedWait is how long one who joins now will wait. q.mu is held.
func (q *Queue) expectedWait() time.Duration {
	return q.average * time.Duration(q.waiting.Len()+1) / time.Duration(q.limits.Workers)
}

// enqueue gives it the last place. q.mu is held.
func (q *Queue) enqueue(it *item) {
	q.stats.Admitted++
	it.place = q.waiting.PushBack(it)
	if q.limits.MaxWait > 0 {
		it.expiry = time.AfterFunc(q.limits.MaxWait, func() {
			if err := q.leave(it, MaxWait); err != nil {
				it.refuse(err)
			}
		})
	}
}

// leave takes it out of the queue and returns the rejection that says why; nil when it is not
// in the queue any more.
func (q *Queue) leave(it *item, why Reason) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.place == nil {
		return nil
	}
	q.remove(it)
	q.settle()
	return q.reject(why, causeOf(why))
}

// remove takes it from its place. q.mu is held.
func (q *Queue) remove(it *item) {
	q.waiting.Remove(it.place)
	it.place = nil
	if it.expiry != nil {
		it.expiry.Stop()
	}
	waited := time.Since(it.since)
	q.stats.Waited++
	q.stats.WaitTotal += waited
}

// refuse tells whoever waits that the turn will not come.
func (it *item) refuse(err error) {
	if it.turn != nil {
		it.turn <- err
		return
	}
	it.stop()
	it.dropped(err)
}

// work runs f in the place that the caller holds, and hands the place on.
func (q *Queue) work(ctx context.Context, f func(context.Context) error) (err error) {
	start := time.Now()
	defer func() {
		// recover is nil for runtime.Goexit too: the place is handed on all the same.
		v := recover()
		if v != nil {
			err = &PanicError{Queue: q.name, Value: v, Stack: debug.Stack()}
		}
		q.finish(time.Since(start), err, v != nil)
	}()
	return f(ctx)
}

// giveBack hands on a place in which nothing was done.
func (q *Queue) giveBack(why Reason, cause error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
	return q.reject(why, cause)
}

// finish counts what was done and hands its place on.
func (q *Queue) finish(took time.Duration, err error, panicked bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Completed++
	q.stats.ServiceTotal += took
	if err != nil {
		q.stats.Failed++
	}
	if panicked {
		q.stats.Panicked++
	}
	if q.average == 0 {
		q.average = took
	} else {
		q.average += (took - q.average) / averageOver
	}
	q.next()
}

// averageOver is how many pieces of work the moving average remembers, about.
const averageOver = 8

// next gives a place that has become free to the first who can still make use of it. q.mu is
// held.
func (q *Queue) next() {
	for front := q.waiting.Front(); front != nil; front = q.waiting.Front() {
		it := front.Value.(*item)
		q.remove(it)
		if err := q.late(it.ctx); err != nil {
			go it.refuse(err) // not under the lock: it may call OnError
			continue
		}
		if it.turn != nil {
			it.turn <- nil
			return
		}
		it.stop()
		go it.run()
		return
	}
	q.running--
	q.settle()
}

// late says why work of ctx, whose turn has come, is not worth starting any more. q.mu is held.
func (q *Queue) late(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return q.reject(reasonOf(ctx), err)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < q.average {
		return q.reject(Deadline, nil)
	}
	return nil
}

// settle wakes Close when nothing is left. q.mu is held.
func (q *Queue) settle() {
	if q.idle != nil && q.running == 0 && q.waiting.Len() == 0 {
		close(q.idle)
		q.idle = nil
	}
}

// Close stops admission and waits until everything in the queue has been done. When ctx ends
// first, what still waits is rejected and the contexts of submitted work end; then Close
// returns an error that says how much was left, without waiting for work that goes on
// regardless. Closing twice is harmless.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	if q.running == 0 && q.waiting.Len() == 0 {
		q.mu.Unlock()
		q.cancel()
		return nil
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		q.cancel()
		return nil
	case <-ctx.Done():
	}
	rejected, running := q.abandon()
	q.cancel()
	return fmt.Errorf("queue %q: closed with %d rejected and %d still running: %w", q.name, rejected, running, ctx.Err())
}

// abandon rejects everything that waits.
func (q *Queue) abandon() (rejected, running int) {
	var refused []*item
	q.mu.Lock()
	for front := q.waiting.Front(); front != nil; front = q.waiting.Front() {
		it := front.Value.(*item)
		q.remove(it)
		refused = append(refused, it)
	}
	errs := make([]error, len(refused))
	for i := range refused {
		errs[i] = q.reject(Draining, nil)
	}
	running = q.running
	q.settle()
	q.mu.Unlock()
	for i, it := range refused {
		it.refuse(errs[i])
	}
	return len(refused), running
}
