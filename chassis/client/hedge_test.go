package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

var hedged = client.Config{Retry: retry.Config{Hedge: 20 * time.Millisecond, Throttle: -1}}

// after waits and then answers; it notes when its caller leaves before.
func after(d time.Duration, left chan<- string, name string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			h(w, r)
		case <-r.Context().Done():
			left <- name
		}
	}
}

func TestTheFirstGoodAnswerCountsAndTheOtherAttemptIsCancelled(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		first, second         time.Duration
		firstSays, secondSays int
		sent                  int
		took                  time.Duration
		status                int
		left                  string
	}{
		"an answer before the hedge":         {19 * ms, 0, 200, 200, 1, 19 * ms, 200, ""},
		"the second is faster":               {time.Second, 10 * ms, 200, 201, 2, 30 * ms, 201, "first"},
		"the first is faster after all":      {30 * ms, time.Second, 200, 201, 2, 30 * ms, 200, "second"},
		"the first refuses, the second not":  {30 * ms, 50 * ms, 503, 201, 2, 70 * ms, 201, ""},
		"the second refuses, the first not":  {90 * ms, 10 * ms, 200, 503, 2, 90 * ms, 200, ""},
		"both refuse, and the next attempts": {30 * ms, 50 * ms, 503, 503, 3, 70 * ms, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan string, 2)
				game := play(after(c.first, left, "first", says(c.firstSays)), after(c.second, left, "second", says(c.secondSays)), says(200))
				games, s := call(t, hedged, game)
				a := do(games, req(t.Context(), t, "PUT", "/", strings.NewReader("a wish")))
				synctest.Wait()
				if a.status != c.status || a.took != c.took || a.err != nil || len(game.requests()) != c.sent {
					t.Errorf("%d requests, %+v, want %d, status %d after %v", len(game.requests()), a, c.sent, c.status, c.took)
				}
				for _, body := range game.bodies {
					if body != "a wish" {
						t.Errorf("sent the body %q", body)
					}
				}
				who := ""
				if len(left) > 0 {
					who = <-left
				}
				if who != c.left {
					t.Errorf("%q was cancelled, want %q", who, c.left)
				}
				if got := s.counts(t); strings.Contains(got, "hedges_total 1") != (c.sent > 1) {
					t.Errorf("counted\n%s", got)
				}
			})
		})
	}
}

func TestWhatMustNotBeSentTwiceIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan string, 1)
		for name, req := range map[string]*http.Request{
			"POST":   req(t.Context(), t, "POST", "/", nil),
			"a body": req(t.Context(), t, "PUT", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", 1000)))),
		} {
			cfg := hedged
			cfg.MaxReplay = 999
			game := play(after(time.Second, left, "", says(200)))
			games, _ := call(t, cfg, game)
			if a := do(games, req); a.status != 200 || len(game.requests()) != 1 {
				t.Errorf("%s: %d requests, %+v", name, len(game.requests()), a)
			}
		}
	})
}

func TestHedgesArePaidFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := hedged
		cfg.Retry.BudgetMin = -1
		left := make(chan string, 20)
		game := play(after(time.Second, left, "", says(200)))
		games, s := call(t, cfg, game)
		for range 20 {
			if a := do(games, req(t.Context(), t, "GET", "/", nil)); a.status != 200 {
				t.Fatalf("%+v", a)
			}
		}
		if got := s.counts(t); !strings.Contains(got, "hedges_total 1") || !strings.Contains(got, "retry_budget_exhausted_total 19") {
			t.Errorf("of 20 slow requests in 20 s, want the tenth hedged: counted\n%s", got)
		}
	})
}

func TestWhoLeavesEndsBothAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := make(chan string, 2)
		game := play(after(time.Hour, left, "a", says(200)))
		games, _ := call(t, hedged, game)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a := do(games, req(ctx, t, "GET", "/", nil))
		synctest.Wait()
		if !errors.Is(a.err, context.DeadlineExceeded) || a.took != time.Second || len(left) != 2 {
			t.Errorf("%+v, %d attempts ended", a, len(left))
		}
	})
}

// A panic where the transport finds its way is one of whoever calls, with and without another attempt.
func TestAPanicOfAnAttemptReachesWhoeverCalls(t *testing.T) {
	for name, c := range map[string]struct {
		hedge  time.Duration
		panics int // which attempt
		want   string
	}{
		"without a hedge":      {0, 1, "lost"},
		"of the first attempt": {time.Second, 1, "lost"},
		"of the second":        {20 * time.Millisecond, 2, "lost"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan string, 2)
				l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
				srv := &http.Server{Handler: after(time.Hour, left, "the other", says(200))}
				go func() { _ = srv.Serve(l) }()
				defer srv.Close()
				s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
				defer s.close(t)
				var asked atomic.Int64
				games, err := client.New(s, "game", client.Config{URL: "http://game.internal", Retry: retry.Config{Hedge: c.hedge}}, func(tr *http.Transport) {
					tr.DialContext = l.dial
					tr.Proxy = func(*http.Request) (*url.URL, error) {
						if asked.Add(1) == int64(c.panics) {
							panic("lost")
						}
						return nil, nil
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				var v any
				func() {
					defer func() { v = recover() }()
					_, _ = games.Do(req(t.Context(), t, "GET", "/", nil))
				}()
				if !strings.Contains(fmt.Sprint(v), c.want) {
					t.Errorf("panicked with %v", v)
				}
				synctest.Wait()
				if c.panics == 2 && len(left) != 1 {
					t.Error("the other attempt goes on")
				}
			})
		})
	}
}
