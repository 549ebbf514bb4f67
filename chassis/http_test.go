package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func fails(err error) chassis.Handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func TestFailuresAreAnsweredAsProblemDocuments(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /full":     fails(errFull.With("column", failure.Safe(3)).With("secret", "hunter2")),
		"GET /gone":     fails(fmt.Errorf("load game: %w", errGone.Wrap(errors.New("dial 10.0.0.1")))),
		"GET /miss":     fails(errMiss.New()),
		"GET /plain":    fails(errors.New("pq: password hunter2 refused")),
		"GET /panic":    func(http.ResponseWriter, *http.Request) error { panic("hunter2") },
		"GET /deadline": fails(context.DeadlineExceeded),
		"GET /who":      fails(errWho.New()),
		"GET /canceled": fails(fmt.Errorf("query: %w", context.Canceled)),
		"GET /nil": func(w http.ResponseWriter, r *http.Request) error {
			chassis.Fail(w, r, nil)
			return nil
		},
	})))
	cases := map[string]struct {
		status int
		code   int
		detail string
		class  string
		level  string
	}{
		"/full":     {409, 1001, "column is full (column=3)", "caller", "info"},
		"/gone":     {502, 1002, "the store is gone", "dependency", "error"},
		"/miss":     {404, 1003, "not cached", "not_problem", "info"},
		"/plain":    {500, 1, "internal error", "service", "error"},
		"/panic":    {500, 1, "internal error", "service", "error"},
		"/deadline": {504, 504, "deadline exceeded", "service", "error"},
		"/who":      {401, 1004, "say who you are", "caller", "info"},
		"/canceled": {500, 1, "internal error", "service", "error"},
		"/nil":      {500, 1, "internal error", "service", "error"},
		"/nowhere":  {404, 404, "no such route (path=/nowhere)", "caller", "info"},
	}
	for path, want := range cases {
		h.logs.TakeAll()
		a := h.get(path)
		p := a.problem(t)
		if a.StatusCode != want.status || p.Code != want.code || p.Detail != want.detail || p.Class.String() != want.class {
			t.Errorf("%s: %d %+v", path, a.StatusCode, p)
		}
		if strings.Contains(a.body, "hunter2") || strings.Contains(a.body, "10.0.0.1") {
			t.Errorf("%s: internals leave: %s", path, a.body)
		}
		lines := h.logged("request failed")
		if len(lines) != 1 {
			t.Fatalf("%s: logged %v", path, lines)
		}
		line := lines[0]
		if line["level"] != want.level || line["code"] != int64(want.code) || line["class"] != want.class ||
			line["error_id"] != p.ID || p.ID == "" || line["request_id"] != a.Header.Get("X-Request-Id") || line["trace_id"] == "" {
			t.Errorf("%s: logged %v for %+v", path, line, p)
		}
		if route, _ := line["route"].(string); (route == "") != (path == "/nowhere") {
			t.Errorf("%s: logged route %q", path, route)
		}
		stack, _ := line["stack"].(string)
		if strings.Contains(stack, "http_test.go") != (path == "/panic") {
			t.Errorf("%s: logged stack %q", path, stack)
		}
		challenge := ""
		if path == "/who" {
			challenge = `Bearer realm="test"`
		}
		if got := a.Header.Get("WWW-Authenticate"); got != challenge {
			t.Errorf("%s: WWW-Authenticate %q", path, got)
		}
	}
	h.wantMetric(4, "failure_total", "code", "1", "class", "service")
	h.wantMetric(1, "failure_total", "code", "1001", "class", "caller")
	h.wantMetric(0, "failure_total", "code", "431", "class", "caller")
}

func TestAHandlerNamesItsOwnChallenge(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("WWW-Authenticate", `Basic realm="files"`)
			return failure.Unauthenticated
		},
	})))
	if a := h.get("/"); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Basic realm="files"` {
		t.Errorf("answer %d %v", a.StatusCode, a.Header)
	}
}

func TestRequestsThatMatchNothingAreProblems(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /games/{id}": say("game"), "PUT /games/{id}": say("put"), "GET /dir/": say("dir"),
	})))
	a := h.do(h.request("DELETE", "/games/7", nil))
	if p := a.problem(t); p.Code != 405 || a.Header.Get("Allow") != "GET, HEAD, PUT" || p.Args["method"] != "DELETE" || p.Args["allowed"] != "GET, HEAD, PUT" {
		t.Errorf("405: %v %s", a.Header, a.body)
	}
	if a := h.do(h.request("HEAD", "/nowhere", nil)); a.StatusCode != 404 || a.body != "" || a.Header.Get("Content-Type") != failure.ContentType {
		t.Errorf("HEAD: %d %q", a.StatusCode, a.body)
	}
	if a := h.get("/dir"); a.StatusCode != 307 && a.StatusCode != 301 || a.Header.Get("Location") != "/dir/" {
		t.Errorf("a redirect of the mux: %d %v", a.StatusCode, a.Header)
	}
	if a := h.raw("GET * HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(a, "HTTP/1.1 400 ") || !strings.Contains(a, failure.ContentType) {
		t.Errorf("GET *: %s", a)
	}
	h.wantMetric(1, "requests_total", "route", "(unmatched)", "method", "DELETE", "code", "405")
	h.wantMetric(1, "requests_total", "route", "(unmatched)", "method", "GET", "code", "400")
}

// raw sends bytes and reads until the server closes or answers with an end.
func (h *host) raw(text string) string {
	h.tb.Helper()
	conn := h.dial()
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		h.tb.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		h.tb.Errorf("read the answer: %v", err)
	}
	return string(answer)
}

func (h *host) dial() net.Conn {
	h.tb.Helper()
	conn, err := net.Dial(h.Addr("http").Network(), h.Addr("http").String())
	if err != nil {
		h.tb.Fatal(err)
	}
	return conn
}

func TestAnErrorAfterHalfAnAnswerCutsTheConnection(t *testing.T) {
	for name, cfg := range map[string]chassis.HTTPConfig{"plain": {}, "compressed": {Compress: true}} {
		t.Run(name, func(t *testing.T) {
			partial := func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, "the first half ")
			}
			h := start(t, options{http: cfg}, serve(routes(map[string]chassis.Handler{
				"GET /error": func(w http.ResponseWriter, _ *http.Request) error {
					partial(w)
					return errFull.New()
				},
				"GET /panic": func(w http.ResponseWriter, _ *http.Request) error {
					partial(w)
					panic("half way")
				},
				"GET /abort": func(w http.ResponseWriter, _ *http.Request) error { panic(http.ErrAbortHandler) },
			})))
			for _, path := range []string{"/error", "/panic", "/abort"} {
				res, err := h.client.Do(h.request("GET", path, nil))
				if err == nil {
					if a := read(res); a.err == nil {
						t.Errorf("%s: a whole answer: %q", path, a.body)
					}
				}
			}
			h.wantMetric(1, "failure_total", "code", "1001")
			h.wantMetric(1, "failure_total", "code", "1")
			h.wantMetric(1, "requests_total", "route", "GET /error", "code", "200")
			h.wantMetric(1, "requests_total", "route", "GET /abort", "code", "(other)")
			h.wantMetric(0, "requests_in_flight", "listener", "http")
			h.stop()
			for _, rec := range h.lines() {
				if want := map[string]int{"/error": 200, "/panic": 200, "/abort": 0}[rec.URI]; rec.Status != want {
					t.Errorf("%s: logged status %d, want %d", rec.URI, rec.Status, want)
				}
			}
		})
	}
}

func TestEveryRequestHasAnIDAndATrace(t *testing.T) {
	var info request.Info
	handler := routes(map[string]chassis.Handler{"GET /{x}": func(_ http.ResponseWriter, r *http.Request) error {
		info = *request.From(r.Context())
		return nil
	}})
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	h := start(t, options{}, serve(handler))
	a := h.get("/1", "X-Request-Id", "theirs")
	if id := a.Header.Get("X-Request-Id"); !uuid.MatchString(id) || info.ID != id || info.Trace.IsZero() || info.Listener != "http" || info.Route != "GET /{x}" {
		t.Errorf("id %q, info %+v", id, info)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	a = h.get("/1", "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if got := info.Trace.Header(); !strings.HasPrefix(got, "00-"+trace+"-") || !strings.HasSuffix(got, "-01") || strings.Contains(got, "00f067aa0ba902b7") {
		t.Errorf("trace %s", got)
	}
	if a.Header.Get("Traceparent") != "" {
		t.Error("the trace is sent back")
	}
	trusting := start(t, options{http: chassis.HTTPConfig{TrustRequestID: true}}, serve(handler))
	for given, kept := range map[string]bool{"order-17": true, "": false, "a b": false, strings.Repeat("x", 65): false} {
		id := trusting.get("/1", "X-Request-Id", given).Header.Get("X-Request-Id")
		if kept && id != given || !kept && !uuid.MatchString(id) {
			t.Errorf("id %q of the caller's became %q", given, id)
		}
	}
}

func TestEachRequestIsOneAccessLineAndOneObservation(t *testing.T) {
	times := clock.NewVirtual(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	h := start(t, options{world: func(w *chassis.World) { w.Clock = times }}, serve(routes(map[string]chassis.Handler{
		"GET /hello": say("hello"),
		"GET /empty": func(http.ResponseWriter, *http.Request) error { return nil },
		"GET /full":  fails(errFull.New()),
		"GET /slow": func(http.ResponseWriter, *http.Request) error {
			times.Advance(3 * time.Second)
			return nil
		},
	})))
	requests := []*http.Request{
		h.request("GET", "/hello?x=1", nil, "Referer", "http://from/", "User-Agent", "tests", "Authorization", "Basic YWRhOnB3"),
		h.request("HEAD", "/hello", nil),
		h.request("GET", "/empty", nil),
		h.request("GET", "/full", nil),
		h.request("GET", "/nope", nil),
		h.request("GET", "/slow", nil),
	}
	for _, req := range requests {
		h.do(req)
	}
	h.stop()
	lines := h.lines()
	if len(lines) != len(requests) {
		t.Fatalf("%d lines for %d requests:\n%s", len(lines), len(requests), h.access)
	}
	first := lines[0]
	if first.Client.String() != "127.0.0.1" || first.User != "ada" || first.Method != "GET" || first.URI != "/hello?x=1" || first.Proto != "HTTP/1.1" ||
		first.Status != 200 || first.Bytes != 5 || headerOf(first, "Referer") != "http://from/" || headerOf(first, "User-Agent") != "tests" || !first.Start.Equal(times.Now().Add(-3*time.Second)) {
		t.Errorf("line %+v", first)
	}
	for i, status := range []int{200, 200, 200, 409, 404, 200} {
		if lines[i].Status != status {
			t.Errorf("line %d has status %d, want %d", i, lines[i].Status, status)
		}
	}
	if lines[1].Bytes != 0 {
		t.Errorf("HEAD sent %d bytes", lines[1].Bytes)
	}
	h.wantMetric(1, "requests_total", "listener", "http", "route", "GET /hello", "method", "GET", "code", "200")
	h.wantMetric(1, "requests_total", "route", "GET /hello", "method", "HEAD", "code", "200")
	h.wantMetric(1, "requests_total", "route", "GET /full", "code", "409")
	h.wantMetric(1, "requests_total", "route", "(unmatched)", "code", "404")
	h.wantMetric(5, "response_bytes_total", "route", "GET /hello")
	h.wantMetric(0, "requests_in_flight", "listener", "http")
	h.wantMetric(6, "access_log_lines_total")
	for _, r := range h.s.Metrics().Snapshot() {
		if r.Route == "GET /slow" && r.Mean != 3*time.Second {
			t.Errorf("GET /slow took %v", r.Mean)
		}
	}
}

func TestRoutesAreCountedFromZeroOn(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		r := routes(map[string]chassis.Handler{"POST /games": say(""), "/any": say("")})
		if err := s.HTTP("http", c.HTTP, r); err != nil {
			return err
		}
		r.Handle("DELETE /late", say("")) // after the listener was opened, but not yet served
		return nil
	})
	h.wantMetric(0, "request_duration_seconds", "route", "POST /games", "method", "POST")
	h.wantMetric(0, "request_duration_seconds", "route", "/any", "method", "GET")
	h.wantMetric(0, "request_duration_seconds", "route", "DELETE /late", "method", "DELETE")
	h.wantMetric(0, "response_bytes_total", "route", "POST /games")
}

func TestACallerWhoLeftIsNoFailureOfTheService(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context) error{
		"its context's error":   func(ctx context.Context) error { return ctx.Err() },
		"a code that wraps it":  func(ctx context.Context) error { return errGone.Wrap(ctx.Err()) },
		"a queue's rejection":   func(ctx context.Context) error { return rejection(ctx) },
		"reading the body":      nil,
		"the body as malformed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			entered := make(chan struct{})
			h := start(t, options{}, serve(routes(map[string]chassis.Handler{
				"POST /": func(_ http.ResponseWriter, r *http.Request) error {
					close(entered)
					if fail == nil {
						_, err := io.ReadAll(r.Body)
						if name == "the body as malformed" {
							return errFull.Wrap(err)
						}
						return err
					}
					<-r.Context().Done()
					return fail(r.Context())
				},
			})))
			length := 0
			if fail == nil {
				length = 10
			}
			conn := h.dial()
			if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length); err != nil {
				t.Fatal(err)
			}
			receive(t, entered, "the request")
			_ = conn.Close()
			h.stop()
			h.wantMetric(1, "failure_total", "code", "499", "class", "not_problem")
			h.wantMetric(1, "requests_total", "code", "499")
			for _, line := range h.logged("request failed") {
				if line["level"] != "debug" {
					t.Errorf("logged %v", line)
				}
			}
		})
	}
}

func TestAPanicIsAFailureEvenIfTheCallerLeft(t *testing.T) {
	entered := make(chan struct{})
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /": func(_ http.ResponseWriter, r *http.Request) error {
			close(entered)
			<-r.Context().Done()
			panic(r.Context().Err())
		},
	})))
	conn := h.dial()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	receive(t, entered, "the request")
	_ = conn.Close()
	h.stop()
	h.wantMetric(1, "failure_total", "code", "1")
}

// rejection is what a queue says to whoever comes with an ended context.
func rejection(ctx context.Context) error {
	q, err := queue.New("bots", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	if err != nil {
		return err
	}
	return errors.Join(q.Do(ctx, queue.Meta{}, func(context.Context) error { return nil }), q.Close(context.Background()))
}

func TestQueuesRejectionsHaveCodes(t *testing.T) {
	reject := func(why queue.Reason, after time.Duration) error {
		return fmt.Errorf("think: %w", &queue.Rejected{Queue: "bots", Reason: why, RetryAfter: after})
	}
	work := func(f func(context.Context) error) chassis.Handler {
		return func(_ http.ResponseWriter, r *http.Request) error {
			q, err := queue.New("bots", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
			if err != nil {
				return err
			}
			defer q.Close(context.Background())
			return q.Do(r.Context(), queue.Meta{}, f)
		}
	}
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /full":      fails(reject(queue.Full, 2500*time.Millisecond)),
		"GET /deadline":  fails(reject(queue.Deadline, 0)),
		"GET /wait":      fails(reject(queue.MaxWait, time.Second)),
		"GET /shed":      fails(reject(queue.Shed, 1500*time.Millisecond)),
		"GET /quota":     fails(reject(queue.TenantQuota, 3*time.Second)),
		"GET /draining":  fails(reject(queue.Draining, 0)),
		"GET /expired":   fails(reject(queue.Expired, 0)),
		"GET /cancelled": fails(reject(queue.Cancelled, 0)),
		"GET /own":       fails(errGone.Wrap(reject(queue.Full, time.Second))),
		"GET /error":     work(func(context.Context) error { return errFull.New() }),
		"GET /panic":     work(func(context.Context) error { panic(errFull.New()) }),
		"GET /coded": func(w http.ResponseWriter, r *http.Request) error {
			return errGone.Wrap(work(func(context.Context) error { panic("x") })(w, r))
		},
	})))
	for path, want := range map[string]struct {
		code       int
		retryAfter string
	}{
		"/full": {503, "3 to 5"}, "/deadline": {503, "1"}, "/wait": {503, "1 to 2"}, "/shed": {503, "2 to 3"}, "/quota": {429, "3 to 6"}, "/draining": {2, "1"}, "/expired": {504, ""},
		"/cancelled": {503, "1"}, "/own": {1002, ""}, "/error": {1001, ""}, "/panic": {1, ""}, "/coded": {1002, ""},
	} {
		h.logs.TakeAll()
		a := h.get(path)
		if p := a.problem(t); p.Code != want.code || !within(a.Header.Get("Retry-After"), want.retryAfter) {
			t.Errorf("%s: code %d, Retry-After %q", path, p.Code, a.Header.Get("Retry-After"))
		}
		if a.Close != (path == "/draining") {
			t.Errorf("%s: the connection is closed: %v", path, a.Close)
		}
		if lines := h.logged("request failed"); len(lines) != 1 || path == "/panic" && lines[0]["stack"] == nil {
			t.Errorf("%s: logged %v", path, lines)
		}
	}
}

func TestAdoptedHandlersAreServedAsTheyAre(t *testing.T) {
	var asked []*chassis.Call
	intercept := func(_ context.Context, c *chassis.Call) error {
		asked = append(asked, c)
		if c.Method == "PUT" {
			return errFull
		}
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices/{fruit}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.PathValue("fruit"), " ", request.ID(r.Context()) != "")
	})
	mux.HandleFunc("GET /boom", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("GET /fail", func(w http.ResponseWriter, r *http.Request) { chassis.Fail(w, r, errFull.New()) })
	h := start(t, options{world: func(w *chassis.World) { w.Intercept = intercept }}, serve(mux))
	if a := h.get("/prices/apple"); a.body != "apple true" {
		t.Errorf("answer %d %q", a.StatusCode, a.body)
	}
	if p := h.get("/boom").problem(t); p.Code != 1 {
		t.Errorf("a panic: %+v", p)
	}
	if p := h.get("/fail").problem(t); p.Code != 1001 || p.ID == "" {
		t.Errorf("chassis.Fail: %+v", p)
	}
	if p := h.do(h.request("PUT", "/prices/apple", nil)).problem(t); p.Code != 1001 {
		t.Errorf("an injected failure: %+v", p)
	}
	if a := h.get("/nope"); a.StatusCode != 404 || a.body != "404 page not found\n" {
		t.Errorf("the mux's own 404: %d %q", a.StatusCode, a.body)
	}
	if c := asked[0]; c.Listener != "http" || c.Method != "GET" || c.Route != "/" || c.Stream || !c.Peer.Addr().IsLoopback() || c.Header("User-Agent") == "" || len(asked) != 5 {
		t.Errorf("asked about %+v and %d more", c, len(asked)-1)
	}
	h.wantMetric(1, "requests_total", "route", "GET /prices/{fruit}", "code", "200")
	h.wantMetric(1, "requests_total", "route", "/", "method", "PUT", "code", "409")
	h.wantMetric(1, "requests_total", "route", "/", "method", "GET", "code", "404")
	d, err := h.s.Description()
	if err != nil || len(d.Listeners) != 1 || d.Listeners[0].Routes[0] != "/" {
		t.Errorf("described %v, %v", d.Listeners, err)
	}
}

func TestTheWorldHearsHowHandlersEndAndAnswersInTheirPlace(t *testing.T) {
	heard := make(chan error, 8)
	answer := func(err error) error { return err }
	intercept := func(_ context.Context, c *chassis.Call) error {
		c.After = func(err error) error { heard <- err; return answer(err) }
		return nil
	}
	r := routes(map[string]chassis.Handler{
		"GET /ok": say("ok"), "GET /full": fails(errFull.New()),
		"GET /fail":   func(w http.ResponseWriter, r *http.Request) error { chassis.Fail(w, r, errGone.New()); return nil },
		"GET /boom":   func(http.ResponseWriter, *http.Request) error { panic("boom") },
		"GET /silent": func(http.ResponseWriter, *http.Request) error { return nil },
	})
	h := start(t, options{world: func(w *chassis.World) { w.Intercept = intercept }}, serve(r))
	if a := h.get("/ok"); a.body != "ok" || <-heard != nil {
		t.Errorf("a handler that succeeds: %q", a.body)
	}
	if p := h.get("/full").problem(t); p.Code != 1001 || !errors.Is(<-heard, errFull) {
		t.Errorf("a handler that fails: %+v", p)
	}
	if p := h.get("/fail").problem(t); p.Code != errGone.Number() || !errors.Is(<-heard, errGone) {
		t.Errorf("a handler that has answered its failure: %+v", p)
	}
	if p := h.get("/boom").problem(t); p.Code != 1 || <-heard == nil {
		t.Errorf("a handler that panics: %+v", p)
	}
	answer = func(error) error { return errGone.New() }
	if p := h.get("/silent").problem(t); p.Code != errGone.Number() || <-heard != nil {
		t.Errorf("an answer in the handler's place: %+v", p)
	}
}

func TestAHandlerIsTestedWithoutTheChassis(t *testing.T) {
	r := routes(map[string]chassis.Handler{
		"GET /ok": say("ok"), "GET /full": fails(errFull.New()),
		"GET /fail": func(w http.ResponseWriter, r *http.Request) error { chassis.Fail(w, r, errGone.New()); return nil },
	})
	for path, want := range map[string]int{"/ok": 200, "/full": 409, "/fail": 502, "/nope": 404} {
		w := record(r, path)
		if w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestTLSIsSpokenWithHTTP2(t *testing.T) {
	pair := certificate(t)
	h := start(t, options{http: chassis.HTTPConfig{TLS: pair.config}}, serve(routes(map[string]chassis.Handler{
		"GET /": func(w http.ResponseWriter, r *http.Request) error { return say(r.Proto)(w, r) },
	})))
	transport := h.client.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.ForceAttemptHTTP2 = pair.client(), true
	req := h.request("GET", "/", nil)
	req.URL.Scheme = "https"
	a := h.do(req)
	if a.body != "HTTP/2.0" || a.TLS.Version < 0x0303 {
		t.Errorf("answer %q over %x", a.body, a.TLS.Version)
	}
	if d, err := h.s.Description(); err != nil || d.Listeners[0].Protocol != "https" {
		t.Errorf("described as %v, %v", d.Listeners, err)
	}
	// A handshake that fails is noted at debug level, and no more.
	if text := h.raw("GET / HTTP/1.0\r\n\r\n"); !strings.Contains(text, "400 Bad Request") {
		t.Errorf("plain text on TLS: %q", text)
	}
	h.stop()
	found := false
	for _, e := range h.logs.All() {
		found = found || e.LoggerName == "test.http" && strings.Contains(e.Message, "TLS handshake error")
	}
	if !found {
		t.Error("the failed handshake is not in the log")
	}
	if lines := h.lines(); len(lines) != 2 || lines[0].Proto != "HTTP/2.0" || lines[1].Status != 400 {
		t.Errorf("lines %+v", lines)
	}
}

func TestACertificateThatCannotBeReadIsNamed(t *testing.T) {
	for want, cfg := range map[string]chassis.TLSConfig{
		`test: listener "http": certificate /no/cert with key /no/key: open /no/cert: no such file or directory`: {Cert: "/no/cert", Key: "/no/key"},
	} {
		_, err := try(t, options{http: chassis.HTTPConfig{TLS: cfg}}, serve(routes(nil)))
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	_, err := try(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		c.HTTP.TLS.Key = "key.pem"
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	if err == nil || !strings.Contains(err.Error(), `listener "http": cert: tls.key is set`) {
		t.Errorf("half a key pair: %v", err)
	}
}

func TestUnixSocketsHaveClientsWithoutAddress(t *testing.T) {
	path := t.TempDir() + "/s"
	h := start(t, options{http: chassis.HTTPConfig{Addr: "unix:" + path}}, serve(routes(map[string]chassis.Handler{"GET /": say("hi")})))
	h.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	if a := h.get("/"); a.body != "hi" {
		t.Errorf("answer %q", a.body)
	}
	h.stop()
	if lines := h.lines(); len(lines) != 1 || lines[0].Client.IsValid() {
		t.Errorf("lines %+v", lines)
	}
}

// within says whether got is want, which may be "least to most": times to come again are spread.
func within(got, want string) bool {
	var least, most int
	if n, _ := fmt.Sscanf(want, "%d to %d", &least, &most); n < 2 {
		return got == want
	}
	seconds, err := strconv.Atoi(got)
	return err == nil && least <= seconds && seconds <= most
}
