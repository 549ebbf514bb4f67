package drain

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pieceSize is how much of a stream's answer a client of HTTP/2 has to let through in one to two
	// times Entry.WriteTimeout, in bytes.
	pieceSize = 64 << 10
	// atFirst is how many times Entry.WriteTimeout a stream has from its beginning, if it has ended before
	// somebody looked at it. Who looks may be late by two of them.
	atFirst = 3
)

// stream is the writer of an answer over HTTP/2. A client may give a stream no room
// (RFC 9113, 5.2), which no deadline of the connection ends: others go on. net/http's own deadlines
// for streams end them whether something is being written or not, and to change one takes a message to
// the goroutine that serves the connection, which costs as much as all else that is done for the stream.
//
// So net/http gives each stream a deadline when it begins, which is enough for those that are short, as
// nearly all are. What lasts is looked at once in every Entry.WriteTimeout, all streams of a server in one
// go. The first look lifts the deadline; a later one resets the stream if a write has got nowhere since
// the one before.
type stream struct {
	http.ResponseWriter
	live *live
	// state counts the steps of writing: odd while a piece is being written.
	state atomic.Uint64
	wrote bool // of the body; the handler's business

	// The others belong to live.mu.
	prev, next *stream
	last       uint64 // state at the last look
	lifted     bool   // net/http's deadline is
	own        bool   // the handler sets deadlines itself
}

// live is the list of a connection's streams whose handlers run.
type live struct {
	mu       sync.Mutex
	first    *stream
	flushing atomic.Int32 // handlers that flush by themselves
	flushed  atomic.Bool  // one has, and what it flushed may be written yet
}

// watch is w with somebody who looks, until done is called.
func (s *Server) watch(c *conn, w http.ResponseWriter) *stream {
	l := &c.h2.live
	st := &stream{ResponseWriter: w, live: l}
	l.mu.Lock()
	if st.next = l.first; st.next != nil {
		st.next.prev = st
	}
	l.first = st
	l.mu.Unlock()
	if !s.looking.Load() {
		s.lookAgain()
	}
	return st
}

// lookAgain has somebody look in time, if nobody does.
func (s *Server) lookAgain() {
	if s.looking.CompareAndSwap(false, true) {
		time.AfterFunc(s.entry.WriteTimeout, s.look)
	}
}

// look looks at all streams, and is called again as long as there are any.
func (s *Server) look() {
	for _, c := range s.conns(nil) {
		c.h2.live.look(s.bounded)
	}
	s.looking.Store(false)
	for _, c := range s.conns(nil) { // those that have begun before that count on this look
		if c.h2.live.any() {
			s.lookAgain()
			return
		}
	}
}

func (l *live) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first != nil
}

// look looks at each stream; lift says whether the deadline that they began with is ours.
func (l *live) look(lift bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for st := l.first; st != nil; st = st.next {
		if st.own {
			continue
		}
		if lift && !st.lifted {
			st.lifted = true
			st.deadline(time.Time{})
		}
		state := st.state.Load()
		if state%2 == 1 && state == st.last {
			st.deadline(past)
		}
		st.last = state
	}
}

// deadline sets net/http's.
func (st *stream) deadline(t time.Time) {
	_ = http.NewResponseController(st.ResponseWriter).SetWriteDeadline(t)
}

// done is called when the handler has returned. What it left in buffers has its time to be written. ctx
// has ended if the stream has: net/http would reset it once more.
func (st *stream) done(ctx context.Context, within time.Duration) {
	l := st.live
	l.mu.Lock()
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		l.first = st.next
	}
	if st.next != nil {
		st.next.prev = st.prev
	}
	without := st.lifted && !st.own
	l.mu.Unlock()
	if without && st.wrote && ctx.Err() == nil {
		st.deadline(time.Now().Add(2 * within))
	}
}

// Unwrap is for [http.ResponseController].
func (st *stream) Unwrap() http.ResponseWriter { return st.ResponseWriter }

func (st *stream) Write(p []byte) (int, error) {
	st.wrote = true
	written := 0
	for {
		piece := p[written:min(len(p), written+pieceSize)]
		st.state.Add(1)
		n, err := st.ResponseWriter.Write(piece)
		st.state.Add(1)
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// WriteString implements [io.StringWriter].
func (st *stream) WriteString(s string) (int, error) {
	if len(s) > pieceSize {
		return st.Write([]byte(s))
	}
	st.wrote = true
	st.state.Add(1)
	defer st.state.Add(1)
	return io.WriteString(st.ResponseWriter, s)
}

// FlushError is what [http.ResponseController] calls.
func (st *stream) FlushError() error {
	st.state.Add(1)
	defer st.state.Add(1)
	st.live.flushing.Add(1)
	defer func() {
		st.live.flushed.Store(true)
		st.live.flushing.Add(-1)
	}()
	return http.NewResponseController(st.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (st *stream) Flush() { _ = st.FlushError() }

// Push implements [http.Pusher].
func (st *stream) Push(target string, o *http.PushOptions) error {
	return st.ResponseWriter.(http.Pusher).Push(target, o)
}

// SetWriteDeadline lets the handler's deadline count instead, until it sets none.
func (st *stream) SetWriteDeadline(t time.Time) error {
	l := st.live
	l.mu.Lock()
	defer l.mu.Unlock()
	st.own, st.lifted, st.last = !t.IsZero(), true, 0
	return http.NewResponseController(st.ResponseWriter).SetWriteDeadline(t)
}
