package fake

import (
	"maps"
	"net/http"
)

// maxWithheld is how much of an answer is kept back until its handler has returned.
const maxWithheld = 64 << 10

// withheld is the writer of an answer that a fault may replace: it keeps the answer back until its
// handler has ended, flushes it, or has written more than is kept. Only the handler uses it.
type withheld struct {
	http.ResponseWriter             // where the answer goes
	header              http.Header // what it begins with, until it is out
	status              int
	body                []byte
	out                 bool // it has begun to go out
	dropped             bool // it never will
}

func newWithheld(w http.ResponseWriter) *withheld {
	return &withheld{ResponseWriter: w, header: w.Header().Clone()}
}

// Unwrap lets http.ResponseController reach what lies below.
func (w *withheld) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Header implements http.ResponseWriter.
func (w *withheld) Header() http.Header {
	if w.out {
		return w.ResponseWriter.Header()
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *withheld) WriteHeader(status int) {
	switch {
	case w.dropped:
	case w.out || status < 200:
		w.ResponseWriter.WriteHeader(status)
	case w.status == 0:
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *withheld) Write(b []byte) (int, error) {
	if w.dropped {
		return len(b), nil
	}
	if !w.out {
		if w.status == 0 {
			w.status = http.StatusOK
		}
		if len(w.body)+len(b) <= maxWithheld {
			w.body = append(w.body, b...)
			return len(b), nil
		}
		w.release()
	}
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (w *withheld) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *withheld) FlushError() error {
	if w.dropped {
		return nil
	}
	w.release()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// release lets out what was kept back.
func (w *withheld) release() {
	if w.out || w.dropped {
		return
	}
	w.out = true
	h := w.ResponseWriter.Header()
	clear(h)
	maps.Copy(h, w.header)
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
	}
	if len(w.body) > 0 {
		_, _ = w.ResponseWriter.Write(w.body) // the handler that wrote it has gone on
	}
	w.body = nil
}

// drop forgets the answer, unless some of it is out.
func (w *withheld) drop() {
	if !w.out {
		w.dropped, w.body = true, nil
	}
}
