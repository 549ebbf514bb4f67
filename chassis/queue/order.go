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

// sure is how long work takes, but for little of it: the average and twice the spread. TCP's timeout
// is reckoned in this way (RFC 6298), with four times the spread because there a wrong guess costs
// more. With work spread evenly over 0.5 to 1.5 times its average, and a queue too deep for its
// deadlines, the average alone lets one in six answers come too late, and this one in two hundred.
func (q *Queue) sure() time.Duration { return q.average + 2*q.spread }

// tight reports whether a deadline that is so far away when the work comes leaves less than what
// work surely takes. It is then as tight for everybody, and to refuse all would leave the workers
// idle: such work has its turn before whatever came earlier, and the average has to do.
func (q *Queue) tight(whole time.Duration) bool { return whole < q.sure() }

// need is how much time work must have left when it begins.
func (q *Queue) need(whole time.Duration) time.Duration {
	if q.tight(whole) {
		return q.average
	}
	return q.sure()
}

// interval is for how long the queue must not have been empty before it is overloaded.
const interval = 100 * time.Millisecond

// order is in which order a queue does its work.
type order struct {
	newest bool          // the newest first
	spell  time.Duration // since when some caller or other has waited; 0 callers: no matter
	calm   time.Duration // since when no such spell lasted for half an interval
}

// span is an interval, or what work takes where that is longer: a queue for work that takes a
// second is not overloaded because somebody waits for a tenth.
func span(average time.Duration) time.Duration { return max(interval, average) }

// look changes the order when it is time to. callers wait now, and have done so since the last
// look unless there were none.
func (o *order) look(callers int, now, average time.Duration) {
	if callers > 0 {
		switch spell := now - o.spell; {
		case spell >= span(average):
			o.newest, o.calm = true, now
		case spell >= span(average)/2:
			o.calm = now
		}
	}
	if o.newest && now-o.calm >= span(average) {
		o.newest = false
	}
}

// target is for how long a caller waits, when the newest come first, whose deadline is not known.
func target(average time.Duration) time.Duration { return span(average) / 20 }

// ahead is how many will be served before a newcomer.
func (q *Queue) ahead(rank int, tenant string) int {
	n := 0
	for r := range rank {
		n += q.levels[r].waiting
	}
	l := &q.levels[rank]
	t, _ := l.find(tenant)
	own, others := 0, l.active
	if t != nil {
		own, others = t.items.n, others-1
	}
	if q.order.newest {
		own = 0
	}
	return n + min(l.waiting, own+(own+1)*others)
}

// wait is how long one waits with so many ahead.
func (q *Queue) wait(ahead int) time.Duration {
	return q.average * time.Duration(ahead+1) / time.Duration(q.limits.Workers)
}

// join gives it a place.
func (q *Queue) join(it *item) {
	q.levels[it.rank].join(it)
	if !it.called() {
		q.jobs.push(it)
		return
	}
	if q.callers.n == 0 {
		q.order.spell = it.since
	}
	q.callers.push(it)
}

// remove takes it from its place.
func (q *Queue) remove(it *item, now time.Duration) {
	q.levels[it.rank].leave(it)
	if it.called() {
		q.order.look(q.callers.n, now, q.average)
		q.callers.remove(it)
	} else {
		q.jobs.remove(it)
	}
	q.counts.waited++
	q.counts.waitTotal += it.waited(now)
}

// waited is for how long it has; it may have come while now waited for the lock.
func (it *item) waited(now time.Duration) time.Duration { return max(0, now-it.since) }

// next gives free workers to those whose turn it is and who can still make use of one.
func (q *Queue) next(now time.Duration) {
	q.order.look(q.callers.n, now, q.average)
	q.shed(now)
	for q.inFlight() < q.limits.Workers {
		it := q.pick()
		if it == nil {
			break
		}
		if why, cause, late := q.late(it, now); late {
			q.drop(it, now, why, cause)
			continue
		}
		if q.shares.over(it.holder) {
			q.drop(it, now, ClientShare, nil)
			continue
		}
		t := it.line
		paid := t.charge(q.average)
		q.remove(it, now)
		it.turn = q.start(it.rank, now, it.waited(now), it.end)
		q.hold(it.turn.worker, it.holder)
		w := &q.workers[it.turn.worker]
		w.tenant, w.paid = t, paid
		if it.called() {
			close(it.ready)
		} else {
			go it.turn.serve(it.newcomer)
		}
	}
	q.trim(now)
	q.settle()
}

// pick is whose turn it is: the most critical class, in it the tenant whose turn it is, and of
// that the oldest or the newest. It is nil when nobody waits.
func (q *Queue) pick() *item {
	for rank := range q.levels {
		if l := &q.levels[rank]; l.waiting > 0 {
			t := l.next(q.average)
			last := t.items.last
			return t.pick(q.order.newest || q.tight(last.deadline-last.since))
		}
	}
	return nil
}

// late reports that it is too late for it, which waits, and why.
func (q *Queue) late(it *item, now time.Duration) (Reason, error, bool) {
	switch left := it.deadline - now; {
	case left <= 0:
		return Deadline, context.DeadlineExceeded, true
	case left < q.need(it.deadline-it.since):
		return Deadline, nil, true
	case q.limits.MaxWait > 0 && now-it.since >= q.limits.MaxWait:
		return MaxWait, nil, true
	}
	return 0, nil, false
}

// shed drops the oldest callers for as long as it is too late for them.
func (q *Queue) shed(now time.Duration) {
	for it := q.callers.first; it != nil; it = q.callers.first {
		why, cause, late := q.late(it, now)
		if !late {
			return
		}
		q.drop(it, now, why, cause)
	}
}

// trim drops the oldest callers, when the newest come first, who have waited for longer than the
// target and whose deadline is not known. Those who came after them have had their turn.
func (q *Queue) trim(now time.Duration) {
	if !q.order.newest || q.limits.MaxWait > 0 {
		return
	}
	for it := q.callers.first; it != nil && it.deadline == never && now-it.since > target(q.average); it = q.callers.first {
		q.drop(it, now, MaxWait, nil)
	}
}

// drop refuses it, which waits.
func (q *Queue) drop(it *item, now time.Duration, why Reason, cause error) {
	q.remove(it, now)
	q.counts.dropped++
	it.refused = q.reject(it.rank, why, cause)
	if it.called() {
		close(it.ready)
		return
	}
	it.end(it.refused)
	if q.onError != nil {
		q.lost = append(q.lost, it.refused)
	}
}

// watch sees to it that tick is called when the oldest in the queue has waited for MaxWait. One
// timer serves all, because whoever came first is due first; it is left to run when they start,
// because it costs less to ring for nothing once per MaxWait than to stop it each time.
func (q *Queue) watch(now time.Duration) {
	if oldest, any := q.oldest(); any && q.overdue == nil && q.limits.MaxWait > 0 {
		q.overdue = q.clock.AfterFunc(oldest+q.limits.MaxWait-now, q.tick)
	}
}

// oldest is when the oldest of those who wait came.
func (q *Queue) oldest() (time.Duration, bool) {
	oldest := never
	for _, c := range []*chain{&q.callers, &q.jobs} {
		if c.first != nil {
			oldest = min(oldest, c.first.since)
		}
	}
	return oldest, oldest != never
}

// tick drops those that have waited for MaxWait.
func (q *Queue) tick() {
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	q.overdue = nil
	for _, c := range []*chain{&q.callers, &q.jobs} {
		for c.first != nil && now-c.first.since >= q.limits.MaxWait {
			q.drop(c.first, now, MaxWait, nil)
		}
	}
	if !q.settle() {
		q.watch(now)
	}
}
