// Package echo is the service: it says back what it is told.
//
// [Spec] describes it, and whoever runs it hands it to a host: the daemon (cmd/echod) to
// chassis.Main, the network fake (package echofake) to fake.Start. Setup builds the service on
// what the host gives it, and on nothing else.
//
//	echo.go     name, configuration, Spec, Setup
//	failure.go  what can go wrong, by number
//	service.go  the methods of the contract: the business code
//	http.go     the same methods as JSON over HTTP
package echo

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"

	"github.com/seed-754044b3/roadworthy/template/echov1"
)

// Name is what the service is called in its configuration, log, metrics and failures.
const Name = "echo"

// Config is the configuration of the service. Each field is a key of the configuration file, an
// environment variable and a flag: http.addr, ECHO_HTTP_ADDR, -http.addr.
type Config struct {
	HTTP chassis.HTTPConfig `config:"http"`
	GRPC grpcserver.Config  `config:"grpc"`
}

// Spec is the service. It does not change.
var Spec = chassis.Spec[Config]{
	Name: Name,
	Doc:  "says back what it is told",
	Defaults: Config{
		HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8080"},
		GRPC: grpcserver.Config{Addr: "127.0.0.1:9090"},
	},
	Failures: codes,
	Setup:    setup,
}

func setup(ctx context.Context, s *chassis.Service, cfg Config) error {
	api := &service{}
	err := grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) {
		echov1.RegisterEchoServiceServer(r, api)
	})
	if err != nil {
		return err
	}
	router, err := newRouter(ctx, api)
	if err != nil {
		return err
	}
	return s.HTTP("http", cfg.HTTP, router)
}
