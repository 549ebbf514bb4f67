package queue

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Admission is a worker that a caller of [Queue.Enter] holds until it leaves. The zero Admission
// is none.
type Admission struct {
	q      *Queue
	worker int
	turn   uint64
	waited time.Duration
}

// Enter waits for a worker as [Queue.Do] does, and returns with it, for callers who cannot put
// what they do into a function: middleware. The error is a *[Rejected]. Whoever was admitted calls
// [Admission.Leave] once; until then the worker is theirs.
//
//	a, err := q.Enter(ctx, queue.Meta{Tenant: tenant})
//	if err != nil {
//		return err
//	}
//	defer func() { a.Leave(err) }()
//
// [Queue.Close] waits for whoever has been admitted and rejects those who wait, but ends no ctx:
// whoever has been admitted ends their own work. When the work panics, nobody but the caller
// knows; a Leave that is deferred hands the worker back.
func (q *Queue) Enter(ctx context.Context, m Meta) (Admission, error) {
	return q.admit(ctx, m, nil)
}

// Waited is how long the caller waited for the worker.
func (a Admission) Waited() time.Duration { return a.waited }

// Leave hands the worker on; err is the work's error, which counts it as failed unless it is nil.
// To leave a second time, or without having been admitted, is a mistake that would let in more
// than the limit: it panics.
func (a Admission) Leave(err error) {
	if a.q == nil {
		panic("queue: Leave without an admission")
	}
	a.finish(err != nil, false)
}

// newcomer is work that asks to be let in.
type newcomer struct {
	ctx      context.Context             // that it runs with
	end      context.CancelCauseFunc     // ends ctx; nil if that is the caller's
	f        func(context.Context) error // of submitted work; nil when a caller waits
	rank     int                         // of its class
	tenant   string
	holder   netip.Addr    // whose share it needs a part of; the zero Addr for none
	since    time.Duration // when it came
	deadline time.Duration // by when it is useful
}

// admit waits for a worker.
func (q *Queue) admit(ctx context.Context, m Meta, end context.CancelCauseFunc) (Admission, error) {
	now, deadline, ended := q.judge(ctx)
	holder := q.holder(&m)
	q.mu.Lock()
	if ended == nil && !q.closed && !q.dark && q.inFlight() < q.limits.Workers && !q.shares.over(holder) { // as in enter, but quicker
		q.counts.admitted++
		a := q.start(m.Class.rank(), now, 0, end)
		q.hold(a.worker, holder)
		q.mu.Unlock()
		return a, nil
	}
	n := newcomer{ctx: ctx, end: end, rank: m.Class.rank(), tenant: m.tenant(), holder: holder, since: now, deadline: deadline}
	a, it, err := q.enter(n, ended)
	q.unlock()
	if it != nil {
		return q.await(it)
	}
	return a, err
}

// judge is the time now, ctx's deadline, and the error of a ctx that has ended.
func (q *Queue) judge(ctx context.Context) (now, deadline time.Duration, ended error) {
	now, deadline, ended = q.now(), never, ctx.Err()
	if d, ok := ctx.Deadline(); ok {
		if deadline = q.at(d, now); deadline <= now && ended == nil {
			ended = context.DeadlineExceeded // the context's own timer is late
		}
	}
	return now, deadline, ended
}

// enter finds a worker, or else a place, for n, or says why not. ended is the error of the context
// that asks for it. q.mu is held.
func (q *Queue) enter(n newcomer, ended error) (Admission, *item, error) {
	switch {
	case q.closed:
		return Admission{}, nil, q.reject(n.rank, Draining, nil)
	case q.dark && n.f == nil:
		return q.pass(n, ended), nil, nil
	case ended != nil:
		return Admission{}, nil, q.reject(n.rank, atTheDoor(ended), ended)
	case q.shares.over(n.holder):
		return Admission{}, nil, q.reject(n.rank, ClientShare, nil)
	case q.inFlight() < q.limits.Workers:
		q.counts.admitted++
		a := q.start(n.rank, n.since, 0, n.end)
		q.hold(a.worker, n.holder)
		if n.f != nil {
			go a.serve(n)
		}
		return a, nil, nil
	}
	q.order.look(q.callers.n, n.since, q.average)
	if why, refused := q.room(n); refused {
		return Admission{}, nil, q.reject(n.rank, why, nil)
	}
	it := &item{newcomer: n}
	if it.called() {
		it.ready = make(chan struct{})
	}
	q.counts.admitted++
	q.join(it)
	q.watch(n.since)
	return Admission{}, it, nil
}

// await returns the worker that it has been given, or why it will get none.
func (q *Queue) await(it *item) (Admission, error) {
	select {
	case <-it.ready:
	case <-it.ctx.Done():
		q.leave(it)
	}
	if it.refused != nil {
		return Admission{}, it.refused
	}
	if it.ctx.Err() != nil { // it ended together with the wait
		return Admission{}, q.giveBack(it)
	}
	return it.turn, nil
}

// leave takes it, whose context has ended, out of the queue, unless it has a worker or has been
// refused by now.
func (q *Queue) leave(it *item) {
	why, err := it.ended()
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	if it.line != nil {
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
	w := &q.workers[it.turn.worker]
	w.tenant.settle(w.paid, 0, q.average)
	q.release(it.turn.worker)
	q.next(now)
	return q.reject(it.rank, why, err)
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

// inFlight is how many workers are busy. q.mu is held, as it is for what follows.
func (q *Queue) inFlight() int { return len(q.workers) - len(q.free) }

// start makes a worker busy.
func (q *Queue) start(rank int, now, waited time.Duration, end context.CancelCauseFunc) Admission {
	var i int
	if last := len(q.free) - 1; last >= 0 {
		i = q.free[last]
		q.free = q.free[:last]
	} else {
		i = len(q.workers)
		q.workers = append(q.workers, worker{})
	}
	w := &q.workers[i]
	w.busy, w.since, w.end = true, now, end
	w.turn++
	q.counts.wait[rank].observe(waited)
	return Admission{q, i, w.turn, waited}
}

// release makes worker i free.
func (q *Queue) release(i int) {
	w := &q.workers[i]
	if w.unseen {
		w.unseen = false
		q.unseen--
	}
	q.arrived(w)
	w.busy, w.end, w.tenant = false, nil, nil
	q.free = append(q.free, i)
}

// finish counts what the worker did and hands it on.
func (a Admission) finish(failed, panicked bool) {
	q := a.q
	now := q.now()
	q.mu.Lock()
	w := &q.workers[a.worker]
	if !w.busy || w.turn != a.turn {
		q.mu.Unlock()
		panic(fmt.Sprintf("queue %q: Leave of an admission that has been left", q.name))
	}
	took := now - w.since
	q.counts.completed++
	q.counts.service.observe(took)
	if failed {
		q.counts.failed++
	}
	if panicked {
		q.counts.panicked++
	}
	if w.tenant != nil {
		w.tenant.settle(w.paid, took, q.average)
	}
	q.measured(took)
	q.release(a.worker)
	if q.waiting() > 0 || q.closed {
		q.next(now)
	}
	q.unlock()
}
