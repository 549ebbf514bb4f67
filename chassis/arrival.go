package chassis

import (
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// arrival is how much of a body is still to come, for the queue whose worker waits for it. Goroutines of the
// handler's may read.
type arrival struct {
	mu    sync.Mutex
	left  int64 // bytes that are still to come; less than 0: nobody knows how many
	whole bool  // nothing is to come, or nobody wants it
	held  queue.Admission
}

// rest is how many bytes are still to come; less than 0 when nobody knows.
func (a *arrival) rest() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.whole {
		return 0
	}
	return a.left
}

// admitted says that held has been given to the request: it is told when the body has arrived.
func (a *arrival) admitted(held queue.Admission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = held
	if a.whole {
		held.Arrived()
	}
}

// read is told of n more bytes, and of the error that came with them. Whoever decodes JSON asks for no more
// than a value, so that the end is not always seen as one.
func (a *arrival) read(n int, err error) {
	a.mu.Lock()
	known := a.left > 0
	if known {
		a.left -= int64(n)
	}
	whole := err != nil || known && a.left <= 0
	a.mu.Unlock()
	if whole {
		a.arrived()
	}
}

// arrived says that nothing is to come, or nobody wants it.
func (a *arrival) arrived() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.whole {
		return
	}
	a.whole = true
	if a.held != (queue.Admission{}) {
		a.held.Arrived()
	}
}
