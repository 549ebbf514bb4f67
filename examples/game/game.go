// Package game is the reference service: Connect Four over gRPC, as JSON over HTTP and as
// Server-Sent Events, for people and bots, with its state as events in a journal.
//
// [Spec] describes it. A daemon runs it with chassis.Main (cmd/gamed), a network fake in the
// tests of its clients; both are the same service:
//
//	func main() { chassis.Main(game.Spec) }
//
// The contract is in proto/game/v1, its Go side in package gamev1. Inside, package rules knows
// the rules and nothing else, bot finds moves, record is what is kept of a game, arena decides
// what happens and tells who watches, api and web speak gRPC and HTTP.
package game

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/api"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/web"
)

// Config is the configuration of the game service. Zero fields mean their defaults; Journal has
// none of its own, Spec gives one.
type Config struct {
	HTTP    chassis.HTTPConfig `config:"http"`
	GRPC    grpcserver.Config  `config:"grpc"`
	Journal string             `config:"journal" doc:"where games are kept: mem:, file:PATH or nats://HOST,HOST,HOST/STREAM"`
	Bots    BotConfig          `config:"bots"`
	Limits  arena.Limits       `config:"limits"`
	Sentry  sentry.Config      `config:"sentry"`
}

// Validate refuses a missing journal.
func (c *Config) Validate() error {
	if c.Journal == "" {
		return config.Invalid("journal", "want mem:, file:PATH or nats://HOST/STREAM, such as file:games.db")
	}
	return nil
}

// BotConfig is how much the computer players think.
type BotConfig struct {
	Workers  int `config:"workers" doc:"moves that are searched for at a time"`
	Capacity int `config:"capacity" doc:"moves that wait; of more games, bots come later"`
}

// SetDefaults fills what is zero.
func (c *BotConfig) SetDefaults() {
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Capacity == 0 {
		c.Capacity = 64
	}
}

// Validate refuses limits below 1.
func (c *BotConfig) Validate() error {
	if c.Workers < 1 {
		return config.Invalid("workers", "want 1 or more, got %d", c.Workers)
	}
	if c.Capacity < 1 {
		return config.Invalid("capacity", "want 1 or more, got %d", c.Capacity)
	}
	return nil
}

// Spec is the game service. It does not change.
var Spec = On(sqlite.Engine, jetstream.Engine)

// On is the game service with journals of other engines, such as one that a test has a hand in.
func On(engines ...journal.Engine) chassis.Spec[Config] {
	return chassis.Spec[Config]{
		Name: "game",
		Doc:  "games of Connect Four for people and bots",
		Defaults: Config{
			HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8080"},
			// A front that farms out to this service has all its watchers on one connection.
			GRPC:    grpcserver.Config{Addr: "127.0.0.1:9090", MaxStreams: 1000},
			Journal: "file:games.db",
		},
		Failures: arena.Failures,
		Event:    arena.CheckEvent,
		Setup: func(ctx context.Context, s *chassis.Service, cfg Config) error {
			return setup(ctx, s, cfg, engines)
		},
		Commands: []chassis.Command[Config]{{
			Name: "backup", Args: "FILE", Doc: "copy the journal to a new file, also while the service runs",
			Run: backup,
		}},
	}
}

//go:embed gamev1/game.swagger.json
var openAPI []byte

func setup(ctx context.Context, s *chassis.Service, cfg Config, engines []journal.Engine) error {
	if err := sentry.Use(s, cfg.Sentry); err != nil {
		return err
	}
	events, err := journal.Open(ctx, s, cfg.Journal, engines...)
	if err != nil {
		return err
	}
	started := s.KPI().Counter("games_started", "Games started.")
	ended := s.KPI().Counter("games_ended", "Games that ended, by how.", "ending")
	for ending := record.Four; ending <= record.Abandoned; ending++ {
		ended.With(ending.String())
	}
	games, err := arena.Open(ctx, arena.Options{
		Journal: events,
		Clock:   s.Clock(),
		Rand:    s.Rand(),
		Bots:    s.Queue("bots", queue.Limits{Workers: cfg.Bots.Workers, Capacity: cfg.Bots.Capacity}),
		Log:     s.Log(ctx).Named("arena"),
		Limits:  cfg.Limits,
		Written: func(f record.Fact) {
			switch f := f.(type) {
			case record.Created:
				started.Inc()
			case record.Finished:
				ended.With(f.Ending.String()).Inc()
			}
		},
	})
	if err != nil {
		return fmt.Errorf("journal %s: %w", journal.Redact(cfg.Journal), err)
	}
	s.OnClose("games", games.Close)
	s.Go("games", games.Run)
	// While two processes serve, during a reload, one of them keeps the time and lets bots think.
	s.Exclusive("referee", games.Wake, games.Sleep)
	s.KPI().GaugeFunc("game_open_games", "Games that are not over.", func() float64 { return float64(games.Stats().Open) })
	s.KPI().GaugeFunc("game_watchers", "Streams on which somebody watches a game.", func() float64 { return float64(games.Stats().Watchers) }).
		Merge(kpi.Sum)
	s.Registry().MustRegister(collector{games})

	server := api.NewServer(games)
	router, err := web.NewRouter(ctx, web.Options{Server: server, Games: games, Clock: s.Clock(), OpenAPI: openAPI})
	if err != nil {
		return err
	}
	if err := s.HTTP("http", cfg.HTTP, router); err != nil {
		return err
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) {
		gamev1.RegisterGameServiceServer(r, server)
	})
}

// collector shows figures that an arena keeps.
type collector struct{ games *arena.Arena }

var (
	searches = prometheus.NewDesc("game_bot_searches_total", "Searches for a bot's move.", nil, nil)
	// No counter: every process finds the same games in the journal, and counters are summed.
	finished = prometheus.NewDesc("game_finished_games", "Games in the journal that have ended, by how.", []string{"ending"}, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- searches
	descs <- finished
}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	stats := c.games.Stats()
	metrics <- prometheus.MustNewConstMetric(searches, prometheus.CounterValue, float64(stats.Searches))
	for ending := record.Four; ending <= record.Abandoned; ending++ {
		metrics <- prometheus.MustNewConstMetric(finished, prometheus.GaugeValue, float64(stats.Finished[ending]), ending.String())
	}
}

// backup copies the journal to the file that the arguments name.
func backup(ctx context.Context, cfg Config, args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, the file to write, got %d", len(args))
	}
	path, ok := strings.CutPrefix(cfg.Journal, "file:")
	if !ok {
		return fmt.Errorf("journal %s: only a journal in a file can be copied by another process; name it with -journal file:PATH", journal.Redact(cfg.Journal))
	}
	// Opening would make a journal that does not exist.
	if _, err := os.Stat(strings.TrimPrefix(path, "//")); err != nil {
		return fmt.Errorf("journal %s: %w", journal.Redact(cfg.Journal), err)
	}
	var host journal.Local
	events, err := journal.Open(ctx, &host, cfg.Journal, sqlite.Engine)
	if err != nil {
		return err
	}
	if err := errors.Join(journal.Backup(ctx, events, args[0]), host.Close(ctx)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "copied %s to %s\n", cfg.Journal, args[0])
	return err
}
