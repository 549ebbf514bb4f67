package drain

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pieceSize is how much of a stream's answer a client of HTTP/2 has to let through in one to two
// times Entry.WriteTimeout, in bytes.
const pieceSize = 64 << 10

// stream is the writer of an answer over HTTP/2. A client may give a stream no room
// (RFC 9113, 5.2), which no deadline of the connection ends: others go on. So somebody looks, from
// time to time, whether a write has got anywhere, and resets the stream if not. net/http's own
// deadlines for streams end them whether something is being written or not.
type stream struct {
	http.ResponseWriter
	within time.Duration
	// state counts the steps of writing: odd while a piece is being written.
	state atomic.Uint64
	wrote bool // of the body; the handler's business

	mu    sync.Mutex
	timer *time.Timer
	last  uint64 // state when somebody looked
	over  bool   // the handler has returned, or sets deadlines itself
}

// watch is w with somebody who looks.
func watch(w http.ResponseWriter, within time.Duration) *stream {
	s := &stream{ResponseWriter: w, within: within}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(within, s.look)
	return s
}

// look resets the stream if a piece is being written that was being written the last time.
func (s *stream) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	state := s.state.Load()
	if state%2 == 1 && state == s.last {
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(past)
		return
	}
	s.last = state
	s.timer.Reset(s.within)
}

// done is called when the handler has returned. What it left in buffers has its time to be written.
func (s *stream) done() {
	s.mu.Lock()
	watched := !s.over
	s.over = true
	s.timer.Stop()
	s.mu.Unlock()
	if watched && s.wrote {
		_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(2 * s.within))
	}
}

// Unwrap is for [http.ResponseController].
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *stream) Write(p []byte) (int, error) {
	s.wrote = true
	written := 0
	for {
		piece := p[written:min(len(p), written+pieceSize)]
		s.state.Add(1)
		n, err := s.ResponseWriter.Write(piece)
		s.state.Add(1)
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// FlushError is what [http.ResponseController] calls.
func (s *stream) FlushError() error {
	s.state.Add(1)
	defer s.state.Add(1)
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (s *stream) Flush() { _ = s.FlushError() }

// Push implements [http.Pusher].
func (s *stream) Push(target string, o *http.PushOptions) error {
	return s.ResponseWriter.(http.Pusher).Push(target, o)
}

// SetWriteDeadline lets the handler's deadline count instead.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !t.IsZero():
		s.over = true
		s.timer.Stop()
	case s.over:
		s.over, s.last = false, 0
		s.timer.Reset(s.within)
	}
	return http.NewResponseController(s.ResponseWriter).SetWriteDeadline(t)
}
