package queue

import "time"

// Everything here is called with q.mu held.

// room makes sure that a newcomer has a place, if need be in exchange for another's, or says why
// it is refused. All workers are busy.
func (q *Queue) room(n newcomer) (why Reason, refused bool) {
	full := q.waiting() >= q.limits.Capacity
	if full {
		q.shed(n.since)
		full = q.waiting() >= q.limits.Capacity
	}
	if q.hopeless(q.ahead(n.rank, n.tenant), n.since, n.deadline) {
		return Deadline, true
	}
	if !full {
		return 0, false
	}
	for low := classes - 1; low > n.rank; low-- {
		if l := &q.levels[low]; l.waiting > 0 {
			q.drop(l.lengths[l.longest].victim(q.order.newest), n.since, Shed, nil)
			return 0, false
		}
	}
	l := &q.levels[n.rank]
	if l.waiting == 0 {
		return Shed, true
	}
	return q.exchange(l, n)
}

// exchange makes room in a full queue at the expense of the tenant with the longest line of level
// l, the lowest that waits, unless that is the newcomer's own; then only a caller who comes while
// the newest are first gets the place of another, the oldest.
func (q *Queue) exchange(l *level, n newcomer) (why Reason, refused bool) {
	own, _ := l.find(n.tenant)
	mine := 1
	if own != nil {
		mine += own.items.n
	}
	if longest := l.lengths[l.longest]; longest.items.n > mine {
		q.drop(longest.victim(q.order.newest), n.since, TenantQuota, nil)
		return 0, false
	}
	why = Full
	if own != nil && own.overShare() {
		why = TenantQuota
	}
	if !q.order.newest || n.f != nil {
		return why, true
	}
	oldest := q.callers.first
	if own != nil {
		oldest = own.items.first
	}
	if oldest == nil || !oldest.called() || oldest.line.level != l {
		return why, true
	}
	q.drop(oldest, n.since, why, nil)
	return 0, false
}

// hopeless reports whether work that comes now would not be done by its deadline with so many
// ahead of it.
func (q *Queue) hopeless(ahead int, now, deadline time.Duration) bool {
	if deadline == never {
		return false
	}
	left := deadline - now
	if q.tight(left) {
		ahead = 0
	}
	return left < q.wait(ahead)+q.need(left)
}

// pass lets a caller into a dark queue, and counts whom it would have refused. Nobody waits there:
// what would is taken to be the work that runs beyond the number of workers.
func (q *Queue) pass(n newcomer, ended error) Admission {
	would, refused := Reason(0), true
	switch ahead := q.inFlight() - q.unseen + q.waiting() - q.limits.Workers; {
	case ended != nil:
		would = atTheDoor(ended)
	case q.shares.over(n.holder):
		would = ClientShare
	case ahead >= q.limits.Capacity:
		would = Full
	case ahead >= 0 && q.hopeless(ahead, n.since, n.deadline):
		would = Deadline
	default:
		refused = false
	}
	q.counts.admitted++
	a := q.start(n.rank, n.since, 0, n.end)
	if refused {
		q.counts.wouldReject[n.rank][would]++
		q.workers[a.worker].unseen = true
		q.unseen++
	} else {
		q.hold(a.worker, n.holder)
	}
	return a
}
