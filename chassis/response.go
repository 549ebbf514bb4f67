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
	bytes    int64 // of the body
	status   int32 // 0 until the header is written
	hijacked bool
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
	if w.status == 0 {
		w.status = int32(status)
	}
}

// compressed is what a handler writes to whose answer is compressed. The compressor, which lies
// below, keeps the beginning of an answer; what has begun is known here.
type compressed struct {
	response
	exchange *exchange
}

func (w *compressed) WriteHeader(status int) {
	w.choose()
	w.response.WriteHeader(status)
}

func (w *compressed) Write(b []byte) (int, error) {
	w.choose()
	return w.response.Write(b)
}

func (w *compressed) WriteString(s string) (int, error) {
	w.choose()
	return w.response.WriteString(s)
}

func (w *compressed) ReadFrom(r io.Reader) (int64, error) {
	w.choose()
	return w.response.ReadFrom(r)
}

func (w *compressed) Flush() { _ = w.FlushError() }

func (w *compressed) FlushError() error {
	w.choose()
	return w.response.FlushError()
}

// choose goes around the compressor if it would only hold the answer back.
func (w *compressed) choose() {
	if w.status != 0 {
		return
	}
	if contentType := w.Header().Get("Content-Type"); contentType != "" && !compressible(contentType) {
		w.ResponseWriter = w.exchange
	}
}
