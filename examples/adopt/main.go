// Command adopt turns what a team already has, an http.Handler and a registered gRPC server,
// into a service on the chassis: nothing of either is changed.
package main

import (
	"context"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

type config struct {
	HTTP chassis.HTTPConfig `config:"http"`
	GRPC grpcserver.Config  `config:"grpc"`
}

var shop = chassis.Spec[config]{
	Name: "shop",
	Doc:  "serves the shop's existing handlers",
	Defaults: config{
		HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8080"},
		GRPC: grpcserver.Config{Addr: "127.0.0.1:9090"},
	},
	Setup: func(ctx context.Context, s *chassis.Service, cfg config) error {
		if err := grpcserver.Serve(s, "grpc", cfg.GRPC, registerEverything); err != nil {
			return err
		}
		return s.HTTP("http", cfg.HTTP, existingHandler())
	},
}

func main() { chassis.Main(shop) }

// existingHandler stands for the mux, router or framework that is there already.
func existingHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prices", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apple":3}` + "\n"))
	})
	return mux
}
