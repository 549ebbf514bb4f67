package chassis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func TestAServiceGoesThroughItsStatesInOrder(t *testing.T) {
	var states []chassis.State
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		if s.State() != chassis.StateSetup {
			t.Errorf("Setup runs in state %v", s.State())
		}
		s.OnState(func(state chassis.State) {
			if s.State() != state {
				t.Errorf("told of %v in state %v", state, s.State())
			}
			states = append(states, state)
		})
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	if h.s.State() != chassis.StateReady {
		t.Errorf("started in state %v", h.s.State())
	}
	if err := h.Err(); err != nil {
		t.Errorf("a running service has error %v", err)
	}
	h.stop()
	want := []chassis.State{chassis.StateReady, chassis.StateDraining, chassis.StateClosed}
	if !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
	receive(t, h.Done(), "the end")
	if err := h.Stop(t.Context()); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestStatesHaveNames(t *testing.T) {
	for state, want := range map[chassis.State]string{
		chassis.StateNew: "new", chassis.StateSetup: "setup", chassis.StateReady: "ready",
		chassis.StateDraining: "draining", chassis.StateClosed: "closed", chassis.StateFailed: "failed", 17: "State(17)",
	} {
		if got := state.String(); got != want {
			t.Errorf("state %d is called %q, want %q", int(state), got, want)
		}
	}
}

func TestASetupThatFailsEndsTheServiceAndClosesWhatWasOpened(t *testing.T) {
	var events []string
	var addr, admin string
	var last chassis.State
	_, err := try(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		for _, name := range []string{"first", "second"} {
			s.OnClose(name, func(context.Context) error {
				events = append(events, "close "+name)
				return nil
			})
		}
		s.Go("work", func(context.Context) error {
			events = append(events, "work")
			return nil
		})
		s.OnState(func(state chassis.State) { last = state })
		if err := s.HTTP("http", c.HTTP, routes(nil)); err != nil {
			return err
		}
		addr, admin = s.Addr("http").String(), s.Addr("admin").String()
		return errors.New("open games.db: disk on fire")
	})
	if err == nil || err.Error() != "test: open games.db: disk on fire" {
		t.Errorf("error %v", err)
	}
	if want := []string{"close second", "close first"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if last != chassis.StateFailed {
		t.Errorf("the last state is %v", last)
	}
	for _, addr := range []string{addr, admin} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("the address is not free again: %v", err)
			continue
		}
		_ = l.Close()
	}
}

func TestASetupThatPanicsIsAnErrorWithItsStackInTheLog(t *testing.T) {
	h, err := try(t, options{}, func(context.Context, *chassis.Service, conf) error { panic("no such table") })
	if err == nil || err.Error() != "test: panic: no such table" {
		t.Errorf("error %v", err)
	}
	lines := h.logged("Setup panicked")
	if len(lines) != 1 || !strings.Contains(lines[0]["stack"].(string), "life_test.go") {
		t.Errorf("logged %v", lines)
	}
}

func TestASetupThatExitsItsGoroutineIsAnError(t *testing.T) {
	_, err := try(t, options{}, func(context.Context, *chassis.Service, conf) error {
		runtime.Goexit()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "runtime.Goexit") {
		t.Errorf("error %v", err)
	}
}

func TestAStartThatIsAbandonedClosesWhatWasOpened(t *testing.T) {
	for name, c := range map[string]struct {
		setup error
		want  string
	}{
		"Setup returns nil":                 {nil, "test: start-up was abandoned: context canceled"},
		"Setup returns its context's error": {context.Canceled, "test: start-up was abandoned: context canceled"},
		"Setup returns another error":       {errors.New("dial refused"), "test: start-up was abandoned: context canceled; Setup said: dial refused"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var events []string
			spec := chassis.Spec[conf]{Name: "test", Setup: func(ctx context.Context, s *chassis.Service, _ conf) error {
				s.OnClose("it", func(ctx context.Context) error {
					events = append(events, "close")
					return ctx.Err()
				})
				s.OnState(func(state chassis.State) { events = append(events, state.String()) })
				cancel()
				<-ctx.Done()
				return c.setup
			}}
			_, err := chassis.Start(ctx, spec, nil, chassis.World{Stdout: io.Discard, Stderr: io.Discard})
			if err == nil || err.Error() != c.want || !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if want := []string{"draining", "close", "closed"}; !slices.Equal(events, want) {
				t.Errorf("events %q, want %q", events, want)
			}
		})
	}
}

func TestASetupThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		free := make(chan struct{})
		defer close(free)
		begin := time.Now()
		spec := chassis.Spec[conf]{Name: "test", Setup: func(context.Context, *chassis.Service, conf) error {
			<-free
			return nil
		}}
		_, err := chassis.Start(ctx, spec, func(s *chassis.Settings, _ *conf) { s.Admin.Addr, s.Drain.Timeout = "off", 7*time.Second },
			chassis.World{Stdout: io.Discard, Stderr: io.Discard})
		if err == nil || err.Error() != "test: setup did not return in time: its context ended 7s ago" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestASpecThatCannotRunIsRefused(t *testing.T) {
	good := func(context.Context, *chassis.Service, conf) error { return nil }
	for want, spec := range map[string]chassis.Spec[conf]{
		`the service's name "Game": want lower-case letters, digits and hyphens, a letter first`: {Name: "Game", Setup: good},
		`the service's name "": want lower-case letters, digits and hyphens, a letter first`:     {Setup: good},
		`service game: its Spec has no Setup`:                                                    {Name: "game"},
	} {
		if _, err := chassis.Start(t.Context(), spec, nil, chassis.World{}); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		var stderr buffer
		if code := chassis.Run(t.Context(), spec, nil, nil, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("Run exits %d with %q", code, stderr.String())
		}
	}
	_, err := chassis.Start(t.Context(), chassis.Spec[struct{ C chan int }]{Name: "game",
		Setup: func(context.Context, *chassis.Service, struct{ C chan int }) error { return nil }}, nil, chassis.World{})
	if err == nil || !strings.HasPrefix(err.Error(), "configuration of game: ") {
		t.Errorf("a configuration that cannot be read: %v", err)
	}
	_, err = chassis.Start(t.Context(), chassis.Spec[conf]{Name: "game", Setup: good},
		func(s *chassis.Settings, _ *conf) { s.Log.Level = "loud" }, chassis.World{})
	if err == nil || !strings.Contains(err.Error(), "log.level") || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("a setting that makes no sense: %v", err)
	}
}

func TestManyServicesRunSideBySideInOneProcess(t *testing.T) {
	a := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("a")})))
	b := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("b")})))
	if got := a.get("/").body + b.get("/").body; got != "ab" {
		t.Errorf("answers %q", got)
	}
	a.wantMetric(1, "requests_total", "route", "GET /")
	b.wantMetric(1, "requests_total", "route", "GET /")
}

func say(text string) chassis.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestTheDrainFinishesWhatIsUnderWay(t *testing.T) {
	pair := certificate(t)
	for name, c := range map[string]struct {
		http  chassis.HTTPConfig
		proto func(*http.Protocols)
	}{
		"HTTP/1":                    {chassis.HTTPConfig{}, func(p *http.Protocols) { p.SetHTTP1(true) }},
		"HTTP/2 without encryption": {chassis.HTTPConfig{H2C: true}, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }},
		"HTTP/2 with TLS":           {chassis.HTTPConfig{TLS: pair.config}, func(p *http.Protocols) { p.SetHTTP2(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			entered, release := make(chan struct{}), make(chan struct{})
			h := start(t, options{http: c.http}, serve(routes(map[string]chassis.Handler{
				"GET /slow": func(w http.ResponseWriter, r *http.Request) error {
					close(entered)
					<-chassis.Draining(r.Context())
					<-release
					return say("done "+r.Proto)(w, r)
				},
			})))
			transport := h.client.Transport.(*http.Transport)
			transport.Protocols = new(http.Protocols)
			c.proto(transport.Protocols)
			transport.TLSClientConfig = pair.client()
			got := make(chan answer, 1)
			req := h.request("GET", "/slow", nil)
			if c.http.TLS.Cert != "" {
				req.URL.Scheme = "https"
			}
			go func() {
				res, err := h.client.Do(req)
				if err != nil {
					t.Error(err)
					res = &http.Response{Body: http.NoBody}
				}
				got <- read(res)
			}()
			receive(t, entered, "the request")
			stopped := make(chan error, 1)
			go func() { stopped <- h.Stop(context.Background()) }()
			receive(t, h.s.Draining(), "the drain")
			select {
			case err := <-stopped:
				t.Fatalf("stopped with a request under way: %v", err)
			default:
			}
			close(release)
			if a := receive(t, got, "the answer"); !strings.HasPrefix(a.body, "done HTTP/") || a.err != nil || a.StatusCode != 200 {
				t.Errorf("answer %q, %v", a.body, a.err)
			}
			if err := receive(t, stopped, "the end"); err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", h.Addr("http").String()); err == nil {
				t.Error("the listener is still open")
			}
			h.wantMetric(1, "requests_total", "route", "GET /slow", "code", "200")
			h.wantMetric(0, "requests_in_flight", "listener", "http")
		})
	}
}

func TestStreamsAreToldOfTheDrain(t *testing.T) {
	r := chassis.NewRouter()
	r.Handle("GET /events", func(w http.ResponseWriter, r *http.Request) error {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		<-chassis.Draining(r.Context())
		return say("bye")(w, r)
	}, chassis.Stream())
	h := start(t, options{}, serve(r))
	res, err := h.client.Do(h.request("GET", "/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(context.Background()) }()
	if a := read(res); a.body != "bye" || a.err != nil {
		t.Errorf("the stream ended with %q, %v", a.body, a.err)
	}
	if err := receive(t, stopped, "the end"); err != nil {
		t.Error(err)
	}
	if chassis.Draining(t.Context()) != nil {
		t.Error("a context of no service is told of a drain")
	}
}

func TestAStopWithoutPatienceCutsHandlersOff(t *testing.T) {
	entered, left := make(chan struct{}), make(chan error, 1)
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"GET /slow": func(_ http.ResponseWriter, r *http.Request) error {
			close(entered)
			<-r.Context().Done()
			left <- r.Context().Err()
			return r.Context().Err()
		},
	})))
	failed := make(chan error, 1)
	go func() {
		_, err := h.client.Do(h.request("GET", "/slow", nil))
		failed <- err
	}()
	receive(t, entered, "the request")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := receive(t, failed, "the client's error"); err == nil {
		t.Error("the request was answered")
	}
	receive(t, left, "the end of the handler's context")
	if lines := h.logged("requests were cut off"); len(lines) != 1 || lines[0]["listener"] != "http" {
		t.Errorf("logged %v", lines)
	}
	if h.s.State() != chassis.StateClosed {
		t.Errorf("ended in state %v", h.s.State())
	}
}

func TestWhatIsBeingClosedHasASecondAlsoWhenAStopLosesPatience(t *testing.T) {
	for needs, want := range map[time.Duration]string{900 * time.Millisecond: "", time.Minute: "close the drawer: context canceled"} {
		synctest.Test(t, func(t *testing.T) {
			closing := make(chan struct{})
			h := start(t, options{pipes: true}, func(_ context.Context, s *chassis.Service, c conf) error {
				s.OnClose("the drawer", func(ctx context.Context) error {
					close(closing)
					select {
					case <-time.After(needs):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				return s.HTTP("http", c.HTTP, routes(nil))
			})
			ctx, hurry := context.WithCancel(t.Context())
			stopped := make(chan error, 1)
			go func() { stopped <- h.Stop(ctx) }()
			<-closing
			begin := time.Now()
			hurry()
			err := <-stopped
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("of %v: %v, want %q", needs, err, want)
			}
			if took := time.Since(begin); took != min(needs, time.Second) {
				t.Errorf("of %v: it took %v", needs, took)
			}
		})
	}
}

func TestReadinessIsOffBeforeTheListenersClose(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) { s.Drain.ReadinessDelay = time.Hour }},
		func(_ context.Context, s *chassis.Service, c conf) error {
			return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("still here")}))
		})
	draining := make(chan struct{})
	h.s.OnState(func(s chassis.State) {
		if s == chassis.StateDraining {
			close(draining)
		}
	})
	if a := h.admin("/readyz"); a.StatusCode != 200 {
		t.Errorf("ready: %d", a.StatusCode)
	}
	ctx, hurry := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(ctx) }()
	receive(t, draining, "the drain")
	if a := h.admin("/readyz"); a.StatusCode != 503 || !strings.Contains(a.body, "the service is draining") {
		t.Errorf("draining: %d %q", a.StatusCode, a.body)
	}
	if a := h.get("/"); a.body != "still here" {
		t.Errorf("requests in the delay get %d %q", a.StatusCode, a.body)
	}
	select {
	case <-h.s.Draining():
		t.Error("streams are told before the delay is over")
	default:
	}
	hurry()
	if err := receive(t, stopped, "the end"); err != nil {
		t.Error(err)
	}
}

func TestTheReadinessDelayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.ReadinessDelay = 3 * time.Second }}, serve(routes(nil)))
		begin := time.Now()
		h.stop()
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}

func TestADryStartTouchesNothing(t *testing.T) {
	ran := false
	h := start(t, options{
		settings: func(s *chassis.Settings) { s.AccessLog.Path = "/nonexistent/access.log" },
		world: func(w *chassis.World) {
			w.Dry = true
			w.Listen = func(context.Context, string, string, string) (net.Listener, error) {
				t.Error("a socket was bound")
				return nil, errors.New("dry")
			}
		},
	}, func(_ context.Context, s *chassis.Service, c conf) error {
		if !s.Dry() {
			t.Error("Setup is not told")
		}
		s.Go("work", func(context.Context) error { ran = true; return nil })
		if err := s.HTTP("bad", chassis.HTTPConfig{Addr: "nowhere"}, routes(nil)); err == nil {
			t.Error("a dry start does not check addresses")
		}
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": say("")}))
	})
	if h.Addr("http") != nil || h.Addr("admin") != nil {
		t.Error("there are addresses")
	}
	d, err := h.s.Description()
	if err != nil || len(d.Listeners) != 1 || d.Listeners[0].Addr != "127.0.0.1:0" || d.Listeners[0].Routes[0] != "GET /" {
		t.Errorf("description %+v, %v", d.Listeners, err)
	}
	h.stop()
	if ran {
		t.Error("background work was started")
	}
}

func TestTheServiceGetsClockRandomnessAndNameFromItsHost(t *testing.T) {
	h := start(t, options{world: func(w *chassis.World) { w.Rand = zeros{} }}, serve(routes(map[string]chassis.Handler{"GET /": say("")})))
	b := []byte{1}
	if _, err := h.s.Rand().Read(b); err != nil || b[0] != 0 {
		t.Errorf("randomness %v, %v", b, err)
	}
	if h.s.Name() != "test" || h.s.Clock() == nil || h.s.Dry() {
		t.Errorf("name %q, clock %v, dry %v", h.s.Name(), h.s.Clock(), h.s.Dry())
	}
	var want [request.IDLen]byte
	request.NewSource([32]byte{}).PutID(&want, time.Now())
	const random = len("017f22e2-79b0-") // begins here
	if id := h.get("/").Header.Get("X-Request-Id"); len(id) != len(want) || id[random:] != string(want[random:]) {
		t.Errorf("request id %q is not made of the given randomness, as %s is", id, want)
	}
	quiet := chassis.Spec[conf]{Name: "quiet", Setup: func(_ context.Context, s *chassis.Service, _ conf) error {
		if s.Rand() == nil || s.Clock() == nil {
			t.Error("the zero World lacks something")
		}
		return nil
	}}
	i, err := chassis.Start(t.Context(), quiet, func(s *chassis.Settings, _ *conf) { s.Log.Level, s.AccessLog.Path = "error", "off" }, chassis.World{})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestTheAddressesAreLoggedWhenTheServiceIsReady(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		s.Log(context.Background()).Info("in Setup", zap.String("motto", c.Motto))
		return s.HTTP("http", c.HTTP, routes(nil))
	})
	if lines := h.logged("in Setup"); len(lines) != 1 || lines[0]["motto"] != "onwards" || lines[0]["logger"] != "test" {
		t.Errorf("logged %v", lines)
	}
	lines := h.logged("listening")
	if len(lines) != 2 || lines[0]["listener"] != "admin" || lines[1]["listener"] != "http" ||
		lines[1]["addr"] != h.Addr("http").String() || lines[1]["protocol"] != "http" {
		t.Errorf("logged %v", lines)
	}
}
