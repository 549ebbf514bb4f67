// Package target is the service on the chassis that is overloaded. The daemon is tools/cmd/overloadd:
//
//	func main() { chassis.Main(target.Spec) }
//
// Its listeners are "http" and "grpc", which share nothing but a pool of workers, and "debug".
package target

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/work"
)

// Config is the configuration of the service.
type Config struct {
	HTTP     chassis.HTTPConfig `config:"http"`
	GRPC     grpcserver.Config  `config:"grpc"`
	Debug    chassis.HTTPConfig `config:"debug"`
	Workers  int                `config:"workers" doc:"how much work can be done at a time"`
	Mean     time.Duration      `config:"mean" doc:"how long work takes on average"`
	Deadline time.Duration      `config:"deadline" doc:"how long callers wait over HTTP, where they cannot say so"`
}

// Spec is the service. It does not change.
var Spec = chassis.Spec[Config]{
	Name: "overload",
	Doc:  "does work that takes its time, to be asked for more of it than it can do",
	Defaults: Config{
		HTTP:     chassis.HTTPConfig{Addr: "127.0.0.1:8080"},
		GRPC:     grpcserver.Config{Addr: "127.0.0.1:9090"},
		Debug:    chassis.HTTPConfig{Addr: "127.0.0.1:0"},
		Workers:  4,
		Mean:     20 * time.Millisecond,
		Deadline: 100 * time.Millisecond,
	},
	Setup: setup,
}

func setup(_ context.Context, s *chassis.Service, cfg Config) error {
	pool := work.New(cfg.Workers, cfg.Mean)
	r := chassis.NewRouter()
	r.Tenant(func(r *http.Request) string { return r.Header.Get(work.Tenant) })
	r.Handle("GET "+work.Path, func(_ http.ResponseWriter, r *http.Request) error { return pool.Do(r.Context()) }, chassis.Timeout(cfg.Deadline))
	if err := s.HTTP("http", cfg.HTTP, r); err != nil {
		return err
	}
	debug := http.NewServeMux()
	debug.Handle("GET /state", work.Handler(func() work.Counts { return counts(s) }))
	if err := s.HTTP("debug", cfg.Debug, debug); err != nil {
		return err
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) { work.Register(r, pool.Do) }, grpcserver.Tenant(func(ctx context.Context) string {
		return strings.Join(metadata.ValueFromIncomingContext(ctx, work.Tenant), "")
	}))
}

// counts are what the metrics of the service say of the two listeners.
func counts(s *chassis.Service) (c work.Counts) {
	families, err := s.Registry().Gather()
	if err != nil {
		return c
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() != "listener" || l.GetValue() == "debug" {
					continue
				}
				switch f.GetName() {
				case "requests_total":
					c.Arrivals += uint64(m.GetCounter().GetValue())
				case "connections":
					c.Connections += int(m.GetGauge().GetValue())
				}
			}
		}
	}
	return c
}
