package client_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// doer sends requests.
type doer interface {
	Do(*http.Request) (*http.Response, error)
}

// refuse has a client send 100 requests a second for ten seconds to a service that refuses them all with
// status, and returns what they were multiplied by.
func refuse(t *testing.T, method string, status int, build func(*http.Transport) (doer, func())) float64 {
	var factor float64
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		var arrived atomic.Int64
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			arrived.Add(1)
			w.WriteHeader(status)
		})}
		go func() { _ = srv.Serve(l) }()
		c, end := build(&http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 1000})
		const offered = 10 * 100
		var requests sync.WaitGroup
		for range offered {
			requests.Go(func() {
				r := req(context.Background(), t, method, "http://game.internal/", strings.NewReader("a wish"))
				if resp, err := c.Do(r); err == nil {
					_ = resp.Body.Close()
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		requests.Wait()
		end()
		_ = srv.Close()
		factor = float64(arrived.Load()) / offered
	})
	return factor
}

// defaults are those of go-retryablehttp, but for the transport and the log.
type defaults struct{ *retryablehttp.Client }

func (d defaults) Do(r *http.Request) (*http.Response, error) {
	again, err := retryablehttp.FromRequest(r)
	if err != nil {
		return nil, err
	}
	return d.Client.Do(again)
}

func TestAServiceThatRefusesAllIsNotSentMoreThanThereIs(t *testing.T) {
	plain := func(tr *http.Transport) (doer, func()) {
		c := retryablehttp.NewClient()
		c.Logger, c.HTTPClient = nil, &http.Client{Transport: tr}
		return defaults{c}, tr.CloseIdleConnections
	}
	ours := func(cfg retry.Config) func(*http.Transport) (doer, func()) {
		return func(tr *http.Transport) (doer, func()) {
			games, s := connect(t, client.Config{Retry: cfg}, tr.DialContext)
			return games, func() { s.close(t) }
		}
	}
	for _, c := range []struct {
		name, method string
		build        func(*http.Transport) (doer, func())
		least, most  float64
	}{
		{"go-retryablehttp by its defaults", "POST", plain, 5, 5},
		{"ours, POST", "POST", ours(retry.Config{}), 0, 1},
		{"ours, POST, no throttle", "POST", ours(retry.Config{Throttle: -1}), 1, 1},
		{"ours, PUT", "PUT", ours(retry.Config{}), 0, 1.1},
		{"ours, PUT, no throttle", "PUT", ours(retry.Config{Throttle: -1}), 1.1, 1.1},
	} {
		factor := refuse(t, c.method, http.StatusServiceUnavailable, c.build)
		t.Logf("%-34s %.3f requests arrive for each", c.name, factor)
		if factor < c.least || factor > c.most {
			t.Errorf("%s: %v, want %v to %v", c.name, factor, c.least, c.most)
		}
	}
}

// A caller over its quota is held back as under overload, and sends nothing again; without the throttle it
// sends what it has.
func TestACallerOverItsQuotaSlowsDown(t *testing.T) {
	for name, c := range map[string]struct {
		throttle    float64
		least, most float64
	}{"by default": {0, 0, 0.05}, "without a throttle": {-1, 1, 1}} {
		factor := refuse(t, http.MethodPut, http.StatusTooManyRequests, func(tr *http.Transport) (doer, func()) {
			games, s := connect(t, client.Config{Retry: retry.Config{Throttle: c.throttle}}, tr.DialContext)
			return games, func() { s.close(t) }
		})
		if factor < c.least || factor > c.most {
			t.Errorf("%s: %v requests arrive for each, want %v to %v", name, factor, c.least, c.most)
		}
	}
}
