package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func TestBackgroundWorkRunsFromReadyUntilTheListenersAreDrained(t *testing.T) {
	entered := make(chan struct{})
	began, ended := make(chan chassis.State, 2), make(chan string, 2)
	work := func(s *chassis.Service, name string) func(context.Context) error {
		return func(ctx context.Context) error {
			began <- s.State()
			<-chassis.Draining(ctx)
			<-ctx.Done()
			ended <- name
			return ctx.Err()
		}
	}
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		s.Go("early", work(s, "early"))
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{
			"GET /": func(w http.ResponseWriter, r *http.Request) error {
				close(entered)
				<-chassis.Draining(r.Context())
				select {
				case name := <-ended:
					t.Errorf("work %s was ended while a request was under way", name)
				default:
				}
				return nil
			},
		}))
	})
	h.s.Go("late", work(h.s, "late"))
	for range 2 {
		if state := receive(t, began, "the work"); state != chassis.StateReady {
			t.Errorf("work began in state %v", state)
		}
	}
	go func() { _, _ = h.client.Do(h.request("GET", "/", nil)) }()
	receive(t, entered, "the request")
	h.stop()
	if len(ended) != 2 {
		t.Errorf("%d of 2 have ended", len(ended))
	}
	h.s.Go("too late", func(context.Context) error { t.Error("work was started after the end"); return nil })
}

func TestBackgroundWorkThatFailsEndsTheService(t *testing.T) {
	boom := errors.New("lost the lease")
	for name, c := range map[string]struct {
		work func(context.Context) error
		want string
	}{
		"an error":       {func(context.Context) error { return boom }, `background work "lease": lost the lease`},
		"a panic":        {func(context.Context) error { panic(boom) }, `background work "lease": panic: lost the lease`},
		"runtime.Goexit": {func(context.Context) error { runtime.Goexit(); return nil }, `background work "lease": it ended its goroutine by runtime.Goexit`},
	} {
		t.Run(name, func(t *testing.T) {
			other := make(chan struct{})
			h, err := try(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
				s.Go("lease", c.work)
				s.Go("other", func(ctx context.Context) error { defer close(other); <-ctx.Done(); return nil })
				return nil
			})
			if err == nil {
				receive(t, h.Done(), "the end")
				err = h.Err()
			}
			if err == nil || strings.TrimPrefix(err.Error(), "test: ") != c.want {
				t.Errorf("error %v, want %s", err, c.want)
			}
			receive(t, other, "the end of other work")
			lines := h.logged("the service ends")
			if len(lines) != 1 || (name == "a panic") != (lines[0]["stack"] != nil) {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

func TestBackgroundWorkMayJustEnd(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		s.Go("once", func(context.Context) error { return nil })
		return nil
	})
	h.stop()
}

func TestBackgroundWorkIsBounded(t *testing.T) {
	const limit = 1024
	forever := func(ctx context.Context) error { <-ctx.Done(); return nil }
	panicked := func(s *chassis.Service) (v any) {
		defer func() { v = recover() }()
		s.Go("one more", forever)
		return nil
	}
	want := `chassis: background work "one more": 1024 pieces of it wait or run already; what comes with requests is for a queue (Service.Queue)`
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		for i := range limit {
			s.Go(fmt.Sprint("early ", i), forever)
		}
		if v := panicked(s); v != want {
			t.Errorf("with as many waiting: panicked with %v, want %s", v, want)
		}
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	if v := panicked(h.s); v != want {
		t.Errorf("with as many running: panicked with %v, want %s", v, want)
	}
	h.stop()
}

func TestBackgroundWorkThatHasEndedMakesRoom(t *testing.T) {
	h := start(t, options{}, serve(nil))
	for i := range 3000 {
		done := make(chan struct{})
		h.s.Go(fmt.Sprint(i), func(context.Context) error { close(done); return nil })
		<-done
	}
	h.stop()
}

func TestBackgroundWorkThatFailsInTheDrain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error // nil panics
		want string
		log  string
	}{
		"with the error of its context": {context.Canceled, "", ""},
		"with another error":            {errors.New("flush failed"), "", "background work ended with an error"},
		"with a panic":                  {nil, `background work "work": panic: at last`, "something broke during the drain"},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
				s.Go("work", func(ctx context.Context) error {
					<-ctx.Done()
					if c.err == nil {
						panic("at last")
					}
					return c.err
				})
				return nil
			})
			if err := h.Stop(t.Context()); fmt.Sprint(err) != cmpOr(c.want, "<nil>") {
				t.Errorf("stop: %v, want %s", err, c.want)
			}
			if c.log != "" && len(h.logged(c.log)) != 1 {
				t.Errorf("%q was not logged", c.log)
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestWorkThatDoesNotEndInTimeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 4 * time.Second }},
			func(_ context.Context, s *chassis.Service, _ conf) error {
				for _, name := range []string{"b", "a"} {
					s.Go(name, func(context.Context) error { <-stuck; return nil })
				}
				s.Go("good", func(ctx context.Context) error { <-ctx.Done(); return nil })
				return nil
			})
		begin := time.Now()
		err := h.Stop(t.Context())
		if err == nil || err.Error() != "background work did not end in time: a, b" {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("stopped after %v: want the drain's 4 s and one of grace", took)
		}
		if h.s.State() != chassis.StateFailed {
			t.Errorf("ended in state %v", h.s.State())
		}
	})
}

func TestWhatWasOpenedIsClosedInReverseOrderWhateverGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := make(chan string, 9)
		stuck := make(chan struct{})
		defer close(stuck)
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 3 * time.Second }},
			func(_ context.Context, s *chassis.Service, _ conf) error {
				add := func(name string, f func(ctx context.Context) error) {
					s.OnClose(name, func(ctx context.Context) error {
						order <- name
						return f(ctx)
					})
				}
				add("one", func(ctx context.Context) error { return ctx.Err() })
				add("two", func(context.Context) error { <-stuck; return nil })
				add("three", func(context.Context) error { panic("already closed") })
				add("four", func(context.Context) error {
					add("five", func(context.Context) error { return nil })
					return errors.New("disk full")
				})
				return nil
			})
		begin := time.Now()
		err := h.Stop(context.Background())
		want := "close four: disk full\nclose three: panic: already closed\nclose two: did not return in time"
		if err == nil || err.Error() != want {
			t.Errorf("stop: %v\nwant: %s", err, want)
		}
		for _, want := range []string{"four", "five", "three", "two", "one"} {
			if got := <-order; got != want {
				t.Errorf("closed %s, want %s", got, want)
			}
		}
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("stopped after %v: want the drain's 3 s and one of grace", took)
		}
	})
}

func TestQueuesAreBoundedCountedAndDrained(t *testing.T) {
	release, running := make(chan struct{}), make(chan struct{}, 1)
	var bots *queue.Queue
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		bots = s.Queue("bots", queue.Limits{Workers: 1, Capacity: 1})
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{
			"POST /bot": func(_ http.ResponseWriter, r *http.Request) error {
				return bots.Submit(context.WithoutCancel(r.Context()), queue.Meta{}, func(context.Context) error {
					running <- struct{}{}
					<-release
					return nil
				})
			},
		}))
	})
	for range 2 {
		if a := h.do(h.request("POST", "/bot", nil)); a.StatusCode != 200 {
			t.Fatalf("status %d: %s", a.StatusCode, a.body)
		}
	}
	receive(t, running, "the first work")
	a := h.do(h.request("POST", "/bot", nil))
	if p := a.problem(t); p.Code != 503 || a.Header.Get("Retry-After") != "1" || !p.Retryable {
		t.Errorf("answer of a full queue: %d %s", a.StatusCode, a.body)
	}
	h.wantMetric(1, "queue_depth", "queue", "bots")
	h.wantMetric(1, "queue_capacity", "queue", "bots")
	h.wantMetric(1, "queue_inflight", "queue", "bots")
	h.wantMetric(1, "queue_rejected_total", "queue", "bots", "reason", "full", "class", "critical")
	h.wantMetric(0, "queue_rejected_total", "queue", "bots", "reason", "draining", "class", "sheddable")
	h.wantMetric(1, "failure_total", "code", "503")
	d, err := h.s.Description()
	if want := []chassis.QueueDescription{{Name: "bots", Workers: 1, Capacity: 1}, {Name: "http", Workers: 1000, Capacity: 1000}}; err != nil || !slices.Equal(d.Queues, want) {
		t.Errorf("described %v, %v", d.Queues, err)
	}
	if page := h.admin("/status").body; !strings.Contains(page, "<td>bots</td>") || !strings.Contains(page, "width:100%") {
		t.Error("the status page does not show the queue")
	}
	close(release)
	h.stop()
	if st := bots.Stats(); st.Completed != 2 {
		t.Errorf("%d pieces of work were finished, want 2", st.Completed)
	}
	if err := bots.Do(t.Context(), queue.Meta{}, func(context.Context) error { return nil }); err == nil {
		t.Error("the queue is still open")
	}
}

func TestAQueueThatIsWrittenWrongPanics(t *testing.T) {
	start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		s.Queue("bots", queue.Limits{Workers: 1, Capacity: 1})
		for name, limits := range map[string]queue.Limits{"none": {}, "bots": {Workers: 1, Capacity: 1}} {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "chassis: ") {
						t.Errorf("queue %q: %v", name, v)
					}
				}()
				s.Queue(name, limits)
			}()
		}
		return nil
	})
}

func TestSubmittedWorkThatFailsIsLogged(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		q := s.Queue("bots", queue.Limits{Workers: 1, Capacity: 4})
		return errors.Join(
			q.Submit(context.Background(), queue.Meta{}, func(context.Context) error { return errors.New("no move") }),
			q.Submit(context.Background(), queue.Meta{}, func(context.Context) error { panic("no board") }))
	})
	h.stop()
	lines := h.logged("queued work failed")
	if len(lines) != 2 || lines[0]["error"] != "no move" || lines[0]["stack"] != nil || lines[0]["queue"] != "bots" {
		t.Fatalf("logged %v", lines)
	}
	if stack, _ := lines[1]["stack"].(string); !strings.Contains(stack, "work_test.go") {
		t.Errorf("logged %v", lines[1])
	}
}

func TestTheAccessLogIsWrittenToAFileAndClosedLast(t *testing.T) {
	path := t.TempDir() + "/access.log"
	h := start(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Path = path }},
		serve(routes(map[string]chassis.Handler{"GET /": say("hi")})))
	h.get("/")
	h.stop()
	if h.access.String() != "" {
		t.Error("lines went to standard output")
	}
	if text := readFile(t, path); !strings.Contains(text, `"GET / HTTP/1.1" 200 2 `) {
		t.Errorf("the file holds %q", text)
	}
	h.wantMetric(1, "access_log_lines_total")
	off := start(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Path = "off" }},
		serve(routes(map[string]chassis.Handler{"GET /": say("hi")})))
	off.get("/")
	off.stop()
	if off.access.String() != "" {
		t.Error("an access log that is off is written")
	}
	if _, ok := off.metric("access_log_lines_total"); ok {
		t.Error("an access log that is off is counted")
	}
	_, err := try(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Path = "/nonexistent/access.log" }}, serve(routes(nil)))
	if err == nil || err.Error() != "test: access_log.path: open the access log: open /nonexistent/access.log: no such file or directory" {
		t.Errorf("error %v", err)
	}
}

func TestAnAccessLogThatCannotBeWrittenIsToldAtTheEnd(t *testing.T) {
	h := start(t, options{world: func(w *chassis.World) { w.Stdout = brokenPipe{} }}, serve(routes(map[string]chassis.Handler{"GET /": say("hi")})))
	h.get("/")
	if err := h.Stop(t.Context()); err == nil || err.Error() != "close the access log: close access log: broken pipe" {
		t.Errorf("stop: %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

var _ io.Writer = brokenPipe{}
