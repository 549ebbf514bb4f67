package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestHealthIsTold(t *testing.T) {
	var broken atomic.Bool
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		s.Check("database", func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a check has no deadline")
			}
			if broken.Load() {
				return errors.New("no route to 10.0.0.1")
			}
			return nil
		})
		s.Check("cache", func(context.Context) error {
			if broken.Load() {
				panic("nil cache")
			}
			return nil
		})
		return nil
	})
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		if a := h.admin(path); a.StatusCode != 200 || a.body != "ok\n" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
	}
	if err := h.s.ReadyError(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	type verbose struct {
		Status string
		Checks []struct {
			Name, Error string
			OK          bool
		}
	}
	v := parse[verbose](t, h.admin("/readyz?verbose").body)
	if v.Status != "ok" || len(v.Checks) != 3 || v.Checks[0].Name != "state" || v.Checks[1].Name != "database" || !v.Checks[2].OK {
		t.Errorf("verbose: %+v", v)
	}
	if v := parse[verbose](t, h.admin("/livez?verbose").body); v.Status != "ok" || v.Checks == nil {
		t.Errorf("verbose: %+v", v)
	}
	broken.Store(true)
	if a := h.admin("/readyz"); a.StatusCode != 503 || a.body != "not ok\ndatabase: no route to 10.0.0.1\ncache: panic: nil cache\n" {
		t.Errorf("broken: %d %q", a.StatusCode, a.body)
	}
	a := h.admin("/readyz?verbose")
	v = parse[verbose](t, a.body)
	if a.StatusCode != 503 || v.Status != "not ok" || v.Checks[0].OK != true || v.Checks[1].Error != "no route to 10.0.0.1" {
		t.Errorf("verbose: %d %+v", a.StatusCode, v)
	}
	if a := h.admin("/livez"); a.StatusCode != 200 {
		t.Errorf("liveness depends on checks: %d", a.StatusCode)
	}
	if err := h.s.ReadyError(t.Context()); err == nil || err.Error() != "database: no route to 10.0.0.1" {
		t.Errorf("not ready: %v", err)
	}
}

func TestTheAdminListenerAnswersDuringSetup(t *testing.T) {
	start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		for path, want := range map[string]struct {
			status int
			body   string
		}{
			"/livez": {200, "ok\n"}, "/startupz": {503, "not ok\nstartup: the service is in setup\n"}, "/readyz": {503, "not ok\nstate: the service is setup\n"},
		} {
			res, err := http.Get("http://" + s.Addr("admin").String() + path)
			if err != nil {
				return err
			}
			if a := read(res); a.StatusCode != want.status || a.body != want.body {
				t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		return nil
	})
}

func TestAHungCheckIsGivenUpAndNotPiledUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		free := make(chan struct{})
		h := start(t, options{pipes: true}, func(_ context.Context, s *chassis.Service, _ conf) error {
			s.Check("hung", func(context.Context) error {
				runs.Add(1)
				<-free
				return nil
			})
			s.Check("fine", func(context.Context) error { return nil })
			return nil
		})
		for range 5 {
			begin := time.Now()
			if a := h.admin("/readyz"); a.StatusCode != 503 || a.body != "not ok\nhung: no answer within 1s\n" {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			if took := time.Since(begin); took != time.Second {
				t.Errorf("given up after %v", took)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("the check runs %d times at once", n)
		}
		close(free)
		synctest.Wait()
		if a := h.admin("/readyz"); a.StatusCode != 200 || runs.Load() != 2 {
			t.Errorf("after it came back: %d, %d runs", a.StatusCode, runs.Load())
		}
		h.stop()
	})
}

func TestMetricsAreServedAndWellFormed(t *testing.T) {
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("hi")})))
	h.get("/")
	a := h.admin("/metrics")
	for _, want := range []string{
		`requests_total{code="200",listener="http",method="GET",route="GET /"} 1`, `requests_in_flight{listener="http"} 0`,
		`failure_total{class="caller",code="1001"} 0`, `failure_total{class="service",code="1"} 0`, `build_info{`, `service="test"`, "go_goroutines ", "access_log_lines_total",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is missing", want)
		}
	}
	problems, err := testutil.GatherAndLint(h.s.Registry())
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	h.s.Registry().MustRegister(brokenCollector{})
	if a := h.admin("/metrics"); !strings.Contains(a.body, "requests_total{") || len(h.logged("metrics")) == 0 {
		t.Errorf("one broken metric hides the others: %s", a.body)
	}
}

func TestTheStatusPageShowsWhatGoesOn(t *testing.T) {
	spec := chassis.Spec[gameConf]{
		Name: "game", Failures: codes, Defaults: gameConf{Motto: `<script>alert("x")</script>`, Token: keys.NewSecret("hunter2")},
		Setup: func(_ context.Context, s *chassis.Service, c gameConf) error {
			s.Check("database", func(context.Context) error { return errors.New("<gone>") })
			return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /full": fails(errFull.New())}))
		},
	}
	i, err := chassis.Start(t.Context(), spec, nil, chassis.World{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Instance: i, s: i.Service(), tb: t, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	defer h.stop()
	h.get("/full")
	a := h.admin("/status")
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || a.Header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("header %v", a.Header)
	}
	for _, want := range []string{
		"<h1>game</h1>", `class="pill ready"`, "&lt;gone&gt;", "<code>" + h.Addr("http").String() + "</code>", "<code>GET /full</code>",
		"<code>test 1001</code>", "column is full", "<code>motto</code>", "&lt;script&gt;", "[redacted]", "0 that nobody has asked", " MiB",
		"<svg ", "Requests per second", "Errors per second", "Latency", `content="5"`, `href="?refresh=off"`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(a.body, "<script>") || strings.Contains(a.body, "hunter2") {
		t.Error("the page is not escaped, or tells secrets")
	}
	type page struct {
		Service, State, Version string
		Checks                  []struct{ Name, Error string }
		Listeners               []struct {
			Name, Protocol, Addr string
			Routes               int
		}
		Routes   []map[string]any
		Queues   []any
		Failures []struct {
			Set   string
			Code  int
			Count int
		}
		Config []struct{ Key, Value, Source string }
	}
	for _, asked := range []answer{h.admin("/status", "Accept", "application/json"), h.admin("/status?format=json")} {
		p := parse[page](t, asked.body)
		if p.Service != "game" || p.State != "ready" || len(p.Checks) != 2 || p.Listeners[0].Addr != h.Addr("http").String() || p.Listeners[0].Routes != 1 ||
			p.Queues == nil || len(p.Failures) != 1 || p.Failures[0].Code != 1001 || p.Failures[0].Count != 1 {
			t.Errorf("JSON: %+v", p)
		}
		if r := p.Routes[0]; r["route"] != "GET /full" || r["requests"] != 1.0 || r["mean_seconds"] == nil {
			t.Errorf("JSON: %v", r)
		}
		if asked.Header.Get("Content-Type") != "application/json" || strings.Contains(asked.body, "hunter2") {
			t.Errorf("JSON: %v", asked.Header)
		}
	}
	if a := h.admin("/"); a.StatusCode != 302 || a.Header.Get("Location") != "/status" {
		t.Errorf("/: %d %v", a.StatusCode, a.Header)
	}
	if a := h.admin("/nope"); a.StatusCode != 404 {
		t.Errorf("/nope: %d", a.StatusCode)
	}
}

func TestProfilesAreServed(t *testing.T) {
	h := start(t, options{}, serve(routes(nil)))
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/debug/pprof/symbol"} {
		if a := h.admin(path); a.StatusCode != 200 || a.body == "" {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}

func TestBeyondLoopbackATokenIsNeeded(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "127.8.9.1:80": true, "unix:/run/x.sock": true, "off": true,
		"0.0.0.0:0": false, ":8081": false, "10.0.0.1:80": false, "example.com:80": false, "8081": false, "127.0.0.1:http-ish": false,
	} {
		c := chassis.AdminConfig{Addr: addr}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
		c.Token = keys.NewSecret("t")
		if err := c.Validate(); err != nil && !strings.Contains(err.Error(), "want ") {
			t.Errorf("%s with a token: %v", addr, err)
		}
	}
	_, err := try(t, options{settings: func(s *chassis.Settings) { s.Admin.Addr = "0.0.0.0:0" }}, serve(routes(nil)))
	if err == nil || !strings.Contains(err.Error(), `key "admin.addr": "0.0.0.0:0" is reachable from other hosts: use a loopback address such as 127.0.0.1:8081, unix:/path, or set admin.token`) {
		t.Errorf("error %v", err)
	}
	h := start(t, options{settings: func(s *chassis.Settings) { s.Admin.Token = keys.NewSecret("sesame") }}, serve(routes(nil)))
	for _, path := range []string{"/metrics", "/status", "/debug/pprof/", "/"} {
		for _, header := range []string{"", "sesame", "Bearer", "Bearer wrong", "Basic sesame", "Bearer sesame2"} {
			a := h.admin(path, "Authorization", header)
			if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Bearer realm="admin"` {
				t.Errorf("%s with %q: %d", path, header, a.StatusCode)
			}
		}
		for _, header := range []string{"Bearer sesame", "bearer sesame"} {
			if a := h.admin(path, "Authorization", header); a.StatusCode >= 400 {
				t.Errorf("%s with %q: %d", path, header, a.StatusCode)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz"} {
		if a := h.admin(path); a.StatusCode != 200 {
			t.Errorf("%s wants a token: %d", path, a.StatusCode)
		}
	}
}

func TestTheAdminListenerCanBeSwitchedOff(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) { s.Admin.Addr = "off" }}, serve(routes(nil)))
	if h.Addr("admin") != nil {
		t.Errorf("address %v", h.Addr("admin"))
	}
	h.stop()
}

func TestTheAdminListenerThatDiesEndsTheService(t *testing.T) {
	l := &dyingListener{pipeListener: pipeListener{name: "admin", closed: make(chan struct{})}}
	h := start(t, options{world: func(w *chassis.World) {
		w.Listen = func(context.Context, string, string, string) (net.Listener, error) { return l, nil }
	}}, func(context.Context, *chassis.Service, conf) error { return nil })
	_ = l.Close()
	receive(t, h.Done(), "the end")
	if err := h.Err(); err == nil || !strings.HasPrefix(err.Error(), "admin listener on admin: ") {
		t.Errorf("error %v", err)
	}
}

type dyingListener struct{ pipeListener }

func (l *dyingListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, fmt.Errorf("accept: %w", net.ErrClosed)
}

func TestAStatusPageThatNobodyWaitsForIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true}, serve(routes(nil)))
		conn, err := h.client.Transport.(*http.Transport).DialContext(t.Context(), "pipe", "admin:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		synctest.Wait()
		if lines := h.logged("the status page was not sent whole"); len(lines) != 1 || lines[0]["level"] != "debug" {
			t.Errorf("logged %v", lines)
		}
		h.stop()
	})
}
