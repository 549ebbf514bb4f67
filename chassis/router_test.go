package chassis_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func record(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestARouterKnowsItsRoutesInOrder(t *testing.T) {
	r := chassis.NewRouter()
	r.Handle("GET /b", say(""))
	r.Mount("/a/", http.NotFoundHandler())
	got := r.Routes()
	if want := []string{"GET /b", "/a/"}; !slices.Equal(got, want) {
		t.Errorf("routes %q, want %q", got, want)
	}
	got[0] = "changed"
	if r.Routes()[0] != "GET /b" {
		t.Error("the list is the router's own")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a pattern in conflict is taken")
			}
		}()
		r.Handle("GET /b", say(""))
	}()
	if len(r.Routes()) != 2 {
		t.Errorf("a refused pattern is listed: %q", r.Routes())
	}
}

func TestMountedHandlersGetTheirPathAndBounds(t *testing.T) {
	r := chassis.NewRouter()
	r.Mount("/files/", http.StripPrefix("/files", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, hasDeadline := r.Context().Deadline()
		_, _ = io.WriteString(w, r.URL.Path)
		if !hasDeadline {
			t.Error("no deadline")
		}
	})))
	h := start(t, options{}, serve(r))
	if a := h.get("/files/x/y"); a.body != "/x/y" {
		t.Errorf("answer %q", a.body)
	}
	h.wantMetric(1, "requests_total", "route", "/files/", "code", "200")
}

func TestARouterInARouterAnswersWithItsOwnRoutes(t *testing.T) {
	inner := routes(map[string]chassis.Handler{"GET /v1/x": say("x"), "GET /v1/full": fails(errFull.New())})
	r := chassis.NewRouter()
	r.Mount("/v1/", inner)
	h := start(t, options{}, serve(r))
	if a := h.get("/v1/x"); a.body != "x" {
		t.Errorf("answer %q", a.body)
	}
	if p := h.get("/v1/full").problem(t); p.Code != 1001 {
		t.Errorf("problem %+v", p)
	}
	if p := h.get("/v1/nope").problem(t); p.Code != 404 {
		t.Errorf("problem %+v", p)
	}
	h.wantMetric(1, "requests_total", "route", "GET /v1/x")
	h.wantMetric(1, "requests_total", "route", "/v1/", "code", "404")
}

func TestWhatARouterInARouterSaysInVainIsRefusedAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		inner func(*chassis.Router, *queue.Queue)
		opts  []chassis.RouteOption // of the route around it
		want  string                // part of the error, "" for none
	}{
		"a tenant": {func(r *chassis.Router, _ *queue.Queue) { r.Tenant(func(*http.Request) string { return "" }) }, nil,
			`the router mounted at "/in/" has a Tenant that nobody would ask`},
		"a tenant in a stream": {func(r *chassis.Router, _ *queue.Queue) { r.Tenant(func(*http.Request) string { return "" }) }, []chassis.RouteOption{chassis.Stream()},
			`has a Tenant that nobody would ask`},
		"a class": {func(r *chassis.Router, _ *queue.Queue) {
			r.Handle("GET /in/x", say("x"), chassis.Class(queue.Sheddable))
		}, nil,
			`route "GET /in/x" has a Class, and is admitted already as "/in/"`},
		"a class in a queue of its own": {func(r *chassis.Router, q *queue.Queue) {
			r.Handle("GET /in/x", say("x"), chassis.Class(queue.Sheddable), chassis.Admit(q))
		}, nil, ""},
		"a class in a stream": {func(r *chassis.Router, _ *queue.Queue) {
			r.Handle("GET /in/x", say("x"), chassis.Class(queue.Sheddable))
		}, []chassis.RouteOption{chassis.Stream()}, ""},
		"a stream": {func(r *chassis.Router, _ *queue.Queue) { r.Handle("GET /in/events", say("x"), chassis.Stream()) }, nil,
			`route "GET /in/events" is a Stream inside of "/in/", which is none`},
		"a stream in a stream": {func(r *chassis.Router, _ *queue.Queue) { r.Handle("GET /in/events", say("x"), chassis.Stream()) }, []chassis.RouteOption{chassis.Stream()}, ""},
		"further inside": {func(r *chassis.Router, _ *queue.Queue) {
			innermost := chassis.NewRouter()
			innermost.Handle("GET /in/most/events", say("x"), chassis.Stream())
			r.Mount("/in/most/", innermost)
		}, []chassis.RouteOption{chassis.Stream()}, `route "GET /in/most/events" is a Stream inside of "/in/most/"`},
		"nothing of these": {func(r *chassis.Router, _ *queue.Queue) { r.Handle("GET /in/x", say("x"), chassis.Timeout(time.Second)) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := try(t, options{}, func(_ context.Context, s *chassis.Service, cfg conf) error {
				inner, outer := chassis.NewRouter(), chassis.NewRouter()
				c.inner(inner, s.Queue("store", queue.Limits{Workers: 1, Capacity: 1}))
				outer.Mount("/in/", inner, c.opts...)
				return s.HTTP("http", cfg.HTTP, outer)
			})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				h.stop()
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `listener "http"`) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// What such an error says to do: routes in a router that is mounted as a stream are like any others.
func TestARouterMountedAsAStreamLeavesAdmissionToItsRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := chassis.NewRouter()
		inner.Handle("GET /in/job", sleeps(time.Second))
		inner.Handle("GET /in/batch", sleeps(time.Second), chassis.Class(queue.Sheddable))
		inner.Handle("GET /in/events", sleeps(time.Hour), chassis.Stream())
		inner.Handle("POST /in/upload", func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		})
		outer := chassis.NewRouter()
		outer.Mount("/in/", inner, chassis.Stream())
		h := start(t, options{pipes: true, http: narrow()}, serve(outer))
		events := h.ask("/in/events")
		first := h.ask("/in/job")
		synctest.Wait()
		batch := h.ask("/in/batch")
		synctest.Wait()
		second := h.ask("/in/job")
		if shed := <-batch; shed.problem(t).Code != 503 || shed.took != 0 {
			t.Errorf("what matters less: %d after %v", shed.StatusCode, shed.took)
		}
		if a, b := <-first, <-second; a.took != time.Second || b.took != 2*time.Second {
			t.Errorf("answered after %v and %v", a.took, b.took)
		}
		begin := time.Now()
		slow, answers := h.talk("POST /in/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
		defer slow.Close()
		if a, took := answerFrom(t, answers), time.Since(begin); a.StatusCode != 408 || took < 30*time.Second || took > 31*time.Second {
			t.Errorf("a body that does not come: %d after %v", a.StatusCode, took)
		}
		if a := <-events; a.StatusCode != 200 || a.took != time.Hour {
			t.Errorf("events: %d after %v", a.StatusCode, a.took)
		}
	})
}

func TestMiddlewareStandsAroundEverythingInOrder(t *testing.T) {
	var order []string
	step := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name, request.From(r.Context()).Route)
				next.ServeHTTP(w, r)
				order = append(order, name+"'", request.From(r.Context()).Route)
			})
		}
	}
	stream := chassis.NewRouter()
	stream.Use(step("a"), step("b"))
	stream.Use(step("c"))
	stream.Handle("GET /", func(_ http.ResponseWriter, r *http.Request) error {
		if _, ok := r.Context().Deadline(); ok {
			t.Error("a stream behind middleware has a deadline")
		}
		return nil
	}, chassis.Stream())
	h := start(t, options{}, serve(stream))
	h.get("/")
	if want := []string{"a", "", "b", "", "c", "", "c'", "GET /", "b'", "GET /", "a'", "GET /"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
	order = nil
	if p := h.do(h.request("PUT", "/", nil)).problem(t); p.Code != 405 || len(order) != 12 {
		t.Errorf("a refusal: %+v past %q", p, order)
	}
}

func TestTheWorldAnswersInTheHandlersPlace(t *testing.T) {
	type asked struct{ listener, method, route string }
	var calls []asked
	h := start(t, options{world: func(w *chassis.World) {
		w.Intercept = func(ctx context.Context, c *chassis.Call) error {
			calls = append(calls, asked{c.Listener, c.Method, c.Route})
			if _, ok := ctx.Deadline(); !ok || request.ID(ctx) == "" {
				t.Error("the world is asked without the request's context")
			}
			if c.Route == "GET /break/{x}" {
				return errGone.New().After(1)
			}
			return nil
		}
	}}, serve(routes(map[string]chassis.Handler{"GET /break/{x}": say("never"), "GET /fine": say("fine")})))
	if p := h.get("/break/1").problem(t); p.Code != 1002 || !p.Retryable {
		t.Errorf("problem %+v", p)
	}
	if a := h.get("/fine"); a.body != "fine" {
		t.Errorf("answer %q", a.body)
	}
	h.get("/nowhere")
	if want := []asked{{"http", "GET", "GET /break/{x}"}, {"http", "GET", "GET /fine"}}; !slices.Equal(calls, want) {
		t.Errorf("asked about %v, want %v", calls, want)
	}
	h.wantMetric(1, "failure_total", "code", "1002")
}

func TestFailuresHavePagesForPeople(t *testing.T) {
	r := routes(map[string]chassis.Handler{
		"GET /full": fails(errFull.New()), "GET /gone": fails(errGone.New()),
		"GET /panic": func(http.ResponseWriter, *http.Request) error { panic("no") },
	})
	r.FailurePage(func(w http.ResponseWriter, r *http.Request, p failure.Problem) bool {
		switch {
		case r.URL.Path == "/panic":
			panic("the page is broken too")
		case r.URL.Path == "/half":
			w.WriteHeader(p.Status)
			panic("half a page")
		case p.Code == 1002:
			return false
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(p.Status)
		_, _ = io.WriteString(w, "<h1>"+p.Title+"</h1>"+p.ID)
		return true
	})
	h := start(t, options{}, serve(r))
	a := h.get("/full")
	if a.StatusCode != 409 || !strings.HasPrefix(a.body, "<h1>column is full</h1>") || len(a.body) < 30 {
		t.Errorf("answer %d %q", a.StatusCode, a.body)
	}
	if a := h.get("/nope"); a.StatusCode != 404 || !strings.HasPrefix(a.body, "<h1>no such route</h1>") {
		t.Errorf("answer %d %q", a.StatusCode, a.body)
	}
	if p := h.get("/gone").problem(t); p.Code != 1002 {
		t.Errorf("problem %+v", p)
	}
	if p := h.get("/panic").problem(t); p.Code != 1 {
		t.Errorf("problem %+v", p)
	}
	if text := h.raw("GET /half HTTP/1.1\r\nHost: x\r\n\r\n"); text != "" {
		t.Errorf("half a page is an answer: %q", text)
	}
	h.wantMetric(1, "failure_total", "code", "1001")
	h.wantMetric(3, "failure_total", "code", "1")
}

func TestPagesOfOtherOriginsMayCallWhereTheyAreListed(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{CORSOrigins: []string{"https://example.com", "https://*.example.org"}}},
		serve(routes(map[string]chassis.Handler{"PUT /x": say("ok"), "GET /full": fails(errFull.New())})))
	for origin, allowed := range map[string]bool{"https://example.com": true, "https://a.example.org": true, "https://evil.test": false} {
		want := ""
		if allowed {
			want = origin
		}
		a := h.do(h.request("OPTIONS", "/x", nil, "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-token"))
		if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("preflight from %s: %d %v", origin, a.StatusCode, a.Header)
		}
		if allowed && (a.Header.Get("Access-Control-Allow-Methods") != "PUT" || a.Header.Get("Access-Control-Allow-Headers") != "x-token") {
			t.Errorf("preflight from %s: %v", origin, a.Header)
		}
		if a := h.get("/full", "Origin", origin); a.Header.Get("Access-Control-Allow-Origin") != want ||
			allowed && a.Header.Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("a failure for %s: %v", origin, a.Header)
		}
	}
	plain := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("")})))
	if a := plain.get("/", "Origin", "https://example.com"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("other origins may call unasked")
	}
}

var site = fstest.MapFS{
	"app.js":         {Data: []byte(strings.Repeat("console.log(1);", 200))},
	"index.html":     {Data: []byte("<p>hi")},
	"img/logo.svg":   {Data: []byte("<svg/>")},
	".env":           {Data: []byte("SECRET")},
	".git/config":    {Data: []byte("SECRET")},
	"img/.hidden":    {Data: []byte("SECRET")},
	"link":           {Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink},
	"dir/sub/x.html": {Data: []byte("x")},
}

func assets(t *testing.T) *chassis.Router {
	t.Helper()
	h, err := chassis.Static(site)
	if err != nil {
		t.Fatal(err)
	}
	r := chassis.NewRouter()
	r.Handle("GET /assets/{path...}", h)
	return r
}

func TestStaticFilesAreServedWithTags(t *testing.T) {
	h := start(t, options{}, serve(assets(t)))
	a := h.get("/assets/app.js")
	tag := a.Header.Get("ETag")
	if a.StatusCode != 200 || len(a.body) != 3000 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/javascript") ||
		!strings.HasPrefix(tag, `"`) || a.Header.Get("Cache-Control") != "public, max-age=0, must-revalidate" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answer %d %v", a.StatusCode, a.Header)
	}
	if a := h.get("/assets/app.js", "If-None-Match", tag); a.StatusCode != 304 || a.body != "" {
		t.Errorf("revalidated: %d", a.StatusCode)
	}
	if a := h.get("/assets/app.js", "If-None-Match", `"other"`); a.StatusCode != 200 {
		t.Errorf("another tag: %d", a.StatusCode)
	}
	if a := h.get("/assets/app.js", "Range", "bytes=0-6"); a.StatusCode != 206 || a.body != "console" {
		t.Errorf("a range: %d %q", a.StatusCode, a.body)
	}
	if a := h.get("/assets/index.html"); a.body != "<p>hi" {
		t.Errorf("index.html: %d %q", a.StatusCode, a.body)
	}
	if a := h.get("/assets/img/logo.svg"); a.Header.Get("ETag") == tag || a.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("another file: %v", a.Header)
	}
	for _, path := range []string{"", "img", "img/", ".env", ".git/config", "img/.hidden", "link", "nope", "..%2f..%2fetc/passwd", "dir/sub"} {
		if a := h.get("/assets/" + path); a.StatusCode != 404 || strings.Contains(a.body, "SECRET") {
			t.Errorf("%q: %d %q", path, a.StatusCode, a.body)
		}
	}
	if record(assets(t), "/assets/app.js").Code != 200 {
		t.Error("files are not served without the chassis")
	}
}

func TestStaticFilesThatCannotBeReadAreAnError(t *testing.T) {
	for name, fsys := range map[string]fs.FS{
		"the root": brokenFS{fstest.MapFS{}, "."}, "a file": brokenFS{site, "app.js"},
	} {
		if _, err := chassis.Static(fsys); err == nil || !strings.HasPrefix(err.Error(), "static files: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// brokenFS cannot open one of its files.
type brokenFS struct {
	fs.FS
	broken string
}

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == b.broken {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("disk on fire")}
	}
	return b.FS.Open(name)
}
