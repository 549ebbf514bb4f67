package chassis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// bodies reads whole bodies.
func bodies(w http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	_, err = fmt.Fprint(w, len(b))
	return err
}

func TestBodiesAreBounded(t *testing.T) {
	r := routes(map[string]chassis.Handler{
		"POST /": bodies,
		"POST /json": func(_ http.ResponseWriter, r *http.Request) error {
			var v any
			if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
				return failure.Malformed.Wrap(err)
			}
			return nil
		},
		"POST /store": func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return errGone.Wrap(err)
		},
	})
	r.Handle("POST /more", bodies, chassis.MaxBody(100))
	r.Handle("POST /any", bodies, chassis.MaxBody(-1))
	h := start(t, options{http: chassis.HTTPConfig{MaxBody: 10}}, serve(r))
	for _, c := range []struct {
		path   string
		size   int
		status int
		code   int
	}{
		{"/", 10, 200, 0}, {"/", 11, 413, 413}, {"/more", 100, 200, 0}, {"/more", 101, 413, 413},
		{"/any", 1 << 20, 200, 0}, {"/json", 3000, 413, 413}, {"/json", 5, 400, 400}, {"/store", 3000, 502, 1002},
	} {
		a := h.do(h.request("POST", c.path, strings.NewReader(`"`+strings.Repeat("x", c.size-1))))
		if a.StatusCode != c.status {
			t.Errorf("%s with %d bytes: %d %q", c.path, c.size, a.StatusCode, a.body)
			continue
		}
		if c.code != 0 {
			if p := a.problem(t); p.Code != c.code || c.code == 413 && p.Args["limit"] == "" {
				t.Errorf("%s with %d bytes: %+v", c.path, c.size, p)
			}
		}
		if a.Close != (c.size > 10 && c.status != 200) {
			t.Errorf("%s with %d bytes: the connection is closed: %v", c.path, c.size, a.Close)
		}
	}
}

func TestOneLargeBodyDoesNotEndAnHTTP2Connection(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{MaxBody: 10, H2C: true}}, serve(routes(map[string]chassis.Handler{"POST /": bodies})))
	transport := h.client.Transport.(*http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	var dials atomic.Int64
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	const n = 10
	for range n {
		if a := h.do(h.request("POST", "/", strings.NewReader(strings.Repeat("x", 20)))); a.StatusCode != 413 || a.ProtoMajor != 2 {
			t.Errorf("answer %s %d", a.Proto, a.StatusCode)
		}
	}
	// net/http's client opens one more when it is in two minds about whether the stream before has ended.
	if dials := dials.Load(); dials > n/2 {
		t.Errorf("%d connections for %d requests", dials, n)
	}
}

// talk sends text over a connection of its own and returns a reader of the answers.
func (h *host) talk(text string) (net.Conn, *bufio.Reader) {
	h.tb.Helper()
	transport := h.client.Transport.(*http.Transport)
	conn, err := transport.DialContext(h.tb.Context(), "pipe", "http:80")
	if err != nil {
		h.tb.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		h.tb.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func answerFrom(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	res, err := http.ReadResponse(r, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	a := read(res)
	a.Request = nil
	return a
}

func TestABodyThatArrivesTooSlowlyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{BodyTimeout: 7 * time.Second}},
			serve(routes(map[string]chassis.Handler{"POST /": bodies, "POST /wrapped": func(w http.ResponseWriter, r *http.Request) error {
				return errFull.Wrap(bodies(w, r))
			}})))
		for _, path := range []string{"/", "/wrapped"} {
			begin := time.Now()
			conn, answers := h.talk("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
			a := answerFrom(t, answers)
			if a.StatusCode != 408 || !strings.Contains(a.body, `"code":408`) || !a.Close {
				t.Errorf("%s: answer %d %s", path, a.StatusCode, a.body)
			}
			if took := time.Since(begin); took != 7*time.Second {
				t.Errorf("%s: refused after %v", path, took)
			}
			_ = conn.Close()
		}
		h.wantMetric(2, "failure_total", "code", "408", "class", "caller")
		h.stop()
	})
}

func TestTheBodysBoundEndsWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) error {
			if err := bodies(w, r); err != nil {
				return err
			}
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-r.Context().Done():
				return fmt.Errorf("after the body: %w", r.Context().Err())
			}
		}
		r := routes(map[string]chassis.Handler{"POST /": slow})
		// A stream's body may come at any pace.
		r.Handle("POST /stream", bodies, chassis.Stream())
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{BodyTimeout: 7 * time.Second, Timeout: time.Hour}}, serve(r))
		conn, answers := h.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
		if a := answerFrom(t, answers); a.StatusCode != 200 || a.body != "3" {
			t.Errorf("answer %d %s", a.StatusCode, a.body)
		}
		if _, err := io.WriteString(conn, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // virtual
		if _, err := io.WriteString(conn, "cd"); err != nil {
			t.Fatal(err)
		}
		if a := answerFrom(t, answers); a.StatusCode != 200 || a.body != "4" {
			t.Errorf("answer %d %s", a.StatusCode, a.body)
		}
		_ = conn.Close()
		h.stop()
	})
}

func TestABodyThatIsBrokenIsMalformed(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"POST /": bodies,
		"POST /closed": func(_ http.ResponseWriter, r *http.Request) error {
			_ = r.Body.Close()
			_, err := r.Body.Read(make([]byte, 1))
			if !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("reading a closed body: %v", err)
			}
			var f *failure.Error
			if errors.As(err, &f) {
				t.Errorf("a mistake of the handler's is blamed on the caller: %v", err)
			}
			return nil
		},
	})))
	conn := h.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n"); err != nil {
		t.Fatal(err)
	}
	if a := answerFrom(t, bufio.NewReader(conn)); a.StatusCode != 400 || !strings.Contains(a.body, `"code":400`) {
		t.Errorf("answer %d %s", a.StatusCode, a.body)
	}
	if a := h.do(h.request("POST", "/closed", strings.NewReader("abc"))); a.StatusCode != 200 {
		t.Errorf("answer %d", a.StatusCode)
	}
}

func TestHandlersHaveADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return fmt.Errorf("load: %w", r.Context().Err())
		}
		unbounded := func(_ http.ResponseWriter, r *http.Request) error {
			if _, ok := r.Context().Deadline(); ok {
				t.Errorf("%s has a deadline", r.URL.Path)
			}
			return nil
		}
		r := routes(map[string]chassis.Handler{"GET /": wait})
		r.Handle("GET /quick", wait, chassis.Timeout(time.Second))
		r.Handle("GET /patient", unbounded, chassis.Timeout(-1))
		r.Handle("GET /stream", unbounded, chassis.Stream())
		h := start(t, options{pipes: true}, serve(r))
		for path, want := range map[string]time.Duration{"/": 30 * time.Second, "/quick": time.Second} {
			begin := time.Now()
			if p := h.get(path).problem(t); p.Code != 504 {
				t.Errorf("%s: %+v", path, p)
			}
			if took := time.Since(begin); took != want {
				t.Errorf("%s: answered after %v", path, took)
			}
		}
		for _, path := range []string{"/patient", "/stream"} {
			if a := h.get(path); a.StatusCode != 200 {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
		}
		h.stop()
		off := start(t, options{pipes: true, http: chassis.HTTPConfig{Timeout: -1, BodyTimeout: -1, HeaderTimeout: -1, IdleTimeout: -1, MaxConns: -1}},
			serve(routes(map[string]chassis.Handler{"GET /": unbounded, "POST /": bodies})))
		off.get("/")
		if a := off.do(off.request("POST", "/", strings.NewReader("abc"))); a.body != "3" {
			t.Errorf("without bounds: %d %q", a.StatusCode, a.body)
		}
		off.stop()
	})
}

func TestAContextMadeOfARequestsEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{Timeout: 3 * time.Second}}, serve(routes(map[string]chassis.Handler{
			"GET /": func(_ http.ResponseWriter, r *http.Request) error {
				ctx := r.Context()
				if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 3*time.Second || ctx.Err() != nil || ctx.Value(key{}) != nil {
					t.Errorf("context %v", ctx)
				}
				child, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
				defer cancel()
				late, cancelLate := context.WithTimeout(child, time.Hour)
				defer cancelLate()
				var done sync.WaitGroup
				for _, ctx := range []context.Context{ctx, child, late} {
					done.Go(func() {
						<-ctx.Done()
						if !errors.Is(ctx.Err(), context.DeadlineExceeded) || chassis.Draining(ctx) == nil {
							t.Errorf("ended with %v", ctx.Err())
						}
					})
				}
				done.Wait()
				return late.Err()
			},
		})))
		begin := time.Now()
		if p := h.get("/").problem(t); p.Code != 504 || time.Since(begin) != 3*time.Second {
			t.Errorf("%+v after %v", p, time.Since(begin))
		}
		h.stop()
	})
}

func TestContextsMadeOfARequestsNeedNoGoroutines(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /": func(_ http.ResponseWriter, r *http.Request) error {
			before := runtime.NumGoroutine()
			for range 100 {
				_, cancel := context.WithCancel(r.Context())
				defer cancel()
			}
			if n := runtime.NumGoroutine() - before; n > 50 {
				t.Errorf("%d goroutines watch over 100 contexts", n)
			}
			return nil
		},
	})))
	h.get("/")
}

func TestBoundsAroundARouterHoldInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}
		inner := chassis.NewRouter()
		inner.Handle("GET /in/quick", wait, chassis.Timeout(time.Second))
		inner.Handle("GET /in/slow", wait, chassis.Timeout(time.Hour))
		inner.Handle("GET /in/stream", wait, chassis.Stream())
		inner.Handle("POST /in/large", bodies, chassis.MaxBody(1<<20))
		mounted := chassis.NewRouter()
		mounted.Mount("/in/", http.HandlerFunc(inner.ServeHTTP), chassis.Timeout(5*time.Second), chassis.MaxBody(10))
		patient := chassis.NewRouter()
		patient.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		})
		patient.Mount("/", inner, chassis.Stream(), chassis.MaxBody(10))
		adopted := http.HandlerFunc(inner.ServeHTTP)
		for name, c := range map[string]struct {
			cfg chassis.HTTPConfig
			h   http.Handler
		}{
			"mounted":               {chassis.HTTPConfig{}, mounted},
			"adopted":               {chassis.HTTPConfig{Timeout: 5 * time.Second, MaxBody: 10}, adopted},
			"with its own deadline": {chassis.HTTPConfig{}, patient},
		} {
			h := start(t, options{pipes: true, http: c.cfg}, serve(c.h))
			for path, want := range map[string]time.Duration{"quick": time.Second, "slow": 5 * time.Second, "stream": 5 * time.Second} {
				begin := time.Now()
				if p := h.get("/in/" + path).problem(t); p.Code != 504 || time.Since(begin) != want {
					t.Errorf("%s: %s: %+v after %v", name, path, p, time.Since(begin))
				}
			}
			if p := h.do(h.request("POST", "/in/large", strings.NewReader("more than ten"))).problem(t); p.Code != 413 {
				t.Errorf("%s: %+v", name, p)
			}
			h.wantMetric(1, "requests_total", "route", "GET /in/quick", "code", "504")
			h.stop()
		}
	})
}

func TestHeadersAreBoundedInSizeAndTime(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{MaxHeader: 1 << 10}}, serve(routes(map[string]chassis.Handler{"GET /": say("")})))
	if a := h.get("/", "X-Long", strings.Repeat("x", 64<<10)); a.StatusCode != 431 {
		t.Errorf("status %d", a.StatusCode)
	}
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{HeaderTimeout: 3 * time.Second, IdleTimeout: 10 * time.Second}},
			serve(routes(map[string]chassis.Handler{"GET /": say("")})))
		begin := time.Now()
		_, answers := h.talk("GET / HTTP/1.1\r\nHo")
		if _, err := io.ReadAll(answers); err != nil {
			t.Errorf("the connection ended with %v", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("a slow header was cut after %v", took)
		}
		begin = time.Now()
		_, answers = h.talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if a := answerFrom(t, answers); a.StatusCode != 200 {
			t.Errorf("answer %d", a.StatusCode)
		}
		if rest, err := io.ReadAll(answers); len(rest) != 0 || err != nil {
			t.Errorf("the connection ended with %q, %v", rest, err)
		}
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("an idle connection was cut after %v", took)
		}
		h.stop()
	})
}

func TestAListenerAcceptsNoMoreConnectionsThanConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{MaxConns: 1, IdleTimeout: time.Minute}},
			serve(routes(map[string]chassis.Handler{"GET /": say("")})))
		_, first := h.talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if a := answerFrom(t, first); a.StatusCode != 200 {
			t.Errorf("answer %d", a.StatusCode)
		}
		begin := time.Now()
		second, answers := h.talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n") // waits for the first to end
		if a := answerFrom(t, answers); a.StatusCode != 200 {
			t.Errorf("answer %d", a.StatusCode)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("the second connection was accepted after %v", took)
		}
		_ = second.Close()
		h.stop()
	})
}
