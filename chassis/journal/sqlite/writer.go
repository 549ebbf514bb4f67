package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	maxWaiting    = 1024     // appends in the queue
	maxGroup      = 512      // appends in one transaction
	maxGroupBytes = 16 << 20 // bytes of data after which a group takes no more appends

	yieldPause = time.Millisecond       // how long the writer leaves the file to others
	yieldEvery = 100 * time.Millisecond // at the latest
	peerMemory = time.Second            // how long signs of another writer count
)

// States of a request.
const (
	waiting   int32 = iota // in the queue
	taken                  // being written
	withdrawn              // its caller gave up
)

// A request is one append. The fields above state belong to the caller before it is queued, to
// the committer until done is closed, and then to the caller again.
type request struct {
	stream  string
	expect  journal.Expect
	events  []journal.Event
	version journal.Version
	err     error

	state atomic.Int32
	done  chan struct{}
}

func (r *request) bytes() (n int) {
	for i := range r.events {
		n += len(r.events[i].Data)
	}
	return n
}

// A writer owns the connection that writes a file. Its goroutine takes what waits, commits it as
// one group, answers, and yields:
//
//	wait ──request──▶ gather ──≤ 512──▶ commit ──▶ answer ──▶ yield ──▶ wait
//	  └──closing──▶ closed
type writer struct {
	committer
	hub     *hub
	queue   chan *request
	closing <-chan struct{}
	closed  chan struct{} // when the goroutine has ended

	peerSeen time.Time // last sign of another writer
	yielded  time.Time // when the file was last left to others
}

func newWriter(t committer, h *hub, closing <-chan struct{}) *writer {
	w := &writer{
		committer: t,
		hub:       h,
		queue:     make(chan *request, maxWaiting),
		closing:   closing,
		closed:    make(chan struct{}),
	}
	w.onBusy = w.notePeer
	w.onPeer = w.notePeer
	go w.run()
	return w
}

func (w *writer) notePeer() { w.peerSeen = time.Now() }

func (w *writer) run() {
	defer close(w.closed)
	group := make([]*request, 0, maxGroup)
	for {
		idle := len(w.queue) == 0
		select {
		case <-w.closing:
			return
		case r := <-w.queue:
			if idle {
				w.yielded = time.Now()
			}
			group = w.gather(group[:0], r)
		}
		if w.commit(group) {
			w.hub.advance(w.head)
		}
		for i, r := range group {
			close(r.done)
			group[i] = nil
		}
		w.yield()
	}
}

// gather takes r and whatever else waits, up to the bounds of a group.
func (w *writer) gather(group []*request, r *request) []*request {
	bytes := 0
	for {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			bytes += r.bytes()
		}
		if len(group) == maxGroup || bytes >= maxGroupBytes {
			return group
		}
		select {
		case r = <-w.queue:
		default:
			return group
		}
	}
}

// yield leaves the file to other writers for a moment, if there may be any.
func (w *writer) yield() {
	now := time.Now()
	if now.Sub(w.peerSeen) >= peerMemory && now.Sub(w.yielded) < yieldEvery {
		return
	}
	time.Sleep(yieldPause)
	w.yielded = now
}

// append queues the request and waits for the answer.
func (w *writer) append(ctx context.Context, r *request) (journal.Version, error) {
	r.done = make(chan struct{})
	r.state.Store(waiting)
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-w.closed:
		return 0, journal.ErrClosed
	}
	select {
	case <-r.done:
		return r.version, r.err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return 0, ctx.Err()
		}
		return 0, fmt.Errorf("append to stream %q: %w: %w", r.stream, journal.ErrUnknownOutcome, ctx.Err())
	case <-w.closed:
		if r.state.CompareAndSwap(waiting, withdrawn) {
			return 0, journal.ErrClosed
		}
		<-r.done // it was in the last group
		return r.version, r.err
	}
}
