package chassis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// narrow is a listener that answers one request at a time and lets one wait.
func narrow() chassis.HTTPConfig {
	return chassis.HTTPConfig{Admission: chassis.AdmissionConfig{Workers: 1, Capacity: 1, MaxWait: time.Minute}}
}

// sleeps answers after d of virtual time.
func sleeps(d time.Duration) chassis.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		time.Sleep(d) // virtual
		_, err := io.WriteString(w, r.URL.Path)
		return err
	}
}

// asked is an answer that somebody else is waiting for.
type asked struct {
	answer
	took time.Duration
}

// ask asks for a path in the background.
func (h *host) ask(path string, headers ...string) <-chan asked {
	got, begin := make(chan asked, 1), time.Now()
	go func() {
		r := h.request("GET", path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		got <- asked{h.do(r), time.Since(begin)}
	}()
	return got
}

func TestRequestsWaitForTheirTurnAndAreTurnedAwayWhenAllPlacesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow(), settings: func(s *chassis.Settings) { s.AccessLog.Format = "%U %>s %{queue_wait_us}x" }},
			serve(routes(map[string]chassis.Handler{"GET /job/{n}": sleeps(time.Second)})))
		first := h.ask("/job/1")
		synctest.Wait()
		second := h.ask("/job/2")
		synctest.Wait()
		if third := <-h.ask("/job/3"); third.problem(t).Code != 503 || third.Header.Get("Retry-After") == "" || third.took != 0 {
			t.Errorf("the third: %d after %v: %s", third.StatusCode, third.took, third.body)
		}
		if a, b := <-first, <-second; a.StatusCode != 200 || b.StatusCode != 200 || a.took != time.Second || b.took != 2*time.Second {
			t.Errorf("answers %d after %v, %d after %v", a.StatusCode, a.took, b.StatusCode, b.took)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "full", "class", "critical")
		h.stop()
		for _, want := range []string{"/job/1 200 0\n", "/job/2 200 1000000\n", "/job/3 503 0\n"} {
			if !strings.Contains(h.access.String(), want) {
				t.Errorf("no line %q in %s", want, h.access.String())
			}
		}
	})
}

func TestWhoIsTurnedAwayHasNotSentABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow()}, serve(routes(map[string]chassis.Handler{
			"GET /job": sleeps(time.Second),
			"POST /job": func(_ http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				return err
			},
		})))
		first := h.ask("/job")
		synctest.Wait()
		second := h.ask("/job")
		synctest.Wait()
		conn, r := h.talk("POST /job HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
		defer conn.Close()
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 503") {
			t.Errorf("%q, %v", line, err)
		}
		<-first
		<-second
	})
}

func TestStreamsTakeNoWorkersPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := routes(map[string]chassis.Handler{"GET /job": sleeps(time.Second)})
		r.Handle("GET /stream", sleeps(time.Hour), chassis.Stream())
		h := start(t, options{pipes: true, http: narrow()}, serve(r))
		var streams []<-chan asked
		for range 5 {
			streams = append(streams, h.ask("/stream"))
		}
		synctest.Wait()
		if a := <-h.ask("/job"); a.StatusCode != 200 || a.took != time.Second {
			t.Errorf("%d after %v", a.StatusCode, a.took)
		}
		for _, s := range streams {
			if a := <-s; a.StatusCode != 200 {
				t.Errorf("a stream: %d %s", a.StatusCode, a.body)
			}
		}
	})
}

func TestRoutesMayShareAQueueOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow()}, func(_ context.Context, s *chassis.Service, c conf) error {
			store := s.Queue("store", queue.Limits{Workers: 1, Capacity: 1})
			r := routes(map[string]chassis.Handler{"GET /other": sleeps(time.Second)})
			r.Handle("GET /read", sleeps(time.Second), chassis.Admit(store))
			r.Handle("GET /write", sleeps(time.Second), chassis.Admit(store))
			return s.HTTP("http", c.HTTP, r)
		})
		read := h.ask("/read")
		synctest.Wait()
		write := h.ask("/write")
		synctest.Wait()
		if full, other := <-h.ask("/read"), <-h.ask("/other"); full.problem(t).Code != 503 || other.took != time.Second {
			t.Errorf("full: %d; another route: %d after %v", full.StatusCode, other.StatusCode, other.took)
		}
		if a, b := <-read, <-write; a.took != time.Second || b.took != 2*time.Second {
			t.Errorf("answered after %v and %v", a.took, b.took)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "store", "reason", "full", "class", "critical")
		h.wantMetric(0, "queue_rejected_total", "queue", "http", "reason", "full", "class", "critical")
	})
}

func TestWhatMattersLessMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := routes(map[string]chassis.Handler{"GET /job": sleeps(time.Second)})
		r.Handle("GET /batch", sleeps(time.Second), chassis.Class(queue.Sheddable))
		h := start(t, options{pipes: true, http: narrow()}, serve(r))
		first := h.ask("/batch")
		synctest.Wait()
		batch := h.ask("/batch")
		synctest.Wait()
		second := h.ask("/job")
		if shed := <-batch; shed.problem(t).Code != 503 || shed.took != 0 {
			t.Errorf("what waited: %d after %v", shed.StatusCode, shed.took)
		}
		if a, b := <-first, <-second; a.StatusCode != 200 || b.StatusCode != 200 {
			t.Errorf("answers %d, %d", a.StatusCode, b.StatusCode)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "shed", "class", "sheddable")
	})
}

func TestTenantsTakeTurns(t *testing.T) {
	for name, c := range map[string]struct {
		header string // that names the tenant
		tenant func(*http.Request) string
	}{
		"by what the service says":     {"X-Customer", func(r *http.Request) string { return r.Header.Get("X-Customer") }},
		"by the address of the client": {"X-Forwarded-For", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var order []string
				r := chassis.NewRouter()
				if c.tenant != nil {
					r.Tenant(c.tenant)
				}
				r.Handle("GET /job", func(_ http.ResponseWriter, r *http.Request) error {
					mu.Lock()
					order = append(order, r.Header.Get(c.header))
					mu.Unlock()
					time.Sleep(time.Second) // virtual
					return nil
				})
				cfg := narrow()
				cfg.Admission.Capacity = 8
				cfg.ACL.TrustedProxies, cfg.ACL.ClientFrom = []string{"unix"}, "x-forwarded-for"
				h := start(t, options{pipes: true, http: cfg}, serve(r))
				var answers []<-chan asked
				for _, tenant := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "2001:db8::1"} {
					answers = append(answers, h.ask("/job", c.header, tenant))
					synctest.Wait()
				}
				for _, a := range answers {
					if got := <-a; got.StatusCode != 200 {
						t.Errorf("%d %s", got.StatusCode, got.body)
					}
				}
				// The first had nobody to wait for, and of the next two one is the turn of each.
				if !slices.Contains(order[:3], "2001:db8::1") {
					t.Errorf("served %v", order)
				}
			})
		})
	}
}

func TestADeadlineThatPassesWhileARequestWaitsIsToldAsOne(t *testing.T) {
	within := func(d time.Duration) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), d)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		}
	}
	asks := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.Context().Done() // as who waits for it does
			next.ServeHTTP(w, r)
		})
	}
	for name, c := range map[string]struct {
		bare       bool
		timeout    time.Duration // of the route
		middleware func(http.Handler) http.Handler
	}{
		"of the route":                                 {false, 2 * time.Second, nil},
		"of middleware":                                {false, time.Hour, within(2 * time.Second)},
		"of middleware, under bare_context":            {true, time.Hour, within(2 * time.Second)},
		"of the route, where somebody waits for it":    {false, 2 * time.Second, asks},
		"of middleware, where the route gives it less": {false, 2 * time.Second, within(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := narrow()
				cfg.BareContext = c.bare
				r := chassis.NewRouter()
				if c.middleware != nil {
					r.Use(c.middleware)
				}
				r.Handle("GET /long", sleeps(time.Minute), chassis.Timeout(-1))
				r.Handle("GET /short", sleeps(time.Second), chassis.Timeout(c.timeout))
				h := start(t, options{pipes: true, http: cfg}, serve(r))
				long := h.ask("/long")
				synctest.Wait()
				if short := <-h.ask("/short"); short.problem(t).Code != 503 || short.Header.Get("Retry-After") == "" || short.took != 2*time.Second {
					t.Errorf("%d after %v: %s", short.StatusCode, short.took, short.body)
				}
				<-long
				h.wantMetric(1, "queue_rejected_total", "queue", "http", "reason", "deadline", "class", "critical")
				h.wantMetric(0, "queue_rejected_total", "queue", "http", "reason", "cancelled", "class", "critical")
			})
		})
	}
}

func TestARouteInsideAnotherPassesItsOwnQueueAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := narrow()
		cfg.Admission.Workers = 4
		h := start(t, options{pipes: true, http: cfg, settings: func(s *chassis.Settings) { s.AccessLog.Format = "%U %>s %{queue_wait_us}x" }},
			func(_ context.Context, s *chassis.Service, c conf) error {
				store := s.Queue("store", queue.Limits{Workers: 1, Capacity: 1})
				innermost := chassis.NewRouter()
				innermost.Handle("GET /in/most/{n}", sleeps(time.Second), chassis.Admit(store)) // which it has passed by then
				inner := chassis.NewRouter()
				inner.Handle("GET /in/{n}", sleeps(time.Second), chassis.Admit(store))
				inner.Mount("/in/most/", innermost, chassis.Admit(store))
				outer := chassis.NewRouter()
				outer.Mount("/in/", inner)
				return s.HTTP("http", c.HTTP, outer)
			})
		first := h.ask("/in/1")
		synctest.Wait()
		second := h.ask("/in/most/2")
		synctest.Wait()
		if third := <-h.ask("/in/3"); third.problem(t).Code != 503 || third.took != 0 {
			t.Errorf("the third: %d after %v", third.StatusCode, third.took)
		}
		if a, b := <-first, <-second; a.StatusCode != 200 || b.StatusCode != 200 || a.took != time.Second || b.took != 2*time.Second {
			t.Errorf("answers %d after %v, %d after %v", a.StatusCode, a.took, b.StatusCode, b.took)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "store", "reason", "full", "class", "critical")
		h.wantMetric(0, "queue_inflight", "queue", "store")
		h.wantMetric(0, "queue_inflight", "queue", "http")
		h.stop()
		for _, want := range []string{"/in/1 200 0\n", "/in/most/2 200 1000000\n", "/in/3 503 0\n"} {
			if !strings.Contains(h.access.String(), want) {
				t.Errorf("no line %q in %s", want, h.access.String())
			}
		}
	})
}

func TestAWorkerIsGivenBackHoweverAHandlerEnds(t *testing.T) {
	r := routes(map[string]chassis.Handler{
		"GET /fails":  fails(errFull.New()),
		"GET /panics": func(http.ResponseWriter, *http.Request) error { panic("oops") },
		"GET /aborts": func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
		"GET /good":   say("good"),
	})
	inner := routes(map[string]chassis.Handler{"GET /inner/good": say("inner")})
	r.Mount("/inner/", inner)
	h := start(t, options{http: narrow()}, serve(r))
	for range 3 {
		for _, path := range []string{"/fails", "/panics", "/good", "/inner/good"} {
			if a := h.get(path); a.err != nil || a.StatusCode == 503 {
				t.Errorf("%s: %d, %v", path, a.StatusCode, a.err)
			}
		}
		conn := h.dial()
		fmt.Fprint(conn, "GET /aborts HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := bufio.NewReader(conn).ReadByte(); err == nil {
			t.Error("an aborted handler has answered")
		}
		conn.Close()
	}
	h.wantMetric(0, "queue_inflight", "queue", "http")
}

func TestACallersMistakeIsNoFailedWork(t *testing.T) {
	for path, failed := range map[string]uint64{"/mistake": 0, "/good": 0, "/fault": 1, "/unclassified": 1, "/panics": 1} {
		h := start(t, options{http: narrow()}, func(_ context.Context, s *chassis.Service, c conf) error {
			store := s.Queue("store", queue.Limits{Workers: 1, Capacity: 1})
			r := chassis.NewRouter()
			for path, answer := range map[string]chassis.Handler{
				"/mistake": fails(failure.Malformed.New()), "/good": say("good"), "/fault": fails(failure.Overloaded.New()),
				"/unclassified": fails(errors.New("oops")), "/panics": func(http.ResponseWriter, *http.Request) error { panic("oops") },
			} {
				r.Handle("GET "+path, answer, chassis.Admit(store))
			}
			t.Cleanup(func() {
				if got := store.Stats(); got.Failed != failed || got.Completed != 1 {
					t.Errorf("%s: %d failed of %d, want %d of 1", path, got.Failed, got.Completed, failed)
				}
			})
			return s.HTTP("http", c.HTTP, r)
		})
		h.get(path)
		h.stop()
	}
}

func TestAServicesOwnQueueMayBeDark(t *testing.T) {
	for dark, want := range map[bool]int{true: 200, false: 503} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, options{pipes: true}, func(_ context.Context, s *chassis.Service, c conf) error {
				store := s.Queue("store", queue.Limits{Workers: 1, Capacity: 1}, chassis.Dark(dark))
				r := chassis.NewRouter()
				r.Handle("GET /job", sleeps(time.Second), chassis.Admit(store))
				return s.HTTP("http", c.HTTP, r)
			})
			first := h.ask("/job")
			synctest.Wait()
			second := h.ask("/job")
			synctest.Wait()
			if third := <-h.ask("/job"); third.StatusCode != want {
				t.Errorf("dark %v: %d, want %d", dark, third.StatusCode, want)
			}
			<-first
			<-second
			if would, shown := h.metric("queue_would_reject_total", "queue", "store", "reason", "full", "class", "critical"); shown != dark || dark && would != 1 {
				t.Errorf("dark %v: would have refused %v (%v)", dark, would, shown)
			}
		})
	}
}

func TestADarkQueueOnlyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := narrow()
		c.Admission.Dark = true
		h := start(t, options{pipes: true, http: c}, serve(routes(map[string]chassis.Handler{"GET /job": sleeps(time.Second)})))
		var answers []<-chan asked
		for range 4 {
			answers = append(answers, h.ask("/job"))
		}
		for _, a := range answers {
			if got := <-a; got.StatusCode != 200 || got.took != time.Second {
				t.Errorf("%d after %v", got.StatusCode, got.took)
			}
		}
	})
}

func TestAListenerMayHaveNoAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chassis.HTTPConfig{Admission: chassis.AdmissionConfig{Workers: -1}}
		h := start(t, options{pipes: true, http: c}, serve(sleepsAdopted(time.Second)))
		var answers []<-chan asked
		for range 10 {
			answers = append(answers, h.ask("/job"))
		}
		for _, a := range answers {
			if got := <-a; got.StatusCode != 200 || got.took != time.Second {
				t.Errorf("%d after %v", got.StatusCode, got.took)
			}
		}
		if d, err := h.s.Description(); err != nil || len(d.Queues) != 0 {
			t.Errorf("%v, %v", d.Queues, err)
		}
	})
}

func TestAnAdoptedHandlerIsAdmittedAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, http: narrow()}, serve(sleepsAdopted(time.Second)))
		first := h.ask("/job")
		synctest.Wait()
		second := h.ask("/job")
		synctest.Wait()
		if third := <-h.ask("/job"); third.StatusCode != 503 {
			t.Errorf("the third: %d", third.StatusCode)
		}
		if a, b := <-first, <-second; a.took != time.Second || b.took != 2*time.Second {
			t.Errorf("answered after %v and %v", a.took, b.took)
		}
	})
}

// sleepsAdopted is sleeps as an ordinary handler.
func sleepsAdopted(d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = sleeps(d)(w, r) })
}

func TestAdmissionWithoutABoundIsRefused(t *testing.T) {
	for want, c := range map[string]chassis.AdmissionConfig{
		"capacity": {Capacity: -1},
		"max_wait": {MaxWait: -1},
	} {
		_, err := try(t, options{http: chassis.HTTPConfig{Admission: c}}, serve(routes(nil)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := try(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		s.Queue("http", queue.Limits{Workers: 1, Capacity: 1})
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	if err == nil || !strings.Contains(err.Error(), `listener "http": there is a queue "http" already`) {
		t.Errorf("two queues of a name: %v", err)
	}
}
