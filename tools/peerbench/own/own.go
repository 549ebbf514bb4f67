// Package own is the echo service on the chassis. The daemon is tools/cmd/peerd:
//
//	func main() { chassis.Main(own.Spec) }
//
// Every feature that costs something on the way of a request is switched by a flag of the chassis.
package own

import (
	"context"
	"expvar"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
)

// Config is the configuration of the service.
type Config struct {
	HTTP chassis.HTTPConfig `config:"http"`
	GRPC grpcserver.Config  `config:"grpc"`
	// Debug serves what the process has allocated, at /debug/vars.
	Debug chassis.HTTPConfig `config:"debug"`
}

// Spec is the service: listeners "http", with TLS where a certificate is configured, "grpc" and "debug". It
// does not change.
var Spec = chassis.Spec[Config]{
	Name: "peer",
	Doc:  "answers what the peers of the chassis answer, to be measured beside them",
	Defaults: Config{
		HTTP:  chassis.HTTPConfig{Addr: "127.0.0.1:8080"},
		GRPC:  grpcserver.Config{Addr: "127.0.0.1:9090"},
		Debug: chassis.HTTPConfig{Addr: "127.0.0.1:0"},
	},
	Setup: setup,
}

func setup(_ context.Context, s *chassis.Service, cfg Config) error {
	r := chassis.NewRouter()
	r.Handle("GET /hello", func(w http.ResponseWriter, r *http.Request) error {
		echo.Hello(w, r)
		return nil
	})
	if err := s.HTTP("http", cfg.HTTP, r); err != nil {
		return err
	}
	debug := http.NewServeMux()
	debug.Handle("GET /debug/vars", expvar.Handler())
	if err := s.HTTP("debug", cfg.Debug, debug); err != nil {
		return err
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, echo.Register)
}
