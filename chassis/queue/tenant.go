package queue

import (
	"hash/maphash"
	"time"
)

// MaxTenants is how many tenants of a class a queue tells apart at most.
const MaxTenants = 4096

// maxDebt is for how many average pieces of work a tenant is charged at most for one that took
// longer; the average is that of its next turn, or it would owe thousands of turns once work has become
// quicker. It bounds how many rounds the others can be ahead, and what a turn costs the queue.
const maxDebt = 8

// level is what waits of one class. Its tenants take turns by deficit round-robin (Shreedhar and
// Varghese, 1995), where a piece of work is as long as the time it takes. That is known only
// afterwards: at its turn it costs the average, and the difference is settled when it is done.
type level struct {
	waiting int
	exact   int                // how many tenants have a line of their own
	tenants map[string]*tenant // those
	tail    int                // how many lines all others share
	shared  []*tenant          // those, by hash of the name; nil until there has been one
	seed    maphash.Seed
	active  int       // how many lines there are
	turn    *tenant   // whose turn it is, in the ring of lines
	begun   bool      // the turn has
	lengths []*tenant // the first of the lines of each length
	longest int       // the length of the longest
}

// tenant is the line of those who wait on behalf of one tenant, or of some that share it. It
// exists while somebody stands in it: a tenant who asks for nothing costs nothing.
type tenant struct {
	level  *level
	name   string
	slot   int // in level.shared; −1: the line is one tenant's own
	items  chain
	credit time.Duration // how much time of work it may take before the next has its turn

	prev, next           *tenant // in the ring
	prevEqual, nextEqual *tenant // among those of equal length, see level.lengths
}

// init divides the lines that there may be: one in sixteen, and at least one, is for the tail.
func (l *level) init(limit int, seed maphash.Seed) {
	l.tail = max(1, limit/16)
	l.exact, l.seed = limit-l.tail, seed
	l.tenants = make(map[string]*tenant)
}

// find returns a tenant's line, nil when nobody stands in it, and where it is or would be.
func (l *level) find(name string) (t *tenant, slot int) {
	if t := l.tenants[name]; t != nil {
		return t, -1
	}
	if len(l.tenants) < l.exact {
		return nil, -1
	}
	slot = int(maphash.String(l.seed, name) % uint64(l.tail))
	if l.shared == nil {
		return nil, slot
	}
	return l.shared[slot], slot
}

// join puts it at the end of its tenant's line.
func (l *level) join(it *item) {
	t, slot := l.find(it.tenant)
	if t == nil {
		t = &tenant{level: l, name: it.tenant, slot: slot, items: chain{which: inLine}}
		if slot < 0 {
			l.tenants[it.tenant] = t
		} else {
			if l.shared == nil { // few queues ever need them, and each level's take 2 KiB
				l.shared = make([]*tenant, l.tail)
			}
			l.shared[slot] = t
		}
		l.active++
		if l.turn == nil {
			t.prev, t.next = t, t
			l.turn = t
		} else { // at the end of the round
			t.prev, t.next = l.turn.prev, l.turn
			t.prev.next, t.next.prev = t, t
		}
	} else {
		l.unrank(t)
	}
	t.items.push(it)
	it.line = t
	l.waiting++
	l.rank(t)
}

// leave takes it out of its line, which ends with the last in it.
func (l *level) leave(it *item) {
	t := it.line
	it.line = nil
	l.unrank(t)
	t.items.remove(it)
	l.waiting--
	if t.items.n > 0 {
		l.rank(t)
	}
	if l.lengths[l.longest] == nil {
		l.longest-- // t was the only one of that length and is one shorter
	}
	if t.items.n > 0 {
		return
	}
	if t.slot < 0 {
		delete(l.tenants, t.name)
	} else {
		l.shared[t.slot] = nil
	}
	l.active--
	if l.turn == t {
		l.pass()
	}
	if l.active == 0 {
		l.turn = nil
	}
	t.prev.next, t.next.prev = t.next, t.prev
}

// rank puts t among the lines of its length, so that the longest is found without looking at all.
func (l *level) rank(t *tenant) {
	n := t.items.n
	for len(l.lengths) <= n {
		l.lengths = append(l.lengths, nil)
	}
	t.prevEqual, t.nextEqual = nil, l.lengths[n]
	if t.nextEqual != nil {
		t.nextEqual.prevEqual = t
	}
	l.lengths[n] = t
	l.longest = max(l.longest, n)
}

// unrank takes t from among the lines of its length, before that changes.
func (l *level) unrank(t *tenant) {
	if t.prevEqual == nil {
		l.lengths[t.items.n] = t.nextEqual
	} else {
		t.prevEqual.nextEqual = t.nextEqual
	}
	if t.nextEqual != nil {
		t.nextEqual.prevEqual = t.prevEqual
	}
}

// next is whose turn it is. The level has somebody who waits. Each turn adds as much as an average
// piece of work takes to what a tenant may take, and lasts until that is used up.
func (l *level) next(average time.Duration) *tenant {
	for {
		if !l.begun {
			owed := max(l.turn.credit, -maxDebt*max(average, 1))
			l.turn.credit, l.begun = owed+max(average, 1), true
		}
		if l.turn.credit > 0 {
			return l.turn
		}
		l.pass()
	}
}

// pass ends a turn.
func (l *level) pass() { l.turn, l.begun = l.turn.next, false }

// charge has t pay for an average piece of work, and returns how much.
func (t *tenant) charge(average time.Duration) time.Duration {
	t.credit -= max(average, 1)
	return max(average, 1)
}

// settle corrects what t has paid for work that took so long. Whoever waits for nothing any more
// owes nothing. What is left over is bounded too, or work would have many turns in a row that has
// become much quicker than it was.
func (t *tenant) settle(paid, took, average time.Duration) {
	if t.items.n > 0 {
		t.credit = min(max(t.credit+paid-took, -maxDebt*max(average, 1)), max(average, 1))
	}
}

// overShare reports whether more wait on t's behalf than on that of its average neighbour.
func (t *tenant) overShare() bool {
	return t.items.n*t.level.active > t.level.waiting
}

// pick is who has t's turn: the oldest, or with newest the one that came last, unless that is
// submitted work. Nobody waits for that, so it does not go stale, and it stays in order.
func (t *tenant) pick(newest bool) *item {
	if newest && t.items.last.called() {
		return t.items.last
	}
	return t.items.first
}

// victim is who goes when t's line is too long: the one who would have the last turn.
func (t *tenant) victim(newest bool) *item {
	if newest {
		return t.items.first
	}
	return t.items.last
}
