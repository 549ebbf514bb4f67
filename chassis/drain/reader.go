package drain

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reader is the reading side of a connection as the listener gave it.
//
// A server changes the deadline for reading five times a request: for the header, for the body, to end
// the read beside the handler, not to have ended it, and for the next request. Each change costs as
// much as the chassis's metrics of a request, and hardly a read ever comes to its deadline. So a
// deadline is remembered, and set when a read begins, or is under way, that would otherwise wait
// longer. A read which then ends too early goes on.
type reader struct {
	conn  net.Conn
	epoch time.Time // what deadlines are counted from

	wanted atomic.Int64 // the deadline of those who read
	set    atomic.Int64 // conn's
	busy   atomic.Int32 // how many reads are under way; net/http has one at most, a hijacker may have more
	woken  atomic.Bool  // it ends now, whatever is wanted
	mu     sync.Mutex   // held to set conn's deadline
}

// Deadlines are nanoseconds after the epoch, but for two of them.
const (
	none   = 0
	passed = 1 // long ago
)

func (r *reader) ticks(t time.Time) int64 {
	if t.IsZero() {
		return none
	}
	return max(passed, int64(t.Sub(r.epoch)))
}

func (r *reader) time(ticks int64) time.Time {
	switch ticks {
	case none:
		return time.Time{}
	case passed:
		return past
	}
	return r.epoch.Add(time.Duration(ticks))
}

// put sets conn's deadline. r.mu is held.
func (r *reader) put(ticks int64) {
	r.set.Store(ticks)
	_ = r.conn.SetReadDeadline(r.time(ticks))
}

// SetReadDeadline sets when reads end, the one under way as well.
func (r *reader) SetReadDeadline(t time.Time) error {
	r.wanted.Store(r.ticks(t))
	if r.busy.Load() > 0 { // else the next read looks
		r.arm()
	}
	return nil
}

// longer says whether conn's deadline would let a read wait longer than is wanted, or not at all.
func (r *reader) longer() bool {
	wanted, set := r.wanted.Load(), r.set.Load()
	return set == passed || wanted != none && (set == none || wanted < set)
}

// arm sets conn's deadline if it must be another.
func (r *reader) arm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.woken.Load() && r.longer() {
		r.put(r.wanted.Load())
	}
}

// early says whether a read that conn's deadline has ended is to go on, and sets the one for it.
func (r *reader) early() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := r.wanted.Load()
	if r.woken.Load() || wanted != none && int64(time.Since(r.epoch)) >= wanted {
		return false
	}
	r.put(wanted)
	return true
}

// wake ends the read under way, and those to come until resume.
func (r *reader) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken.Store(true)
	r.put(passed)
}

// deadline is what SetReadDeadline has set.
func (r *reader) deadline() time.Time { return r.time(r.wanted.Load()) }

func (r *reader) resume() { r.woken.Store(false) }

// renew sets the wanted deadline after somebody else may have set conn's.
func (r *reader) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.woken.Load() {
		r.put(r.wanted.Load())
	}
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	r.busy.Add(1)
	defer r.busy.Add(-1)
	for {
		if r.woken.Load() || r.wanted.Load() == passed {
			return 0, os.ErrDeadlineExceeded
		}
		if r.longer() {
			r.arm()
		}
		n, err := r.conn.Read(p)
		if n > 0 || !timedOut(err) || !r.early() {
			return n, err
		}
	}
}
