// Package grpcserver serves gRPC on the chassis: the same identity, failures, access line,
// metrics and drain as HTTP requests have, the health service (grpc.health.v1) that follows
// readiness, and reflection where the configuration asks for it.
//
//	type Config struct {
//		GRPC grpcserver.Config `config:"grpc"`
//	}
//
//	func setup(ctx context.Context, s *chassis.Service, cfg Config) error {
//		return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) {
//			echov1.RegisterEchoServiceServer(r, &server{})
//		})
//	}
//
// A method returns a failure of the service's set (or any error); the caller gets the gRPC
// status it declares, with google.rpc.ErrorInfo (reason: the code's reason, domain: the set,
// metadata: code, class, id and what may leave of the arguments) and, when trying again makes
// sense, google.rpc.RetryInfo. Package grpcclient reads them back.
package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// Config is one gRPC listener. A zero field means its default; where a bound can be switched
// off, a negative value does so.
type Config struct {
	Addr string            `config:"addr" doc:"where to listen: host:port (port 0: any free one) or unix:/path"`
	TLS  chassis.TLSConfig `config:"tls"`

	Reflection       bool          `config:"reflection" doc:"let callers ask which services there are, as grpcurl does"`
	MaxReceive       config.Size   `config:"max_receive" doc:"size of a message received"`
	MaxSend          config.Size   `config:"max_send" doc:"size of a message sent"`
	MaxHeader        config.Size   `config:"max_header" doc:"size of a call's metadata"`
	MaxStreams       int           `config:"max_streams" doc:"calls at a time on one connection"`
	Timeout          time.Duration `config:"timeout" doc:"time for a unary method to answer when its caller sets none"`
	HandshakeTimeout time.Duration `config:"handshake_timeout" doc:"time for a connection to be set up"`
	MaxAge           time.Duration `config:"max_age" doc:"when a connection is asked to reconnect, so that load spreads"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	set(&c.Addr, "127.0.0.1:0")
	set(&c.MaxReceive, 4<<20)
	set(&c.MaxSend, 16<<20)
	set(&c.MaxHeader, 16<<10)
	set(&c.MaxStreams, 100)
	set(&c.Timeout, 30*time.Second)
	set(&c.HandshakeTimeout, 10*time.Second)
	set(&c.MaxAge, 30*time.Minute)
}

// Validate refuses an address that cannot be listened on and bounds below zero that have no
// meaning.
func (c *Config) Validate() error {
	if err := chassis.ValidateAddr(c.Addr); err != nil {
		return config.Invalid("addr", "%v", err)
	}
	if c.MaxStreams < 0 {
		return config.Invalid("max_streams", "want 1 or more, got %d", c.MaxStreams)
	}
	if c.MaxReceive < 0 || c.MaxSend < 0 || c.MaxHeader < 0 {
		return config.Invalid("max_receive", "sizes of messages must have a bound")
	}
	return nil
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Serve serves what register registers on the listener called name. It belongs into Setup, and
// its error is Setup's. Options are added to the chassis's own; interceptors given this way
// run inside the chassis's.
func Serve(s *chassis.Service, name string, cfg Config, register func(grpc.ServiceRegistrar), opts ...grpc.ServerOption) error {
	cfg.SetDefaults()
	tlsConfig, err := cfg.TLS.Load("h2")
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	c := &chain{service: s, listener: name, timeout: cfg.Timeout, inFlight: s.Metrics().InFlight(name)}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(cfg.MaxReceive)),
		grpc.MaxSendMsgSize(int(cfg.MaxSend)),
		grpc.MaxHeaderListSize(uint32(cfg.MaxHeader)),
		grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.ConnectionTimeout(cfg.HandshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: max(cfg.MaxAge, 0)}),
		grpc.ChainUnaryInterceptor(c.unary),
		grpc.ChainStreamInterceptor(c.stream),
		grpc.UnknownServiceHandler(c.unknown),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(tlsConfig)))
	}
	srv := &server{grpc: grpc.NewServer(append(options, opts...)...), health: health.NewServer(), service: s}
	register(srv.grpc)
	srv.routes = srv.methods()
	healthpb.RegisterHealthServer(srv.grpc, srv.health)
	if cfg.Reflection {
		reflection.Register(srv.grpc)
	}
	srv.follow(s)
	protocol := "grpc"
	if tlsConfig != nil {
		protocol = "grpcs"
	}
	return s.Serve(name, protocol, cfg.Addr, srv, func() []string { return srv.routes })
}

// server is a gRPC server with the chassis's verbs.
type server struct {
	grpc    *grpc.Server
	health  *health.Server
	service *chassis.Service
	routes  []string
}

// methods lists the full methods registered so far.
func (s *server) methods() []string {
	var routes []string
	for name, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			routes = append(routes, "/"+name+"/"+m.Name)
		}
	}
	slices.Sort(routes)
	return routes
}

// follow keeps the health service, for the whole server and for each service, in step with
// the chassis's state and readiness checks.
func (s *server) follow(svc *chassis.Service) {
	names := []string{""}
	for name := range s.grpc.GetServiceInfo() {
		names = append(names, name)
	}
	report := func(ready bool) {
		status := healthpb.HealthCheckResponse_NOT_SERVING
		if ready {
			status = healthpb.HealthCheckResponse_SERVING
		}
		for _, name := range names {
			s.health.SetServingStatus(name, status)
		}
	}
	report(false)
	svc.OnState(func(state chassis.State) {
		if state == chassis.StateDraining {
			s.health.Shutdown() // NOT_SERVING, and later reports change nothing
			return
		}
		report(state == chassis.StateReady)
	})
	svc.Go("grpc health", func(ctx context.Context) error {
		tick := time.NewTicker(healthPeriod)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				report(svc.ReadyError(ctx) == nil)
			}
		}
	})
}

// healthPeriod is how soon the health service notices that a readiness check fails.
const healthPeriod = time.Second

// Serve implements chassis.Server.
func (s *server) Serve(l net.Listener) error {
	err := s.grpc.Serve(l)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Drain implements chassis.Server: streams learn by chassis.Draining that they are to end.
// GracefulStop waits for streams for ever; Close releases it unless a handler ignores its
// context, and then nothing here waits for it.
func (s *server) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements chassis.Server. grpc-go's Stop waits for handlers, so it is not waited for:
// a handler that ignores its context must not hold the process.
func (s *server) Close() error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(stopGrace):
	}
	return nil
}

// stopGrace is how long handlers have to notice that their contexts ended.
const stopGrace = 100 * time.Millisecond
