package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Virtual is a clock that stands still until it is advanced. Make one with [NewVirtual].
// It is safe for concurrent use.
type Virtual struct {
	advancing sync.Mutex // one Advance at a time; held while functions run

	mu    sync.Mutex
	now   time.Time
	seq   uint64
	queue timers
}

// NewVirtual returns a clock that shows start.
func NewVirtual(start time.Time) *Virtual { return &Virtual{now: start} }

// Now is the time the clock was last advanced to.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// AfterFunc asks for f to be called by the Advance that reaches d from now. A function asked
// for with d ≤ 0 is due at once and is run by the next Advance, even by Advance(0): virtual
// time never acts on its own.
func (v *Virtual) AfterFunc(d time.Duration, f func()) Timer {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := &timer{clock: v, at: v.now.Add(max(d, 0)), seq: v.seq, f: f}
	v.seq++
	heap.Push(&v.queue, t)
	return t
}

// Advance moves the clock forward by d and runs, one after another and in the order of their
// times (first asked first when equal), every function that became due, including those that
// these functions ask for within the span. When it returns they have all returned. Functions
// must not call Advance. A negative d counts as zero.
func (v *Virtual) Advance(d time.Duration) {
	v.advancing.Lock()
	defer v.advancing.Unlock()
	v.mu.Lock()
	end := v.now.Add(max(d, 0))
	for len(v.queue) > 0 && !v.queue[0].at.After(end) {
		t := heap.Pop(&v.queue).(*timer)
		if t.at.After(v.now) {
			v.now = t.at
		}
		v.mu.Unlock()
		t.f()
		v.mu.Lock()
	}
	v.now = end
	v.mu.Unlock()
}

// Set sets the clock to t, be that earlier or later, and runs nothing: functions that wait keep the
// times at which they are due. It is for hosts that begin another history, since readings go backwards
// by it. Functions that Advance runs must not call it.
func (v *Virtual) Set(t time.Time) {
	v.advancing.Lock()
	defer v.advancing.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = t
}

// Pending is the number of functions that wait to be called.
func (v *Virtual) Pending() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.queue)
}

// Next is the time at which the earliest waiting function is due, and false when none waits.
func (v *Virtual) Next() (time.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) == 0 {
		return time.Time{}, false
	}
	return v.queue[0].at, true
}

type timer struct {
	clock *Virtual
	at    time.Time
	seq   uint64
	index int // place in the heap, -1 once popped or stopped
	f     func()
}

// Stop implements Timer.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.queue, t.index)
	return true
}

// timers is a heap by time, then by the order of asking.
type timers []*timer

func (q timers) Len() int { return len(q) }

func (q timers) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].seq < q[j].seq
	}
	return q[i].at.Before(q[j].at)
}

func (q timers) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *timers) Push(x any) {
	t := x.(*timer)
	t.index = len(*q)
	*q = append(*q, t)
}

func (q *timers) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.index = -1
	return t
}
