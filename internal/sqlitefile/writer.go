package sqlitefile

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// MaxWaiting bounds the tasks in the queue of a writer.
	MaxWaiting    = 1024
	maxGroup      = 512      // tasks in one transaction
	maxGroupBytes = 16 << 20 // bytes after which a group takes no more tasks

	yieldPause = time.Millisecond       // how long the writer leaves the file to others
	yieldEvery = 100 * time.Millisecond // at the latest
	peerMemory = time.Second            // how long signs of another writer count
)

// States of a task.
const (
	waiting   int32 = iota // in the queue
	taken                  // being written
	withdrawn              // its caller gave up
)

// An Outcome says what became of a task.
type Outcome int

// The outcomes.
const (
	Done      Outcome = iota // it was committed, or refused: the task itself knows
	Withdrawn                // the context ended before it was taken: nothing was done
	Unknown                  // the context ended while it was being written
	Closed                   // the writer was closed before it was taken: nothing was done
)

// A call is a task on its way. The task belongs to the caller before it is queued, to the writer's
// goroutine until done is closed, and then to the caller again.
type call[T any] struct {
	task  T
	state atomic.Int32
	done  chan struct{}
}

// A Writer owns the connection that writes a file. Its goroutine takes what waits, commits it as
// one group, answers, and yields:
//
//	wait ──task──▶ gather ──≤ 512──▶ commit ──▶ answer ──▶ yield ──▶ wait
//	  └──closing──▶ closed
//
// SQLite alone would let the busier of two processes starve the other, so the writer lets go of the
// file for a millisecond after each commit while there are signs of another writer, and every 100 ms
// in any case.
type Writer[T any] struct {
	commit  func(group []T)
	bytes   func(T) int
	queue   chan *call[T]
	closing <-chan struct{}
	closed  chan struct{} // when the goroutine has ended

	peerSeen time.Time // last sign of another writer
	yielded  time.Time // when the file was last left to others
}

// NewWriter starts a writer, which ends when closing is closed. commit stores a group in one
// transaction and notes in each task what became of it; it is called by one goroutine. bytes is how
// much a task writes.
func NewWriter[T any](commit func(group []T), bytes func(T) int, closing <-chan struct{}) *Writer[T] {
	w := &Writer[T]{
		commit:  commit,
		bytes:   bytes,
		queue:   make(chan *call[T], MaxWaiting),
		closing: closing,
		closed:  make(chan struct{}),
	}
	go w.run()
	return w
}

// NotePeer tells of a sign of another writer. It is called within commit.
func (w *Writer[T]) NotePeer() { w.peerSeen = time.Now() }

// Queued is how many tasks wait to be taken.
func (w *Writer[T]) Queued() int { return len(w.queue) }

// Wait returns when the writer has ended.
func (w *Writer[T]) Wait() { <-w.closed }

func (w *Writer[T]) run() {
	defer close(w.closed)
	calls := make([]*call[T], 0, maxGroup)
	group := make([]T, 0, maxGroup)
	for {
		idle := len(w.queue) == 0
		select {
		case <-w.closing:
			return
		case c := <-w.queue:
			if idle {
				w.yielded = time.Now()
			}
			calls = w.gather(calls[:0], c)
		}
		group = group[:0]
		for _, c := range calls {
			group = append(group, c.task)
		}
		if len(group) > 0 {
			w.commit(group)
		}
		for i, c := range calls {
			close(c.done)
			calls[i] = nil
		}
		clear(group)
		w.yield()
	}
}

// gather takes c and whatever else waits, up to the bounds of a group.
func (w *Writer[T]) gather(calls []*call[T], c *call[T]) []*call[T] {
	bytes := 0
	for {
		if c.state.CompareAndSwap(waiting, taken) {
			calls = append(calls, c)
			bytes += w.bytes(c.task)
		}
		if len(calls) == maxGroup || bytes >= maxGroupBytes {
			return calls
		}
		select {
		case c = <-w.queue:
		default:
			return calls
		}
	}
}

// yield leaves the file to other writers for a moment, if there may be any.
func (w *Writer[T]) yield() {
	now := time.Now()
	if now.Sub(w.peerSeen) >= peerMemory && now.Sub(w.yielded) < yieldEvery {
		return
	}
	time.Sleep(yieldPause)
	w.yielded = now
}

// Do queues the task and waits for what becomes of it. At most [MaxWaiting] tasks wait; further
// callers wait for a place until ctx ends.
func (w *Writer[T]) Do(ctx context.Context, task T) Outcome {
	c := &call[T]{task: task, done: make(chan struct{})}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return Withdrawn
	case <-w.closed:
		return Closed
	}
	var untaken, late Outcome // of a task that was not taken yet, and of one that was
	select {
	case <-c.done:
		return Done
	case <-ctx.Done():
		untaken, late = Withdrawn, Unknown
	case <-w.closed:
		untaken, late = Closed, Done // the last group was answered before
	}
	if c.state.CompareAndSwap(waiting, withdrawn) {
		return untaken
	}
	return late
}
