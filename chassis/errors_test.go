package chassis_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// failedPage is what /errors answers as JSON.
type failedPage struct {
	Groups  []aggregate.Group `json:"groups"`
	One     *aggregate.Group  `json:"group"`
	Found   *aggregate.Seen   `json:"found"`
	Problem string            `json:"problem"`
}

// failing is a service whose routes fail in every way.
func failing(t *testing.T, o options) *host {
	return start(t, o, serve(routes(map[string]chassis.Handler{
		"GET /store/{id}": func(http.ResponseWriter, *http.Request) error {
			return errStore.With("shard", failure.Safe("eu-1")).With("password", "hunter2").Wrap(errors.New("dial 10.1.2.3"))
		},
		"GET /full":      fails(errFull.New()),
		"GET /unknown":   fails(errors.New("nobody declared this")),
		"GET /panic":     func(http.ResponseWriter, *http.Request) error { return fourth(none) },
		"GET /panic-nil": func(http.ResponseWriter, *http.Request) error { panic(nil) },
		"GET /abort":     func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
		"GET /goexit":    func(http.ResponseWriter, *http.Request) error { runtime.Goexit(); return nil },
		"GET /slow":      fails(context.DeadlineExceeded),
	})))
}

var none []error

func fourth(errs []error) error { return errs[3] }

func (h *host) failures(query string) failedPage {
	h.tb.Helper()
	return parse[failedPage](h.tb, h.admin("/errors?format=json"+query).body)
}

func TestWhatFailsIsGroupedByCodeAndPlace(t *testing.T) {
	h := failing(t, options{})
	for range 3 {
		h.get("/store/77?token=secret", "Authorization", "Basic YWRhOmh1bnRlcjI=")
	}
	h.get("/full")
	h.get("/unknown")
	h.get("/slow")
	groups := h.failures("").Groups
	got := map[int]aggregate.Group{}
	for _, g := range groups {
		got[g.Code.Number] = g
	}
	if len(groups) != 4 || groups[0].Code.Number != 1201 || got[1201].Count != 3 || got[1001].Count != 1 || got[1].Count != 1 {
		t.Fatalf("groups %+v", groups)
	}
	if place := got[1201].Place; !strings.HasPrefix(place, "chassis_test.failing.func1 chassis/errors_test.go:") {
		t.Errorf("place %q", place)
	}
	if got[1].Place != "GET /unknown" || got[504].Place != "GET /slow" || !strings.HasSuffix(got[1001].Place, "help_test.go:38") {
		t.Errorf("places %q, %q, %q", got[1].Place, got[504].Place, got[1001].Place)
	}
	s := got[1201].Sample
	if s.Route != "GET /store/{id}" || s.Status != 503 || s.Protocol != "http" || s.Listener != "http" || s.Method != "GET" || s.User == "" || s.RequestID == "" || s.TraceID == "" || len(s.Stack) == 0 {
		t.Errorf("sample %+v", s)
	}
	page := h.admin("/errors?format=json").body
	for _, secret := range []string{"hunter2", "10.1.2.3", "secret", `"ada"`, "/store/77", "YWRh"} {
		if strings.Contains(page, secret) {
			t.Errorf("%q is in %s", secret, page)
		}
	}
}

func TestAPanicIsAFailureAndACutConnectionIsNone(t *testing.T) {
	h := failing(t, options{})
	for path, want := range map[string]string{
		"/panic": "internal error: panic: runtime error: index out of range [3] with length 0", "/panic-nil": "panic called with nil argument", "/goexit": "goroutine ended by runtime.Goexit",
	} {
		a := h.get(path)
		p := a.problem(t)
		if a.StatusCode != 500 || p.Code != 1 {
			t.Errorf("%s: %d, %v", path, a.StatusCode, p)
		}
		f := h.failures("&id=" + p.ID)
		if f.One == nil || !f.One.Sample.Panic || !strings.Contains(f.One.Sample.Message, want) || !strings.Contains(f.One.Place, "chassis/errors_test.go:") {
			t.Errorf("%s: %+v", path, f)
		}
	}
	res, err := h.client.Do(h.request("GET", "/abort", nil))
	if err == nil {
		_ = res.Body.Close()
		t.Error("the connection was not cut")
	}
	if n := len(h.failures("").Groups); n != 3 {
		t.Errorf("%d groups, want 3", n)
	}
	h.stop()
	for _, rec := range h.lines() {
		if rec.URI != "/abort" && rec.Status != 500 {
			t.Errorf("the access line of %s has status %d", rec.URI, rec.Status)
		}
	}
}

func TestAnErrorIDIsFoundByThePageAndByTheAccessLine(t *testing.T) {
	h := failing(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Format = `%h %l %u %t "%r" %>s %b %{error_id}x` }})
	id := h.get("/store/1").problem(t).ID
	f := h.failures("&id=" + strings.ToLower(id))
	if f.One == nil || f.Found == nil || f.Found.ID != id || f.Found.RequestID == "" {
		t.Errorf("found %+v", f)
	}
	if a := h.admin("/errors?id=000000000000"); a.StatusCode != 404 || !strings.Contains(a.body, "not among the newest") {
		t.Errorf("an id nobody was told: %d", a.StatusCode)
	}
	if a := h.admin("/errors?id=what"); a.StatusCode != 400 || !strings.Contains(a.body, "no character of one") && !strings.Contains(a.body, "want 12") {
		t.Errorf("no id: %d %s", a.StatusCode, a.body)
	}
	if a := h.admin("/errors?group=nothing"); a.StatusCode != 404 {
		t.Errorf("no group: %d", a.StatusCode)
	}
	h.stop()
	if text := h.access.String(); !strings.HasSuffix(strings.TrimSpace(text), " "+id) {
		t.Errorf("access log %q", text)
	}
}

func TestThePageOfFailuresTellsPeople(t *testing.T) {
	h := failing(t, options{})
	if body := h.admin("/errors").body; !strings.Contains(body, "Nothing has failed.") {
		t.Errorf("before the first: %s", body)
	}
	id := h.get("/store/1").problem(t).ID
	h.get("/slow")
	body := h.admin("/errors").body
	for _, want := range []string{"test 1201: the store does not answer", "chassis_test.failing.func1", `<span class="tag">new</span>`, "time-out", `http-equiv="refresh"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %q:\n%s", want, body)
		}
	}
	body = h.admin("/errors?refresh=off&id=" + id).body
	for _, want := range []string{id, "the store does not answer (shard=eu-1)", "[redacted]", "Stack", "GET /store/{id}", "pin: keep it"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page of one does not have %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("it refreshes though it is not to")
	}
	if status := h.admin("/status").body; !strings.Contains(status, `<a href="/errors">Failures</a>`) {
		t.Error("the status page has no link")
	}
}

func TestAGroupIsPinnedByOperatorsOnly(t *testing.T) {
	h := failing(t, options{})
	h.get("/store/1")
	key := h.failures("").Groups[0].Key
	post := func(form url.Values, header ...string) int {
		req, err := http.NewRequest("POST", h.url("admin", "/errors/pin"), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return h.do(req).StatusCode
	}
	pinned := func() bool { return h.failures("").Groups[0].Pinned }
	if status := post(url.Values{"group": {key}, "pinned": {"true"}}); status != 303 || !pinned() {
		t.Errorf("pin: %d, pinned %v", status, pinned())
	}
	if status := post(url.Values{"group": {key}, "pinned": {"false"}}, "Sec-Fetch-Site", "cross-site"); status != 403 || !pinned() {
		t.Errorf("from a page of somebody else: %d, pinned %v", status, pinned())
	}
	if status := post(url.Values{"group": {key}, "pinned": {"false"}}); status != 303 || pinned() {
		t.Errorf("unpin: %d, pinned %v", status, pinned())
	}
	for name, form := range map[string]url.Values{
		"no group": {"group": {"nothing"}, "pinned": {"true"}}, "no decision": {"group": {key}}, "too large": {"group": {strings.Repeat("x", 20<<10)}},
	} {
		if status := post(form); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// reports is a sink that keeps what it is told.
type reports struct {
	mu   sync.Mutex
	all  []aggregate.Report
	fail error
}

func (r *reports) Take(_ context.Context, one aggregate.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
	return r.fail
}

// count is how many failures it was told of.
func (r *reports) count() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		n += one.Count
	}
	return n
}

func TestSinksAreToldOfAllFailuresBeforeTheyAreClosed(t *testing.T) {
	sink := &reports{fail: errors.New("full")}
	told := 0
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		s.OnClose("what the sink needs", func(context.Context) error {
			sink.mu.Lock()
			defer sink.mu.Unlock()
			for _, r := range sink.all {
				told += int(r.Count)
			}
			return nil
		})
		s.ReportFailures("sink", sink)
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /{$}": fails(errStore.New()), "GET /full": fails(errFull.New())}))
	})
	for range 25 {
		h.get("/")
		h.get("/full")
	}
	h.stop()
	if told != 25 || len(sink.all) != 11 || sink.all[10].Total != 25 || sink.all[0].Service != "test" {
		t.Errorf("told of %d failures in %d reports", told, len(sink.all))
	}
	if n := len(h.logged("a report of failures was not taken")); n != 11 {
		t.Errorf("%d lines of what was not taken", n)
	}
}

func TestWorkThatFailsInTheBackgroundIsAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		work func(context.Context) error
		code float64
		want string
	}{
		"an error":    {func(context.Context) error { return errors.New("no more") }, 1, "background work sweep"},
		"a code":      {func(context.Context) error { return errGone.New() }, 1002, "chassis_test.TestWorkThatFailsInTheBackgroundIsAFailure"},
		"a panic":     {func(context.Context) error { panic("no") }, 1, "chassis_test.TestWorkThatFailsInTheBackgroundIsAFailure"},
		"an end":      {func(context.Context) error { runtime.Goexit(); return nil }, 1, "background work sweep"},
		"a cancelled": {func(context.Context) error { return context.Canceled }, 1, "background work sweep"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := &reports{}
			started := make(chan struct{}) // who fails before does not start
			h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
				s.ReportFailures("sink", sink)
				s.Go("sweep", func(ctx context.Context) error {
					<-started
					return c.work(ctx)
				})
				return nil
			})
			close(started)
			receive(t, h.Done(), "the end")
			if len(sink.all) != 1 || float64(sink.all[0].Code.Number) != c.code || !strings.HasPrefix(sink.all[0].Place, c.want) || sink.all[0].Sample.Status != 0 {
				t.Errorf("reports %+v", sink.all)
			}
			lines := h.logged("background work failed")
			if len(lines) != 1 || lines[0]["error_id"] != sink.all[0].Sample.ID {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

func TestQueuedWorkThatFailsIsAFailure(t *testing.T) {
	sink := &reports{}
	done := make(chan struct{})
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		s.ReportFailures("sink", sink)
		q := s.Queue("bots", queue.Limits{Workers: 1, Capacity: 4})
		s.Go("once", func(ctx context.Context) error {
			defer close(done)
			return q.Submit(ctx, queue.Meta{}, func(context.Context) error { panic("bot") })
		})
		return nil
	})
	receive(t, done, "the work")
	h.stop()
	if len(sink.all) != 1 || !sink.all[0].Sample.Panic || !strings.HasPrefix(sink.all[0].Place, "chassis_test.TestQueuedWorkThatFailsIsAFailure") || sink.all[0].Sample.Route != "queue bots" {
		t.Errorf("reports %+v", sink.all)
	}
}

func TestTheGroupsOfFailuresOutliveAReload(t *testing.T) {
	before := supervise()
	old := failing(t, before.options())
	old.get("/store/1")
	id := old.get("/store/1").problem(t).ID
	last, err := before.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	carried, err := before.counter.Carry([]reload.Snapshot{{Worker: 1, Data: last}, {Worker: 0, Data: another(t, 1, 1, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	after := supervise()
	after.worker, after.others = 3, []reload.Snapshot{{Worker: 2, Data: carried}}
	young := failing(t, after.options())
	young.get("/store/1")
	f := young.failures("")
	if len(f.Groups) != 1 || f.Groups[0].Count != 3 {
		t.Fatalf("groups %+v", f.Groups)
	}
	if found := young.failures("&id=" + id); found.Found == nil {
		t.Error("an id of before the reload is not found")
	}
	if n := metricOf(t, carried, "things_total"); n != 1 {
		t.Errorf("carried %v things", n)
	}
	req, _ := http.NewRequest("POST", young.url("admin", "/errors/pin"), strings.NewReader(url.Values{"group": {f.Groups[0].Key}, "pinned": {"true"}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status := young.do(req).StatusCode; status != 303 || !young.failures("").Groups[0].Pinned {
		t.Errorf("pinned with %d", status)
	}

	after.others = append(after.others, reload.Snapshot{Worker: 1, Data: append(carried[:len(carried):len(carried)], "no JSON"...)})
	if f := young.failures(""); !strings.Contains(f.Problem, "snapshot of worker 1") || len(f.Groups) != 1 {
		t.Errorf("with a snapshot that is broken: %+v", f)
	}
}

func TestAWorkerUnpinsWhatFailedInAnother(t *testing.T) {
	c := clock.NewVirtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	timed := func(sup *supervisor) options {
		o := sup.options()
		host := o.world
		o.world = func(w *chassis.World) { host(w); w.Clock = c }
		return o
	}
	before, after := supervise(), supervise()
	old := failing(t, timed(before))
	old.get("/store/1")
	old.get("/slow")
	pin := func(h *host, key, pinned string) int {
		req := h.request("POST", "", strings.NewReader(url.Values{"group": {key}, "pinned": {pinned}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		req.URL.Host, req.URL.Path = h.Addr("admin").String(), "/errors/pin"
		return h.do(req).StatusCode
	}
	key := ""
	for _, g := range old.failures("").Groups {
		if g.Code.Number == 1201 {
			key = g.Key
		}
	}
	if status := pin(old, key, "true"); status != 303 {
		t.Fatalf("pinned with %d", status)
	}
	snapshot, err := before.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * aggregate.Keep)
	carried, err := carriedOn(t, timed, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	after.others = []reload.Snapshot{{Worker: 1, Data: carried}}
	young := failing(t, timed(after))
	if groups := young.failures("").Groups; len(groups) != 1 || !groups[0].Pinned {
		t.Fatalf("after two quiet weeks: %+v", groups)
	}
	if status := pin(young, key, "false"); status != 303 {
		t.Errorf("unpinned with %d", status)
	}
	if groups := young.failures("").Groups; len(groups) != 1 || groups[0].Pinned || groups[0].Count != 1 {
		t.Errorf("unpinned: %+v", groups)
	}
	c.Advance(aggregate.Keep)
	if groups := young.failures("").Groups; len(groups) != 0 {
		t.Errorf("a quiet week later: %+v", groups)
	}
	last, err := after.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	carried, err = after.counter.Carry([]reload.Snapshot{{Worker: 1, Data: carried}, {Worker: 2, Data: last}})
	if err != nil || strings.Contains(string(carried), key) {
		t.Errorf("it is carried on: %v, %q", err, carried)
	}
}

// carried is what is carried on of a worker that has ended, by one of another life of the service.
func carriedOn(t *testing.T, timed func(*supervisor) options, snapshot []byte) ([]byte, error) {
	other := supervise()
	failing(t, timed(other)).stop()
	carried, err := other.counter.Carry([]reload.Snapshot{{Worker: 1, Data: snapshot}})
	if strings.Contains(string(carried), "chassis 504") {
		t.Errorf("a group that was quiet for seven days is carried on: %q", carried)
	}
	return carried, err
}

func TestTheTotalOfAReportHasWhatWasCountedBeforeAReload(t *testing.T) {
	sink := &reports{}
	run := func(sup *supervisor) *host {
		return start(t, sup.options(), func(_ context.Context, s *chassis.Service, c conf) error {
			s.ReportFailures("sink", sink)
			return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /{$}": fails(errStore)}))
		})
	}
	before := supervise()
	old := run(before)
	old.get("/")
	old.get("/")
	snapshot, err := before.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	after := supervise()
	after.worker, after.others = 3, []reload.Snapshot{{Worker: 2, Data: snapshot}}
	young := run(after)
	young.get("/")
	_ = young.Stop(context.Background())
	if last := sink.all[len(sink.all)-1]; last.Total != 3 || last.Generation != 3 || last.Count != 1 {
		t.Errorf("last report %+v", last)
	}
}

// Failures at any rate must not make a request much dearer.
func BenchmarkFail(b *testing.B) {
	h := start(b, options{world: func(w *chassis.World) { w.Log = nil; w.Stderr = io.Discard }, settings: func(s *chassis.Settings) { s.Log.Level = "error"; s.AccessLog.Path = "off" }}, serve(routes(nil)))
	for name, make := range map[string]func() error{"caller": func() error { return errFull.New() }, "dependency": func() error { return errStore.New() }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.s.Fail(context.Background(), make(), chassis.Asked{})
			}
		})
	}
}
