package queue

import (
	"context"
	"time"
)

// Everything here is called with q.mu held, but for tick.

// memory is how many pieces of work the moving figures remember, about.
const memory = 16

// measured makes what work took part of the moving figures.
func (q *Queue) measured(took time.Duration) {
	if q.average == 0 {
		q.average = took
		return
	}
	off := took - q.average
	q.average += off / memory
	q.spread += (off.Abs() - q.spread) / memory
}

// need is how long work takes, but for little of it. TCP's timeout is reckoned in this way (RFC
// 6298), with four times the spread because there a wrong guess costs more. With work spread
// evenly over 0.5 to 1.5 times its average, and a queue too deep for its deadlines, the average
// alone lets one in six answers come too late, and this one in two hundred.
func (q *Queue) need() time.Duration { return q.average + 2*q.spread }

// expectedWait is how long one who joins now will wait.
func (q *Queue) expectedWait() time.Duration {
	return q.average * time.Duration(q.waiting.Len()+1) / time.Duration(q.limits.Workers)
}

// inFlight is how many workers are busy.
func (q *Queue) inFlight() int { return len(q.workers) - len(q.free) }

// start makes a worker busy and returns which. Submitted work, f, begins to run.
func (q *Queue) start(work context.Context, end context.CancelCauseFunc, f func(context.Context) error, now time.Duration) int {
	var n int
	if last := len(q.free) - 1; last >= 0 {
		n = q.free[last]
		q.free = q.free[:last]
	} else {
		n = len(q.workers)
		q.workers = append(q.workers, worker{})
	}
	q.workers[n] = worker{busy: true, since: now, end: end}
	if f != nil {
		go q.serve(work, n, f, end)
	}
	return n
}

// release makes worker n free.
func (q *Queue) release(n int) {
	q.workers[n] = worker{}
	q.free = append(q.free, n)
}

// next gives free workers to those who came first and can still make use of one.
func (q *Queue) next(now time.Duration) {
	for q.inFlight() < q.limits.Workers {
		q.shed(now)
		front := q.waiting.Front()
		if front == nil {
			break
		}
		it := front.Value.(*item)
		q.remove(it, now)
		it.worker = q.start(it.ctx, it.end, it.f, now)
		if it.ready != nil {
			close(it.ready)
		}
	}
	q.settle()
}

// shed drops those in front that it is too late for.
func (q *Queue) shed(now time.Duration) {
	for front := q.waiting.Front(); front != nil; front = q.waiting.Front() {
		it := front.Value.(*item)
		switch left := it.deadline - now; {
		case left <= 0:
			q.drop(it, now, Deadline, context.DeadlineExceeded)
		case left < q.need():
			q.drop(it, now, Deadline, nil)
		case q.limits.MaxWait > 0 && now-it.since >= q.limits.MaxWait:
			q.drop(it, now, MaxWait, nil)
		default:
			return
		}
	}
}

// drop refuses it, which waits.
func (q *Queue) drop(it *item, now time.Duration, why Reason, cause error) {
	q.remove(it, now)
	q.counts.dropped++
	it.refused = q.reject(why, cause)
	if it.ready != nil {
		close(it.ready)
		return
	}
	it.end(it.refused)
	if q.onError != nil {
		q.lost = append(q.lost, it.refused)
	}
}

// remove takes it from its place.
func (q *Queue) remove(it *item, now time.Duration) {
	q.waiting.Remove(it.place)
	it.place = nil
	q.counts.waited++
	q.counts.waitTotal += max(0, now-it.since) // it may have come while now waited for the lock
}

// watch sees to it that tick is called when the first in the queue has waited for MaxWait. One
// timer serves all, because whoever came first is due first; it is left to run when they start,
// because it costs less to ring for nothing once per MaxWait than to stop it each time.
func (q *Queue) watch(now time.Duration) {
	if front := q.waiting.Front(); front != nil && q.overdue == nil && q.limits.MaxWait > 0 {
		q.overdue = q.clock.AfterFunc(front.Value.(*item).since+q.limits.MaxWait-now, q.tick)
	}
}

// tick drops those that have waited for MaxWait.
func (q *Queue) tick() {
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	q.overdue = nil
	for front := q.waiting.Front(); front != nil; front = q.waiting.Front() {
		it := front.Value.(*item)
		if now-it.since < q.limits.MaxWait {
			break
		}
		q.drop(it, now, MaxWait, nil)
	}
	if !q.settle() {
		q.watch(now)
	}
}
