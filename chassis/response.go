package chassis

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// response notes what is answered on its way through.
type response struct {
	http.ResponseWriter
	status   int   // 0 until the header is written
	bytes    int64 // of the body
	hijacked bool
	// plain is what answers go to that a compressor, which ResponseWriter then is, would only
	// hold back; nil without a compressor.
	plain http.ResponseWriter
}

// Unwrap lets http.ResponseController reach what lies below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

func (w *response) WriteString(s string) (int, error) {
	w.begin(http.StatusOK)
	n, err := io.WriteString(w.ResponseWriter, s)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom keeps sendfile: net/http's own writer has it on HTTP/1.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker. The access line of a hijacked connection tells of status
// 101, since nothing more is seen of it.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// begin notes the status of an answer whose first byte is about to be written.
func (w *response) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.plain == nil {
		return
	}
	if contentType := w.Header().Get("Content-Type"); contentType != "" && !compressible(contentType) {
		w.ResponseWriter = w.plain
	}
}
