package grpcserver

import (
	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// UnaryChain is what a call goes through around its method, for benchmarks without a connection.
func UnaryChain(s *chassis.Service, listener, method string, next grpc.MethodHandler) grpc.MethodHandler {
	var cfg Config
	cfg.SetDefaults()
	return newChain(s, listener, cfg, new(acl.Guard)).unary(method, next)
}
