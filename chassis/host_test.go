package chassis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// supervisor is a chassis.Host inside the test. Its fields are set before the service starts.
type supervisor struct {
	worker int
	alone  bool
	commit chan struct{}    // closed to let the worker serve; nil lets it at once
	broken map[string]error // what methods return
	others []reload.Snapshot
	status *reload.Status
	locks  chan struct{} // one lock for all names: holds a token when it is free

	orders chan reload.Order
	hurry  chan struct{}

	mu      sync.Mutex
	calls   []string
	limits  reload.Limits
	counter reload.Counter
	adopt   reload.AdoptFunc
	last    []byte
}

func supervise() *supervisor {
	s := &supervisor{worker: 2, orders: make(chan reload.Order, 1), hurry: make(chan struct{}), broken: map[string]error{}, locks: make(chan struct{}, 1)}
	s.locks <- struct{}{}
	return s
}

// options has a service be the worker of s.
func (s *supervisor) options() options {
	return options{world: func(w *chassis.World) { *w = chassis.Hosted(*w, s) }}
}

func (s *supervisor) called(method string, detail ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, strings.Join(append([]string{method}, detail...), " "))
	return s.broken[method]
}

func (s *supervisor) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.calls, want) {
		t.Errorf("the supervisor was told %q, want %q", s.calls, want)
	}
}

func (s *supervisor) Worker() int                 { return s.worker }
func (s *supervisor) Alone() bool                 { return s.alone }
func (s *supervisor) Orders() <-chan reload.Order { return s.orders }
func (s *supervisor) Hurry() <-chan struct{}      { return s.hurry }

func (s *supervisor) Hello(_ string, limits reload.Limits, counter reload.Counter, adopt reload.AdoptFunc) error {
	s.mu.Lock()
	s.limits, s.counter, s.adopt = limits, counter, adopt
	s.mu.Unlock()
	return s.called("hello")
}

func (s *supervisor) Listen(_ context.Context, name, network, address string) (net.Listener, error) {
	if err := s.called("listen", name); err != nil {
		return nil, err
	}
	return net.Listen(network, address)
}

func (s *supervisor) Ready(ctx context.Context) error {
	err := s.called("ready")
	if s.commit != nil {
		select {
		case <-s.commit:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (s *supervisor) Failed(r reload.Reason, err error) error {
	return s.called("failed", string(r)+":", err.Error())
}

func (s *supervisor) Release(context.Context) error { return s.called("release") }

func (s *supervisor) Give(name string, _ syscall.Conn, _ []byte) error { return s.called("give", name) }

func (s *supervisor) Status(context.Context) (*reload.Status, error) {
	return s.status, s.broken["status"]
}

func (s *supervisor) Gather(ctx context.Context, count func() []byte) ([]reload.Snapshot, *reload.Status, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	count()
	return s.others, s.status, s.broken["gather"]
}

func (s *supervisor) Leave(_ context.Context, last []byte) error {
	s.mu.Lock()
	s.last = last
	s.mu.Unlock()
	return s.called("leave")
}

func (s *supervisor) Lock(ctx context.Context, name string) (func(), error) {
	if err := s.called("lock", name); err != nil {
		return nil, err
	}
	select {
	case <-s.locks:
		return func() { _ = s.called("unlock", name); s.locks <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// metric is a series among those that the snapshot data holds.
func metricOf(t *testing.T, data []byte, name string) float64 {
	t.Helper()
	families, err := kpi.NewMerger(nil).Merge(kpi.Generation{Living: true, Data: chassis.MetricsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestAWorkerServesOnceItIsToldTo(t *testing.T) {
	sup := supervise()
	sup.commit = make(chan struct{})
	bound := make(chan *chassis.Service, 1)
	o := sup.options()
	o.settings = func(s *chassis.Settings) {
		s.Drain.Timeout, s.Drain.ReadinessDelay = 7*time.Second, 4*time.Second
		s.Reload = chassis.ReloadConfig{StartTimeout: 9 * time.Second, MaxDraining: 5}
	}
	started := make(chan *host, 1)
	go func() {
		h, err := try(t, o, func(_ context.Context, s *chassis.Service, c conf) error {
			defer func() { bound <- s }()
			return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("hello")}))
		})
		if err != nil {
			t.Error(err)
		}
		started <- h
	}()
	s := receive(t, bound, "Setup")
	type got struct {
		status int
		body   string
		err    error
	}
	answers := make(chan got, 2)
	for _, url := range []string{"http://" + s.Addr("http").String() + "/", "http://" + s.Addr("admin").String() + "/readyz"} {
		go func() {
			res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
			if err != nil {
				answers <- got{err: err}
				return
			}
			a := read(res)
			answers <- got{a.StatusCode, a.body, a.err}
		}()
	}
	select {
	case a := <-answers:
		t.Errorf("answered before the worker was told to serve: %+v", a)
	case <-time.After(50 * time.Millisecond): // a wrong answer would take less
	}
	close(sup.commit)
	for range 2 {
		if a := receive(t, answers, "the answer"); a.status != 200 || a.body != "hello" && a.body != "ok\n" || a.err != nil {
			t.Errorf("answered %+v", a)
		}
	}
	receive(t, started, "the start")
	sup.wantCalls(t, "hello", "listen admin", "listen http", "ready")
	if want := (reload.Limits{Start: 9 * time.Second, Drain: 12 * time.Second, Stop: 16 * time.Second, Draining: 5}); sup.limits != want {
		t.Errorf("limits %+v, want %+v", sup.limits, want)
	}
}

func TestTheFirstWorkerAnswersProbesDuringSetup(t *testing.T) {
	sup := supervise()
	sup.alone = true
	start(t, sup.options(), func(_ context.Context, s *chassis.Service, _ conf) error {
		for path, want := range map[string]int{"/livez": 200, "/startupz": 503, "/readyz": 503} {
			res, err := http.Get("http://" + s.Addr("admin").String() + path)
			if err != nil {
				return err
			}
			if a := read(res); a.StatusCode != want {
				t.Errorf("%s during Setup: %d %q", path, a.StatusCode, a.body)
			}
		}
		return nil
	})
}

// probe asks the admin listener over one connection, without a second try.
type probe struct {
	net.Conn
	r *bufio.Reader
}

func probing(t *testing.T, addr net.Addr) *probe {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &probe{c, bufio.NewReader(c)}
}

func (p *probe) ask(path string) (int, string, error) {
	_ = p.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(p, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return 0, "", err
	}
	a := read(res)
	return a.StatusCode, a.body, a.err
}

// held is a setup whose route /held answers when release is closed; it tells entered before.
func held(entered chan<- struct{}, release <-chan struct{}) setup {
	return serve(routes(map[string]chassis.Handler{
		"GET /": say("hello"),
		"GET /held": func(w http.ResponseWriter, _ *http.Request) error {
			entered <- struct{}{}
			<-release
			_, err := io.WriteString(w, "done")
			return err
		},
	}))
}

func TestAReplacedWorkerDrainsWithoutFailingItsProbes(t *testing.T) {
	sup := supervise()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	o := sup.options()
	o.settings = func(s *chassis.Settings) { s.Drain.ReadinessDelay = time.Hour } // is for stops
	h := start(t, o, held(entered, release))
	var states []chassis.State
	h.s.OnState(func(s chassis.State) { states = append(states, s) })
	idle := probing(t, h.Addr("http"))
	if code, body, err := idle.ask("/"); code != 200 || body != "hello" || err != nil {
		t.Fatalf("%d %q, %v", code, body, err)
	}
	admin := probing(t, h.Addr("admin"))
	if code, _, err := admin.ask("/readyz"); code != 200 || err != nil {
		t.Fatalf("%d, %v", code, err)
	}
	if h.s.Replaced() {
		t.Error("replaced before anybody said so")
	}
	answer := make(chan string, 1)
	busy := probing(t, h.Addr("http"))
	go func() {
		_, body, err := busy.ask("/held")
		answer <- fmt.Sprint(body, err)
	}()
	receive(t, entered, "the request")
	// The checks of a worker that leaves are asked by what is under way on its connections: here
	// by a caller inside.
	draining := make(chan error, 1)
	h.s.OnState(func(s chassis.State) {
		if s == chassis.StateDraining {
			draining <- h.s.ReadyError(context.Background())
		}
	})
	sup.orders <- reload.Order{}
	if err := receive(t, draining, "the drain"); err != nil || !h.s.Replaced() {
		t.Errorf("while it drains: %v, replaced %v", err, h.s.Replaced())
	}
	close(release)
	if got := receive(t, answer, "the answer"); got != "done<nil>" {
		t.Errorf("the request under way got %q", got)
	}
	receive(t, h.Done(), "the end")
	if err := h.Err(); err != nil {
		t.Error(err)
	}
	if !slices.Equal(states, []chassis.State{chassis.StateDraining, chassis.StateClosed}) {
		t.Errorf("states %v", states)
	}
	sup.mu.Lock()
	calls := slices.Clone(sup.calls)
	sup.mu.Unlock()
	given := slices.Sorted(slices.Values(calls[4 : len(calls)-1]))
	if !slices.Equal(given, []string{"give admin", "give http", "give http"}) || calls[len(calls)-1] != "leave" {
		t.Errorf("the supervisor was told %q", calls)
	}
	if n := metricOf(t, sup.last, "requests_total"); n != 2 {
		t.Errorf("the last words count %v requests", n)
	}
	if n := metricOf(t, sup.last, "connections_given_total"); n != 2 {
		t.Errorf("the last words count %v connections given", n)
	}
}

func TestAWorkerThatIsToldToStopHasItsListenersReleased(t *testing.T) {
	for _, broken := range []bool{false, true} {
		sup := supervise()
		if broken {
			sup.broken["release"], sup.broken["leave"] = errors.New("no answer"), errors.New("gone")
		}
		h := start(t, sup.options(), serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
		ready := make(chan error, 1)
		h.s.OnState(func(s chassis.State) {
			if s == chassis.StateDraining {
				ready <- h.s.ReadyError(context.Background())
			}
		})
		sup.orders <- reload.Order{Stop: true}
		if err := receive(t, ready, "the drain"); err == nil || err.Error() != "state: the service is draining" {
			t.Errorf("ready while it stops: %v", err)
		}
		receive(t, h.Done(), "the end")
		if err := h.Err(); err != nil || h.s.Replaced() {
			t.Errorf("ended with %v, replaced %v", err, h.s.Replaced())
		}
		sup.wantCalls(t, "hello", "listen admin", "listen http", "ready", "release", "leave")
		for message, want := range map[string]string{
			"the supervisor has not closed its listeners":            "no answer",
			"what this worker counted since the last scrape is lost": "gone",
		} {
			logged := h.logged(message)
			if !broken && len(logged) != 0 || broken && (len(logged) != 1 || logged[0]["error"] != want) {
				t.Errorf("%s: %v", message, logged)
			}
		}
	}
}

func TestAWorkerThatFailsHasAnotherOneStarted(t *testing.T) {
	for _, c := range []struct {
		name     string
		end      func(h *host, die chan<- error)
		lost     bool // there is no supervisor any more
		replaced bool
		told     string
		err      string
	}{
		{"work that fails", func(_ *host, die chan<- error) { die <- errors.New("lost the journal") }, false, true,
			`failed crash: background work "journal": lost the journal`, `background work "journal": lost the journal`},
		{"work that fails without a supervisor", func(_ *host, die chan<- error) { die <- errors.New("lost the journal") }, true, false,
			`failed crash: background work "journal": lost the journal`, `background work "journal": lost the journal`},
		{"a signal", func(h *host, _ chan<- error) { go h.Stop(context.Background()) }, false, true, "failed stopping: a signal told it to stop", ""},
		{"a signal without a supervisor", func(h *host, _ chan<- error) { go h.Stop(context.Background()) }, true, false, "failed stopping: a signal told it to stop", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sup := supervise()
			if c.lost {
				sup.broken["failed"] = errors.New("there is no supervisor")
			}
			die := make(chan error, 1)
			h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, _ conf) error {
				s.Go("journal", func(ctx context.Context) error {
					select {
					case err := <-die:
						return err
					case <-ctx.Done():
						return nil
					}
				})
				return nil
			})
			c.end(h, die)
			receive(t, h.Done(), "the end")
			if err := h.Err(); c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
				t.Errorf("ended with %v", err)
			}
			if h.s.Replaced() != c.replaced {
				t.Errorf("replaced: %v", h.s.Replaced())
			}
			want := []string{"hello", "listen admin", "ready", c.told, "leave"}
			if c.lost && c.err == "" {
				want = []string{"hello", "listen admin", "ready", c.told, "release", "leave"}
			}
			sup.wantCalls(t, want...)
		})
	}
}

func TestASignalThatAlsoReachedTheSupervisorIsAStop(t *testing.T) {
	sup := supervise()
	h := start(t, sup.options(), func(context.Context, *chassis.Service, conf) error { return nil })
	go h.Stop(context.Background())
	sup.orders <- reload.Order{Stop: true}
	receive(t, h.Done(), "the end")
	if h.s.Replaced() {
		t.Error("it waits for a successor that nobody starts")
	}
	sup.wantCalls(t, "hello", "listen admin", "ready", "release", "leave")
}

func TestASecondSignalEndsTheDelayBeforeAStop(t *testing.T) {
	sup := supervise()
	o := sup.options()
	settings := o.settings
	o.settings = func(s *chassis.Settings) {
		if settings != nil {
			settings(s)
		}
		s.Drain.ReadinessDelay = time.Hour
	}
	h := start(t, o, func(context.Context, *chassis.Service, conf) error { return nil })
	sup.orders <- reload.Order{Stop: true}
	close(sup.hurry)
	receive(t, h.Done(), "the end")
}

func TestAWorkerThatCannotServeSaysWhy(t *testing.T) {
	nothing := func(context.Context, *chassis.Service, gameConf) error { return nil }
	for _, c := range []struct {
		name   string
		broken string // a method of the supervisor
		setup  func(context.Context, *chassis.Service, gameConf) error
		args   []string
		told   []string
		stderr string
	}{
		{"a flag that nobody has", "", nothing, []string{"-nope"},
			[]string{"failed config: flag provided but not defined: -nope; gamed -h shows the flags"}, "gamed: flag provided but not defined: -nope; gamed -h shows the flags\n"},
		{"an introduction that fails", "hello", nothing, nil, []string{"hello", "failed config: broken"}, "gamed: broken\n"},
		{"a Setup that fails", "", func(context.Context, *chassis.Service, gameConf) error { return errors.New("no journal") }, nil,
			[]string{"hello", "listen admin", "failed setup: no journal", "leave", "failed config: no journal"}, "no journal\n"},
		{"a listener that is not given", "listen", nothing, nil,
			[]string{"hello", "listen admin", `failed setup: listener "admin": cannot listen on 127.0.0.1:0: broken`, "leave", `failed config: listener "admin": cannot listen on 127.0.0.1:0: broken`}, ""},
		{"a commit that does not come", "ready", nothing, nil,
			[]string{"hello", "listen admin", "ready", "failed setup: it was ready, but is not to serve: broken", "leave", "failed config: it was ready, but is not to serve: broken"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sup := supervise()
			sup.broken[c.broken] = errors.New("broken")
			var stderr buffer
			code := chassis.RunWorker(t.Context(), game(c.setup), sup, append([]string{"-access_log.path", "off"}, c.args...), &stderr)
			if code == 0 || !strings.HasSuffix(stderr.String(), c.stderr) {
				t.Errorf("exit code %d, %q", code, stderr.String())
			}
			sup.wantCalls(t, c.told...)
		})
	}
}

func TestTheAccessLogOfAWorkerWithoutASupervisorIsClosed(t *testing.T) {
	sup := supervise()
	sup.broken["hello"] = errors.New("there is no supervisor")
	o := sup.options()
	path := filepath.Join(t.TempDir(), "access.log")
	o.settings = func(s *chassis.Settings) { s.AccessLog.Path = path }
	synctest.Test(t, func(t *testing.T) { // ends only when all goroutines have
		if _, err := try(t, o, serve(routes(nil))); err == nil || !strings.Contains(err.Error(), "there is no supervisor") {
			t.Errorf("started: %v", err)
		}
	})
}

func TestAWorkerThatIsHurriedCutsWhatIsUnderWay(t *testing.T) {
	sup := supervise()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	h := start(t, sup.options(), held(entered, release))
	got := make(chan error, 1)
	c := probing(t, h.Addr("http"))
	go func() {
		_, _, err := c.ask("/held")
		got <- err
	}()
	receive(t, entered, "the request")
	sup.orders <- reload.Order{}
	close(sup.hurry)
	if err := receive(t, got, "the cut"); err == nil {
		t.Error("the request under way was answered")
	}
	receive(t, h.Done(), "the end")
	if n := len(h.logged("requests were cut off")); n != 1 {
		t.Errorf("logged %d times that requests were cut off", n)
	}
}

// plain is a Server that takes no connections over.
type plain struct{}

func (plain) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		_ = c.Close()
	}
}
func (plain) Drain(context.Context) error { return nil }
func (plain) Close() error                { return nil }

func TestConnectionsThatAreHandedOverAreServed(t *testing.T) {
	sup := supervise()
	h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, c conf) error {
		if err := s.Serve("own", "own", "127.0.0.1:0", plain{}, nil); err != nil {
			return err
		}
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("hello")}))
	})
	// handOver makes a connection and hands its other end over.
	var told atomic.Int64
	handOver := func(name string) (*probe, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := probing(t, l.Addr())
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		err = sup.adopt(name, server, []byte{}, func() error { told.Add(1); return nil })
		if err != nil {
			_ = server.Close()
		}
		return client, err
	}
	for name, want := range map[string][2]string{"http": {"/", "hello"}, "admin": {"/livez", "ok\n"}} {
		c, err := handOver(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if code, body, err := c.ask(want[0]); code != 200 || body != want[1] || err != nil {
				t.Errorf("%s: %d %q, %v", name, code, body, err)
			}
		}
	}
	for _, name := range []string{"nope", "own"} {
		if _, err := handOver(name); err == nil || err.Error() != fmt.Sprintf("no listener %q takes connections over", name) {
			t.Errorf("adopting for %q: %v", name, err)
		}
	}
	if n := told.Load(); n != 2 {
		t.Errorf("the predecessor was told of %d connections", n)
	}
	h.wantMetric(1, "connections_adopted_total", "listener", "http")
}

// another is the snapshot of another worker's gauges, and of the counter things_total.
func another(t *testing.T, games, peak, last, things float64) []byte {
	t.Helper()
	r := prometheus.NewRegistry()
	count(r, games, peak, last, things)
	kpi.RegisterRuntime(r)
	data, err := kpi.Snapshot(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func count(r *prometheus.Registry, games, peak, last, things float64) {
	for name, value := range map[string]float64{"games": games, "peak": peak, "latest": last} {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "A gauge."})
		g.Set(value)
		r.MustRegister(g)
	}
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "things_total", Help: "A counter."})
	c.Add(things)
	r.MustRegister(c)
}

// series reads what /metrics shows: figures by name and labels.
func series(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			out[key] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestAScrapeShowsAllWorkers(t *testing.T) {
	started := time.UnixMilli(1_700_000_000_500)
	sup := supervise()
	sup.others = []reload.Snapshot{
		{Worker: 1, Data: another(t, 100, 100, 100, 1)}, // ended
		{Worker: 2, Living: true, Data: another(t, 5, 50, 7, 20)},
	}
	sup.worker = 3
	sup.status = &reload.Status{
		Workers: []reload.WorkerStatus{{Worker: 2, Phase: reload.Draining}, {Worker: 3, Phase: reload.Active}},
		Counts:  reload.Counts{Reloads: 2, Failed: map[reload.Reason]uint64{reload.ReasonSetup: 4, reload.ReasonExec: 0}, Crashes: 5, Killed: 6, Rollbacks: 7, Upgrades: 8, Takeovers: 9},
		Last:    &reload.Outcome{Time: started},
	}
	h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, c conf) error {
		count(s.Registry(), 2, 30, 9, 300)
		s.MergeGauge("games", kpi.Sum)
		s.MergeGauge("peak", kpi.Max)
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("hello")}))
	})
	h.get("/")
	got := series(t, h.admin("/metrics").body)
	for name, want := range map[string]float64{
		"games": 7, "peak": 50, "latest": 9, "things_total": 321,
		"requests_total{code=200,listener=http,method=GET,route=GET /}": 1,
		"reload_total": 2, "reload_failed_total{reason=setup}": 4, "reload_failed_total{reason=exec}": 0,
		"worker_crashes_total": 5, "worker_killed_total": 6, "worker_rollbacks_total": 7, "supervisor_upgrades_total": 8, "supervisor_takeovers_total": 9,
		"workers{phase=starting}": 0, "workers{phase=active}": 1, "workers{phase=draining}": 1, "reload_last_timestamp_seconds": 1_700_000_000.5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %v (there: %v), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"go_goroutines{worker=2}", "go_goroutines{worker=3}"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for _, name := range []string{"go_goroutines", "go_goroutines{worker=1}"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v", name, v)
		}
	}

	// The carry is what a later scrape sees of workers that have ended.
	carry, err := sup.counter.Carry(sup.others)
	if n := metricOf(t, carry, "things_total"); n != 21 || err != nil {
		t.Errorf("carried %v things, %v", n, err)
	}
	own, err := sup.counter.Snapshot()
	if n := metricOf(t, own, "things_total"); n != 300 || err != nil {
		t.Errorf("counted %v things, %v", n, err)
	}
}

func TestAScrapeWithoutTheSupervisorShowsWhatIsKnown(t *testing.T) {
	sup := supervise()
	sup.others = []reload.Snapshot{{Worker: 1, Data: another(t, 100, 100, 100, 1)}}
	sup.broken["gather"] = errors.New("there is no supervisor")
	h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, _ conf) error {
		count(s.Registry(), 2, 30, 9, 300)
		return nil
	})
	got := series(t, h.admin("/metrics").body)
	if got["games"] != 2 || got["things_total"] != 301 {
		t.Errorf("games %v, things %v", got["games"], got["things_total"])
	}
	if v, ok := got["reload_total"]; ok {
		t.Errorf("reload_total is %v", v)
	}
	if logged := h.logged("metrics"); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "there is no supervisor") {
		t.Errorf("logged %v", logged)
	}
}

func TestTheStatusPageShowsTheProcesses(t *testing.T) {
	sup := supervise()
	since := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	sup.status = &reload.Status{
		Supervisor: 4711, Started: since, Binary: "/opt/gamed",
		Workers: []reload.WorkerStatus{{Worker: 1, PID: 4712, Phase: reload.Draining, Since: since, Version: "v1"}, {Worker: 2, PID: 4713, Phase: reload.Active, Since: since, Version: "v2"}},
		Counts:  reload.Counts{Reloads: 17},
		Last:    &reload.Outcome{Time: since, Worker: 3, Reason: reload.ReasonSetup, Error: "no <journal>"},
	}
	h := start(t, sup.options(), serve(routes(nil)))
	page := h.admin("/status").body
	for _, want := range []string{
		"<td>1</td>", "4712", "draining", "<td>2, which answers this</td>", "4713", "active", "Supervisor: process 4711", "Reloads: 17",
		"Worker 3 could not be started at 2026-07-01 12:00:00 UTC: setup: no &lt;journal&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing in\n%s", want, page)
		}
	}
	type processes struct {
		Processes *struct {
			Answering int
			Known     *reload.Status
			Error     string
		}
	}
	p := parse[processes](t, h.admin("/status?format=json").body).Processes
	if p == nil || p.Answering != 2 || p.Error != "" || p.Known.Supervisor != 4711 || len(p.Known.Workers) != 2 || p.Known.Last.Reason != reload.ReasonSetup {
		t.Errorf("JSON: %+v", p)
	}

	sup = supervise()
	sup.broken["status"] = errors.New("there is no supervisor")
	h = start(t, sup.options(), serve(routes(nil)))
	if page := h.admin("/status").body; !strings.Contains(page, "there is no supervisor") || strings.Contains(page, "Supervisor: process") {
		t.Errorf("the page says\n%s", page)
	}
	if p := parse[processes](t, h.admin("/status?format=json").body).Processes; p == nil || p.Known != nil || p.Error != "there is no supervisor" {
		t.Errorf("JSON: %+v", p)
	}
}

func TestAServiceWithoutASupervisorIsAlone(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		count(s.Registry(), 2, 30, 9, 300)
		s.MergeGauge("games", kpi.Sum)
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("hello")}))
	})
	got := series(t, h.admin("/metrics").body)
	if got["games"] != 2 || got["things_total"] != 300 || got["go_goroutines"] <= 0 {
		t.Errorf("games %v, things %v, goroutines %v", got["games"], got["things_total"], got["go_goroutines"])
	}
	for name := range got {
		if strings.HasPrefix(name, "reload_") || strings.Contains(name, "worker") {
			t.Errorf("%s is shown", name)
		}
	}
	if body := h.admin("/status?format=json").body; strings.Contains(body, `"processes"`) {
		t.Errorf("JSON: %s", body)
	}
	if page := h.admin("/status").body; strings.Contains(page, "Processes") {
		t.Error("the page shows processes")
	}
	ready := make(chan error, 1)
	h.s.OnState(func(s chassis.State) {
		if s == chassis.StateDraining {
			ready <- h.s.ReadyError(context.Background())
		}
	})
	h.stop()
	if err := <-ready; err == nil || h.s.Replaced() {
		t.Errorf("while it stops: ready %v, replaced %v", err, h.s.Replaced())
	}
}
