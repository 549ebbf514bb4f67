package client_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// overHTTP2 makes a client of a server with TLS and HTTP/2.
func overHTTP2(t *testing.T, srv *httptest.Server) (*client.Client, *service) {
	t.Helper()
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
	games, err := client.New(s, "game", client.Config{URL: srv.URL, Timeout: 30 * time.Second, Retry: retry.Config{Throttle: -1}}, func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(t) })
	return games, s
}

func TestOverHTTP2TheSameRulesHold(t *testing.T) {
	for name, c := range map[string]struct {
		method  string
		cut     func(*httptest.Server, http.ResponseWriter, *http.Request)
		ran     int32
		outcome string
	}{
		"POST, refused": {"POST", func(_ *httptest.Server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1, "rejected"},
		"PUT, refused":  {"PUT", func(_ *httptest.Server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 2, "rejected"},
		"POST, reset":   {"POST", func(*httptest.Server, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 1, "broken"},
		"PUT, reset":    {"PUT", func(*httptest.Server, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, "broken"},
		"POST, cut": {"POST", func(s *httptest.Server, _ http.ResponseWriter, r *http.Request) {
			s.CloseClientConnections()
			<-r.Context().Done()
		}, 1, "broken"},
		"PUT, cut": {"PUT", func(s *httptest.Server, _ http.ResponseWriter, r *http.Request) {
			s.CloseClientConnections()
			<-r.Context().Done()
		}, 2, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			var ran atomic.Int32
			var srv *httptest.Server
			srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("spoke %s", r.Proto)
				}
				if ran.Add(1) == 1 {
					c.cut(srv, w, r)
				}
			}))
			games, s := overHTTP2(t, srv)
			a := do(games, req(t.Context(), t, c.method, "/", strings.NewReader("a wish")))
			if n := ran.Load(); n != c.ran || (a.status == 200) != (n == 2) {
				t.Errorf("ran %d times: %+v, want %d", n, a, c.ran)
			}
			if got := s.counts(t); !strings.Contains(got, `attempts_total{outcome="`+c.outcome+`"} 1`) {
				t.Errorf("counted\n%s", got)
			}
		})
	}
}

// descriptors are how many files and sockets the process has open; 0 where nobody can tell.
func descriptors() int {
	open, _ := os.ReadDir("/proc/self/fd")
	return len(open)
}

func TestNothingIsLeftBehind(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), descriptors()
	var n atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 5 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			<-r.Context().Done() // until a hedge wins or the time is up
		}
	}))
	s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
	games, err := client.New(s, "game", client.Config{
		URL: srv.URL, Timeout: time.Second, MaxConns: 10,
		Retry: retry.Config{Hedge: time.Millisecond, Throttle: -1, Budget: 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 20 {
				_ = do(games, req(t.Context(), t, "GET", "/", nil))
			}
		})
	}
	all.Wait()
	s.close(t)
	srv.Close()
	if got := s.counts(t); !strings.Contains(got, "hedges_total") || !strings.Contains(got, "retries_total") {
		t.Errorf("neither hedged nor sent again, counted\n%s", got)
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines || descriptors() > files; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d", runtime.NumGoroutine(), descriptors(), goroutines, files)
		}
	}
}
