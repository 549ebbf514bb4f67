package arcade_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
	"github.com/seed-754044b3/roadworthy/fake"
)

// The routes of the game service, for faults and for recorded calls.
const (
	createGame = "/game.v1.GameService/CreateGame"
	joinGame   = "/game.v1.GameService/JoinGame"
	dropDisc   = "/game.v1.GameService/DropDisc"
	resignGame = "/game.v1.GameService/Resign"
	getGame    = "/game.v1.GameService/GetGame"
	listGames  = "/game.v1.GameService/ListGames"
	watchGame  = "/game.v1.GameService/WatchGame"
)

// world is an arcade that runs on the game's network fake.
type world struct {
	t      testing.TB
	game   *fake.Fake // nil when started on nothing
	arcade *chassis.Instance
	url    string
	log    *observer.ObservedLogs
	access *lines
}

// start runs an arcade on a game service of its own.
func start(t testing.TB, configure ...func(*arcade.Config)) *world {
	t.Helper()
	game := gamefake.Start(t)
	return startOn(t, game, game.Addr("grpc"), configure...)
}

// startOn runs an arcade on the game service at addr.
func startOn(t testing.TB, game *fake.Fake, addr string, configure ...func(*arcade.Config)) *world {
	t.Helper()
	core, log := observer.New(zapcore.DebugLevel)
	w := &world{t: t, game: game, log: log, access: &lines{}}
	outside := chassis.World{Log: zap.New(core), Stdout: w.access}
	if game != nil {
		outside.Clock = game.Clock()
	}
	var err error
	w.arcade, err = chassis.Start(t.Context(), arcade.Spec, func(s *chassis.Settings, c *arcade.Config) {
		s.Admin.Addr = "off"
		s.Drain.Timeout = 30 * time.Second
		s.AccessLog.Format = `%h %l %u %t "%r" %>s %b code=%{failure}x id=%{error_id}x`
		c.HTTP.Addr = "127.0.0.1:0"
		c.Game.Addr = addr
		// Tests that make a call fail want to see it fail, on a clock that stands still.
		c.Game.Retry = retry.Config{Attempts: 1, Throttle: -1}
		for _, f := range configure {
			f(c)
		}
	}, outside)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.stop()
		w.accounted()
	})
	w.url = "http://" + w.arcade.Addr("http").String()
	return w
}

// stop ends the arcade; stopping again does nothing.
func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.arcade.Stop(ctx); err != nil {
		w.t.Errorf("stop the arcade: %v", err)
	}
}

// accounted expects whatever failed, in any test, to have been counted under its code and class, and to stand in
// the access log with both ids.
func (w *world) accounted() {
	w.t.Helper()
	type code struct{ number, class string }
	logged, counted := map[code]float64{}, map[code]float64{}
	for _, e := range w.log.FilterMessage("request failed").All() {
		f := e.ContextMap()
		logged[code{fmt.Sprint(f["code"]), fmt.Sprint(f["class"])}]++
		if part := fmt.Sprintf(" code=%v id=%v\n", f["code"], f["error_id"]); strings.Count(w.access.String(), part) != 1 {
			w.t.Errorf("the access log has not one line with %q", part)
		}
	}
	families, err := w.arcade.Service().Registry().Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "failure_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				counted[code{labels["code"], labels["class"]}] = n
			}
		}
	}
	if !maps.Equal(logged, counted) {
		w.t.Errorf("failures in the log %v, in the metrics %v", logged, counted)
	}
}

// calls are the recorded calls of a route of the game service.
func (w *world) calls(route string) []fake.Call {
	var calls []fake.Call
	for _, c := range w.game.Calls() {
		if c.Route == route {
			calls = append(calls, c)
		}
	}
	return calls
}

// lines keeps what is written to it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until ok, without assuming how long that takes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("after a minute still not so: %s", what)
		}
	}
}

func get(t testing.TB, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	return do(t, http.DefaultClient, http.MethodGet, url, header, "")
}

func do(t testing.TB, client *http.Client, method, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, b.String()
}
