package client_test

import (
	"bufio"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

func TestTheRequestsIDAndTraceAreSentOnWithASpanForEachAttempt(t *testing.T) {
	trace := request.NewTrace(rand.Reader)
	for name, c := range map[string]struct {
		info *request.Info
		id   string
		ids  string // of the trace
	}{
		"a request with a trace": {&request.Info{ID: "order-17", Trace: trace}, "order-17", trace.Header()[3:35]},
		"a request without":      {&request.Info{ID: "order-17"}, "order-17", ""},
		"background work":        {&request.Info{}, "", ""},
		"no request":             {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				game := play(says(503), says(200))
				games, s := call(t, client.Config{}, game)
				s.rand = rand.Reader
				ctx := t.Context()
				if c.info != nil {
					ctx = request.With(ctx, c.info)
				}
				if a := do(games, req(ctx, t, "GET", "/", nil)); a.status != 200 {
					t.Fatalf("%+v", a)
				}
				var spans []string
				for _, r := range game.requests() {
					parent := r.Header.Get("Traceparent")
					if r.Header.Get("X-Request-Id") != c.id || (parent == "") != (c.ids == "") || parent != "" && !strings.HasPrefix(parent, "00-"+c.ids) {
						t.Errorf("sent %v", r.Header)
					}
					spans = append(spans, parent)
				}
				if c.ids != "" && (len(slices.Compact(slices.Clone(spans))) != 2 || slices.Contains(spans, trace.Header())) {
					t.Errorf("spans %v of %s", spans, trace.Header())
				}
			})
		})
	}
}

func TestWhatTheCallerSetItselfStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		game := play(says(200))
		games, _ := call(t, client.Config{}, game)
		ctx := request.With(t.Context(), &request.Info{ID: "order-17", Trace: request.NewTrace(rand.Reader)})
		r := req(ctx, t, "GET", "/", nil)
		r.Header.Set("X-Request-Id", "mine")
		r.Header.Set("Traceparent", "also mine")
		before := r.Header.Clone()
		do(games, r)
		sent := game.requests()[0].Header
		if sent.Get("X-Request-Id") != "mine" || sent.Get("Traceparent") != "also mine" || len(r.Header) != len(before) {
			t.Errorf("sent %v; the request has %v", sent, r.Header)
		}
	})
}

func TestTheTimeThatIsLeftIsSentAsGRPCDoes(t *testing.T) {
	for left, want := range map[time.Duration]string{
		50 * time.Millisecond:        "50000000n",
		99*time.Millisecond + 999999: "99999999n",
		100 * time.Millisecond:       "100000u",
		5 * time.Second:              "5000000u",
		99*time.Second + 999999999:   "99999999u",
		100 * time.Second:            "100000m",
		27 * time.Hour:               "97200000m",
		28 * time.Hour:               "100800S",
		292 * 365 * 24 * time.Hour:   "99999999S",
		-1:                           "",
	} {
		synctest.Test(t, func(t *testing.T) {
			game := play(says(200))
			games, _ := call(t, client.Config{Timeout: left}, game)
			do(games, req(t.Context(), t, "GET", "/", nil))
			if got := game.requests()[0].Header.Get("Grpc-Timeout"); got != want {
				t.Errorf("%v: sent %q, want %q", left, got, want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // each attempt has what the ones before left
		game := play(says(503, "Retry-After", "2"), says(200))
		games, _ := call(t, client.Config{}, game)
		do(games, req(t.Context(), t, "GET", "/", nil))
		if got := game.requests()[1].Header.Get("Grpc-Timeout"); got != "3000000u" {
			t.Errorf("after two of five seconds: %q", got)
		}
	})
}

func TestARequestWithoutAHostGoesToTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ base, target, want string }{
			{"http://game.internal", "/v1/games?open=1", "game.internal /v1/games?open=1"},
			{"http://game.internal/", "/v1/a%2fb", "game.internal /v1/a%2fb"},
			{"http://game.internal/api", "v1/games", "game.internal /api/v1/games"},
			{"http://game.internal/a%2fb/", "/c/../d", "game.internal /a%2fb/c/../d"},
			{"http://game.internal", "http://other.internal/x", "other.internal /x"},
		} {
			game := play(says(200))
			games, _ := call(t, client.Config{URL: c.base}, game)
			if a := do(games, req(t.Context(), t, "GET", c.target, nil)); a.status != 200 {
				t.Fatalf("%+v", a)
			}
			r := game.requests()[0]
			if got := r.Host + " " + r.RequestURI; got != c.want {
				t.Errorf("%s from %s: asked for %s, want %s", c.target, c.base, got, c.want)
			}
		}
	})
}

func TestAClientIsATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		game := play(says(503), says(200))
		games, _ := call(t, client.Config{}, game)
		a := do(&http.Client{Transport: games}, req(t.Context(), t, "GET", "http://game.internal/", nil))
		if a.status != 200 || len(game.requests()) != 2 {
			t.Errorf("%+v", a)
		}
	})
}

func TestConnectionsAreBoundedKeptAndClosedWithTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := map[string]int{}
		state := make(chan http.ConnState, 100)
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv := &http.Server{Handler: says(200), ConnState: func(_ net.Conn, s http.ConnState) { state <- s }}
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second); says(200)(w, r) })
		go func() { _ = srv.Serve(l) }()
		defer srv.Close()
		s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
		games, err := client.New(s, "game", client.Config{URL: "http://game.internal", MaxConns: 2}, func(tr *http.Transport) { tr.DialContext = l.dial })
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan answer)
		for range 6 {
			go func() { answers <- do(games, req(t.Context(), t, "GET", "/", nil)) }()
		}
		longest := time.Duration(0)
		for range 6 {
			a := <-answers
			if a.status != 200 {
				t.Fatalf("%+v", a)
			}
			longest = max(longest, a.took)
		}
		s.close(t)
		synctest.Wait()
		for len(state) > 0 {
			conns[(<-state).String()]++
		}
		if longest != 3*time.Second || conns["new"] != 2 || conns["closed"] != 2 {
			t.Errorf("6 requests of a second over 2 connections took %v; connections: %v", longest, conns)
		}
		if want := []string{"connections to game"}; !slices.Equal(s.names, want) {
			t.Errorf("closes %q", s.names)
		}
	})
}

func TestAConnectionCanChangeItsProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		games, _ := call(t, client.Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			_, _ = rw.WriteString(line)
			_ = rw.Flush()
		}))
		r := req(t.Context(), t, "GET", "/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := games.Do(r)
		if err != nil || resp.StatusCode != 101 {
			t.Fatalf("%+v, %v", resp, err)
		}
		defer resp.Body.Close()
		_, err = io.WriteString(resp.Body.(io.Writer), "hello\n")
		line, readErr := bufio.NewReader(resp.Body).ReadString('\n')
		if err != nil || readErr != nil || line != "hello\n" {
			t.Errorf("%q, %v, %v", line, err, readErr)
		}
	})
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	var c client.Config
	c.SetDefaults()
	if c.Timeout != 5*time.Second || c.MaxConns != 100 || c.MaxIdle != 100 || c.Idle != 90*time.Second || c.MaxReplay != 64*config.KiB {
		t.Errorf("defaults %+v", c)
	}
	c.URL = "https://game.internal/api"
	for want, set := range map[string]func(*client.Config){
		"": func(*client.Config) {},
		`url: want scheme and host of the service to call, such as http://127.0.0.1:8080, got ""`:             func(c *client.Config) { c.URL = "" },
		`url: want scheme and host of the service to call, such as http://127.0.0.1:8080, got "game:80"`:      func(c *client.Config) { c.URL = "game:80" },
		`url: want scheme and host of the service to call, such as http://127.0.0.1:8080, got "ftp://x"`:      func(c *client.Config) { c.URL = "ftp://x" },
		`url: want scheme and host of the service to call, such as http://127.0.0.1:8080, got "http://x?y=1"`: func(c *client.Config) { c.URL = "http://x?y=1" },
		`url: want scheme and host of the service to call, such as http://127.0.0.1:8080, got "http://%zz"`:   func(c *client.Config) { c.URL = "http://%zz" },
		"max_conns: want 1 or more, got -1\nmax_idle: want 1 to max_conns, -1, got 100":                       func(c *client.Config) { c.MaxConns = -1 },
		"max_idle: want 1 to max_conns, 100, got 101":                                                         func(c *client.Config) { c.MaxIdle = 101 },
		"idle: want more than 0, got -1ns":                                                                    func(c *client.Config) { c.Idle = -1 },
		"max_replay: want from 1 byte to 2147483647, got -1":                                                  func(c *client.Config) { c.MaxReplay = -1 },
	} {
		wrong := c
		set(&wrong)
		got := ""
		if err := wrong.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
	for want, cfg := range map[string]client.Config{
		"client of game: url: want scheme":       {},
		"client of game: attempts: want 1 to 10": {URL: "http://x", Retry: retry.Config{Attempts: 11}},
	} {
		if _, err := client.New(s, "game", cfg); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := client.New(s, "game", client.Config{URL: "http://x"}); err != nil {
		t.Error(err)
	}
	if _, err := client.New(s, "game", client.Config{URL: "http://x"}); err == nil || !strings.Contains(err.Error(), `client "game"`) {
		t.Errorf("a second client of one name: %v", err)
	}
	if len(s.closes) != 1 {
		t.Errorf("%d clients are closed with the service, want 1", len(s.closes))
	}
}
