package scenarios_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/api"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
	"github.com/seed-754044b3/roadworthy/fake"
)

// began is when virtual clocks begin.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// routes are the service's, as its HTTP rules have them.
var routes = wire.Routes{
	"/game.v1.GameService/CreateGame": "POST /v1/games",
	"/game.v1.GameService/ListGames":  "GET /v1/games",
	"/game.v1.GameService/GetGame":    "GET /v1/games/{game_id}",
	"/game.v1.GameService/JoinGame":   "POST /v1/games/{game_id}/join",
	"/game.v1.GameService/DropDisc":   "POST /v1/games/{game_id}/drop",
	"/game.v1.GameService/Resign":     "POST /v1/games/{game_id}/resign",
	"/game.v1.GameService/WatchGame":  "GET /v1/games/{game_id}/events event",
}

// limits are what a setting means.
func limits(setting string) arena.Limits {
	switch setting {
	case scenarios.OneOpenGame:
		return arena.Limits{OpenGames: 1}
	case scenarios.OneWatcher:
		return arena.Limits{WatchersPerGame: 1}
	}
	return arena.Limits{}
}

// inMemory and onDisk are journals for one system.
func inMemory(testing.TB) string { return "mem:" }
func onDisk(t testing.TB) string { return "file:" + filepath.Join(t.TempDir(), "games.db") }

// scheme is the beginning of a journal's URL, with its colon, and engine what opens it.
func scheme(url string) string {
	before, _, _ := strings.Cut(url, ":")
	return before + ":"
}

func engine(url string) journal.Engine {
	if slices.Contains(jetstream.Engine.Schemes, strings.TrimSuffix(scheme(url), ":")) {
		return jetstream.Engine
	}
	return sqlite.Engine
}

// inProcess runs the rules of the service in this process, without a network, on a journal.
func inProcess(where func(testing.TB) string) scenario.Open[scenarios.Command, scenarios.Answer] {
	return func(t testing.TB, setting string) *scenarios.System {
		t.Helper()
		url := where(t)
		clk := clock.NewVirtual(began)
		host := &journal.Local{Time: clk}
		tap := scenario.NewTap(engine(url))
		j, err := journal.Open(t.Context(), host, url, tap.Engine())
		if err != nil {
			t.Fatal(err)
		}
		bots, err := queue.New("bots", queue.Limits{Workers: 2, Capacity: 64}, queue.Options{})
		if err != nil {
			t.Fatal(err)
		}
		games, err := arena.Open(t.Context(), arena.Options{
			Journal: j, Clock: clk, Rand: rand.Reader, Bots: bots, Log: zap.NewNop(), Limits: limits(setting),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- games.Run(ctx) }()
		if err := games.Wake(t.Context()); err != nil {
			t.Error(err)
		}
		t.Cleanup(func() {
			cancel()
			ctx := context.Background()
			if err := errors.Join(<-done, games.Close(ctx), bots.Close(ctx), host.Close(ctx)); err != nil {
				t.Error(err)
			}
		})
		return &scenarios.System{
			Name: "in process on " + scheme(url), Tap: tap, Settle: func() { clk.Advance(0) },
			Do: scenarios.Do(wire.Local(&gamev1.GameService_ServiceDesc, api.NewServer(games))),
		}
	}
}

// A carry says how commands reach a fake.
type carry struct {
	name   string
	unable map[string]string
	caller func(t testing.TB, f *fake.Fake) wire.Caller
}

// noState is what a query cannot say.
var noState = map[string]string{"a state is one that there is": "the gateway itself refuses a state in a query that has no name"}

var (
	overGRPC = carry{"gRPC", nil, func(t testing.TB, f *fake.Fake) wire.Caller { return wire.GRPC(dial(t, f.Addr("grpc"))) }}
	overHTTP = carry{"HTTP", noState, func(t testing.TB, f *fake.Fake) wire.Caller {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		return wire.HTTP(&http.Client{Transport: transport}, f.URL("http"), routes)
	}}
	rawHTTP = carry{"bytes of HTTP", noState, func(_ testing.TB, f *fake.Fake) wire.Caller { return wire.RawHTTP(f.Addr("http"), routes) }}
	rawGRPC = carry{"frames of gRPC", nil, func(t testing.TB, f *fake.Fake) wire.Caller {
		raw, err := wire.RawGRPC(t.Context(), f.Addr("grpc"), "game.v1.GameService")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(raw.Close)
		return raw
	}}
)

// faked runs the service as a fake, behind sockets.
func faked(how carry) scenario.Open[scenarios.Command, scenarios.Answer] {
	return func(t testing.TB, setting string) *scenarios.System {
		t.Helper()
		tap := scenario.NewTap(sqlite.Engine)
		f := fake.Start(t, game.On(tap.Engine()), fake.Options[game.Config]{
			Begin: began,
			Configure: func(_ *chassis.Settings, c *game.Config) {
				c.Journal, c.Limits, c.GRPC.Reflection = "mem:", limits(setting), true
			},
		})
		return &scenarios.System{
			Name: "the fake over " + how.name, Tap: tap, Unable: how.unable, Settle: func() { f.Advance(0) },
			Do: scenarios.Do(how.caller(t, f)),
		}
	}
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
