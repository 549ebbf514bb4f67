package sqlite

import (
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// peerPoll is how often a journal with subscribers looks for what other processes appended.
const peerPoll = 20 * time.Millisecond

// A hub tells subscribers that the journal has grown. They are not sent the events but read
// again, so a slow one costs nothing.
type hub struct {
	poll func(stop <-chan struct{}) // nil when no other process can append

	mu       sync.Mutex
	head     journal.Position // as far as it is known
	err      error            // of the last look at what other processes append
	grown    chan struct{}    // closed when head moves
	waited   bool             // somebody took grown
	watchers int
	stop     chan struct{} // ends poll
}

func newHub(head journal.Position) *hub { return &hub{head: head, grown: make(chan struct{})} }

// join registers a subscriber, and starts polling with the first one.
func (h *hub) join() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers++
	if h.watchers == 1 && h.poll != nil {
		h.err = nil // nobody has looked since the last one left
		h.stop = make(chan struct{})
		go h.poll(h.stop)
	}
}

// leave undoes join.
func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers--
	if h.watchers == 0 && h.stop != nil {
		close(h.stop)
		h.stop = nil
	}
}

// state returns the head and a channel that is closed when it has moved on, or why it is unknown.
func (h *hub) state() (journal.Position, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waited = true
	return h.head, h.grown, h.err
}

// advance moves the head and wakes subscribers. A head that is known already changes nothing.
func (h *hub) advance(head journal.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = nil
	if head > h.head {
		h.head = head
		h.wake()
	}
}

// fail wakes subscribers to an error of looking for the head. It lasts until a look succeeds.
func (h *hub) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	h.wake()
}

func (h *hub) wake() {
	if h.waited {
		close(h.grown)
		h.grown, h.waited = make(chan struct{}), false
	}
}
