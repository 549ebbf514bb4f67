package arcade

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

const (
	// patience is how long one event may take to be written before the browser counts as gone.
	patience = 15 * time.Second
	// reconnect is when a browser that was cut off comes back.
	reconnect = time.Second
)

// eventWriter writes Server-Sent Events. Its errors mean that the browser is gone.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// begin sends the header and when to come back. The first bytes also tell the browser that the
// stream is open before anything has happened.
func (e *eventWriter) begin() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx and those who copied it would hold events back
	e.w.WriteHeader(http.StatusOK)
	return e.write(fmt.Appendf(nil, "retry: %d\n\n", reconnect.Milliseconds()))
}

// event sends one event; data may have many lines, and id may be empty.
func (e *eventWriter) event(id, name string, data []byte) error {
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteByte('\n')
	return e.write(b.Bytes())
}

// comment sends a line that browsers skip.
func (e *eventWriter) comment(text string) error { return e.write([]byte(": " + text + "\n\n")) }

func (e *eventWriter) write(b []byte) error {
	// A writer that knows no deadlines, as in tests of handlers, writes without.
	_ = e.control.SetWriteDeadline(time.Now().Add(patience))
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return e.control.Flush()
}

// end takes the deadline off, for the next request on the connection.
func (e *eventWriter) end() { _ = e.control.SetWriteDeadline(time.Time{}) }
