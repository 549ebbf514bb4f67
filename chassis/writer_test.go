package chassis_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

func TestTheResponseWriterDoesWhatNetHTTPsDoes(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /string": func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.(io.StringWriter).WriteString("a string")
			return err
		},
		"GET /file": func(w http.ResponseWriter, _ *http.Request) error {
			n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("a file"))
			if n != 6 {
				t.Errorf("%d bytes read", n)
			}
			return err
		},
		"GET /flush": func(w http.ResponseWriter, _ *http.Request) error {
			w.(http.Flusher).Flush()
			return http.NewResponseController(w).Flush()
		},
		"GET /deadline": func(w http.ResponseWriter, _ *http.Request) error {
			return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		},
		"GET /early": func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
			return nil
		},
		"GET /again": func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusTeapot) // superfluous, and ignored
			return nil
		},
	})))
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/string": {200, "a string"}, "/file": {200, "a file"}, "/flush": {200, ""}, "/deadline": {200, ""}, "/early": {202, ""}, "/again": {202, ""},
	} {
		if a := h.get(path); a.StatusCode != want.status || a.body != want.body {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
	}
	h.stop()
	for _, rec := range h.lines() {
		want := map[string]struct {
			status int
			bytes  int64
		}{"/string": {200, 8}, "/file": {200, 6}, "/flush": {200, 0}, "/deadline": {200, 0}, "/early": {202, 0}, "/again": {202, 0}}[rec.URI]
		if rec.Status != want.status || rec.Bytes != want.bytes {
			t.Errorf("%s: logged %d, %d bytes", rec.URI, rec.Status, rec.Bytes)
		}
	}
}

func TestAConnectionCanBeTakenOver(t *testing.T) {
	for name, cfg := range map[string]chassis.HTTPConfig{"plain": {}, "compressed": {Compress: true}} {
		t.Run(name, func(t *testing.T) {
			h := start(t, options{http: cfg}, serve(routes(map[string]chassis.Handler{
				"GET /ws": func(w http.ResponseWriter, _ *http.Request) error {
					conn, rw, err := w.(http.Hijacker).Hijack()
					if err != nil {
						return err
					}
					defer conn.Close()
					fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
					return rw.Flush()
				},
				"GET /upgrade": func(w http.ResponseWriter, _ *http.Request) error {
					w.WriteHeader(http.StatusSwitchingProtocols)
					return nil
				},
			})))
			if got := h.raw("GET /ws HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"); got != "HTTP/1.1 101 Switching Protocols\r\n\r\nhello" {
				t.Errorf("answer %q", got)
			}
			if got := h.raw("GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
				t.Errorf("answer %q", got)
			}
			h.stop()
			h.wantMetric(1, "requests_total", "route", "GET /ws", "code", "101")
			h.wantMetric(1, "requests_total", "route", "GET /upgrade", "code", "101")
			h.wantMetric(0, "requests_in_flight", "listener", "http")
		})
	}
}

func TestAConnectionThatWasTakenOverIsDrained(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /ws": func(w http.ResponseWriter, r *http.Request) error {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "hello\n"); err != nil {
				return err
			}
			<-chassis.Draining(r.Context())
			_, err = io.WriteString(conn, "bye\n")
			return err
		},
	})))
	conn := h.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	h.stop()
	if rest, err := io.ReadAll(r); string(rest) != "bye\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	h.wantMetric(1, "requests_total", "route", "GET /ws", "code", "101")
}

func TestAConnectionThatWasTakenOverHoldsTheDrainUpOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, entered := make(chan struct{}), make(chan struct{})
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 3 * time.Second }},
			serve(routes(map[string]chassis.Handler{"GET /ws": func(w http.ResponseWriter, r *http.Request) error {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return err
				}
				close(entered)
				<-free
				return conn.Close()
			}})))
		conn, _ := h.talk("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		begin := time.Now()
		h.stop()
		if took := time.Since(begin); took != 3*time.Second || len(h.logged("requests were cut off")) != 1 {
			t.Errorf("stopped after %v", took)
		}
		close(free)
		_ = conn.Close()
	})
}

func TestAnHTTP2ConnectionCannotBeTakenOver(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{H2C: true}}, serve(routes(map[string]chassis.Handler{
		"GET /ws": func(w http.ResponseWriter, _ *http.Request) error {
			_, _, err := http.NewResponseController(w).Hijack()
			return err
		},
	})))
	transport := h.client.Transport.(*http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	if p := h.get("/ws").problem(t); p.Code != 1 {
		t.Errorf("problem %+v", p)
	}
}

func TestAnswersAreCompressedForThoseWhoAccept(t *testing.T) {
	text := strings.Repeat("four rows of discs ", 200)
	typed := func(contentType, body string) chassis.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", contentType)
			return say(body)(w, r)
		}
	}
	handlers := map[string]chassis.Handler{
		"GET /text": typed("text/plain", text), "GET /short": typed("text/plain", "short"), "GET /png": typed("image/png", text),
		"GET /svg": typed("image/svg+xml", text), "GET /woff": typed("font/woff2", text),
		"GET /full": fails(errFull.New()), "GET /panic": func(http.ResponseWriter, *http.Request) error { panic("no") },
	}
	h := start(t, options{http: chassis.HTTPConfig{Compress: true}}, serve(routes(handlers)))
	a := h.get("/text", "Accept-Encoding", "zstd, gzip")
	if a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("Vary") != "Accept-Encoding" || len(a.body) > len(text)/4 {
		t.Errorf("%d bytes, %v", len(a.body), a.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); string(plain) != text || err != nil {
		t.Errorf("unpacked: %d bytes, %v", len(plain), err)
	}
	h.wantMetric(float64(len(a.body)), "response_bytes_total", "route", "GET /text")
	for path, encoding := range map[string]string{"/text": "identity", "/short": "gzip", "/png": "gzip", "/woff": "gzip"} {
		if a := h.get(path, "Accept-Encoding", encoding); a.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s is compressed", path)
		}
	}
	if a := h.get("/svg", "Accept-Encoding", "gzip"); a.Header.Get("Content-Encoding") != "gzip" {
		t.Error("an image of text is not compressed")
	}
	for path, code := range map[string]int{"/full": 1001, "/panic": 1, "/nope": 404} {
		if p := h.get(path, "Accept-Encoding", "gzip").problem(t); p.Code != code {
			t.Errorf("%s: %+v", path, p)
		}
	}
	plain := start(t, options{}, serve(routes(handlers)))
	if a := plain.get("/text", "Accept-Encoding", "gzip"); a.Header.Get("Content-Encoding") != "" {
		t.Error("answers are compressed unasked")
	}
}

func TestEventStreamsAreNotHeldBackByTheCompressor(t *testing.T) {
	next := make(chan string)
	h := start(t, options{http: chassis.HTTPConfig{Compress: true}}, serve(routes(map[string]chassis.Handler{
		"GET /events": func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", "text/event-stream")
			rc := http.NewResponseController(w)
			if err := rc.Flush(); err != nil {
				return err
			}
			for event := range next {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				if err := rc.Flush(); err != nil {
					return err
				}
			}
			return nil
		},
		"GET /ticks": func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", "application/x-ndjson")
			for event := range next {
				_, _ = fmt.Fprintln(w, event)
				w.(http.Flusher).Flush()
			}
			return nil
		},
	})))
	// The header comes before the first event, and each event as it happens.
	res, err := h.client.Do(h.request("GET", "/events", nil, "Accept-Encoding", "gzip"))
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("events are encoded as %q", got)
	}
	events := bufio.NewReader(res.Body)
	for _, event := range []string{"one", "two"} {
		next <- event
		if line, err := events.ReadString('\n'); line != "data: "+event+"\n" || err != nil {
			t.Errorf("event %q, %v", line, err)
		}
		_, _ = events.ReadString('\n')
	}
	close(next)
	_ = read(res)
	next = make(chan string, 1)
	next <- "tick"
	close(next)
	a := h.get("/ticks", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	if text, err := io.ReadAll(z); string(text) != "tick\n" || err != nil {
		t.Errorf("ticks %q, %v", text, err)
	}
}

func TestOneTagStandsForAFileAndItsCompressedFormOnlyWeakly(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{Compress: true}}, serve(assets(t)))
	a := h.get("/assets/app.js", "Accept-Encoding", "gzip")
	tag := a.Header.Get("ETag")
	if a.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(tag, `W/"`) {
		t.Errorf("answer %v", a.Header)
	}
	if a := h.get("/assets/app.js", "If-None-Match", tag, "Accept-Encoding", "gzip"); a.StatusCode != 304 || a.body != "" {
		t.Errorf("revalidated: %d %q", a.StatusCode, a.body)
	}
}
