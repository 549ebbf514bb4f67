package fake

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// held are the calls and connections that a fault holds, in the order in which they came. There
// are no more than the service's limits let it have.
type held struct {
	mu      sync.Mutex
	waiting []*ticket
	changed chan struct{} // closed when waiting changes; nil while nobody looks
}

// ticket is of one that is held.
type ticket struct {
	done     chan struct{} // closed when it goes on
	released bool
}

func newTicket() *ticket { return &ticket{done: make(chan struct{})} }

// enter holds one more.
func (h *held) enter() *ticket {
	t := newTicket()
	h.join(t)
	return t
}

func (h *held) join(t *ticket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, t)
	h.tell()
}

// leave is for one that is not held any more, released or not.
func (h *held) leave(t *ticket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.waiting, t); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
		h.tell()
	}
}

// release has the first n go on, all if n is negative.
func (h *held) release(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n < 0 || n > len(h.waiting) {
		n = len(h.waiting)
	}
	for _, t := range h.waiting[:n] {
		if !t.released {
			t.released = true
			close(t.done)
		}
	}
	h.waiting = slices.Delete(h.waiting, 0, n)
	h.tell()
}

func (h *held) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waiting)
}

// tell wakes who looks. h.mu is held.
func (h *held) tell() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// look is how many are held, and what is closed when that changes.
func (h *held) look() (int, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return len(h.waiting), h.changed
}

func (h *held) await(ctx context.Context, n int, gone <-chan struct{}) error {
	for {
		now, changed := h.look()
		if now >= n {
			return nil
		}
		select {
		case <-changed:
		case <-gone:
			return fmt.Errorf("the fault was removed while it held %d, not %d", now, n)
		case <-ctx.Done():
			return fmt.Errorf("the fault holds %d, not %d: %w", now, n, ctx.Err())
		}
	}
}
