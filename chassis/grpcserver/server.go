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
	"maps"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// Config is one gRPC listener. A zero field means its default; where a bound can be switched
// off, a negative value does so.
type Config struct {
	Addr string            `config:"addr" doc:"where to listen: host:port (port 0: any free one) or unix:/path"`
	TLS  chassis.TLSConfig `config:"tls"`
	// ACL says which proxies are trusted to name the client, and who may call. Its routes are services
	// (/game.v1.Game) and methods (/game.v1.Game/Move).
	ACL acl.Config `config:"acl"`

	// Admission bounds how many unary calls are answered and wait at a time. Health checks pass it by.
	Admission chassis.AdmissionConfig `config:"admission"`

	Reflection bool `config:"reflection" doc:"let callers ask which services there are, as grpcurl does"`
	// IDOnFailure is for callers that do not look at the x-request-id of an answer which is none of a
	// failure: it is new each time, so that it drives what repeats from the table by which a connection
	// compresses its headers (RFC 7541, section 2.3.2). Log, context and streams have the id as ever. A method
	// that sends its header itself, and fails then, has sent it without.
	IDOnFailure bool `config:"id_on_failure" doc:"tell callers of unary methods the id of a call only when it fails; spares a small call about a tenth"`

	MaxConns int `config:"max_conns" doc:"connections open at a time"`
	// MaxConnsPerClient is as for HTTP: an IPv6 network of 64 bits is one client, loopback and unix
	// sockets are exempt.
	MaxConnsPerClient int           `config:"max_conns_per_client" doc:"connections that one client address has open at a time; one more is closed"`
	MaxReceive        config.Size   `config:"max_receive" doc:"size of a message received"`
	MaxSend           config.Size   `config:"max_send" doc:"size of a message sent"`
	MaxHeader         config.Size   `config:"max_header" doc:"size of a call's metadata"`
	MaxStreams        int           `config:"max_streams" doc:"calls at a time on one connection"`
	WriteTimeout      time.Duration `config:"write_timeout" doc:"how long a client may read nothing before its connection is closed"`
	Timeout           time.Duration `config:"timeout" doc:"time for a unary method to answer when its caller sets none"`
	HandshakeTimeout  time.Duration `config:"handshake_timeout" doc:"time for a connection to be set up"`
	MaxAge            time.Duration `config:"max_age" doc:"when a connection is asked to reconnect, so that load spreads"`
	Workers           int           `config:"workers" doc:"goroutines that are kept for calls, 32 for each processor by default; calls beyond get new ones"`
}

const (
	// workersPerProcessor is as many calls as are often under way at a time: a processor reads the
	// requests of several connections before it answers the first. A new goroutine begins with a
	// small stack, which a call outgrows. With 32 calls at a time bare grpc-go spends 22 % of its time
	// on that where it has one worker for each processor, and 1 % where it has 32. One that waits
	// costs some 8 KiB.
	workersPerProcessor = 32
	maxWorkers          = 1 << 16
)

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	set(&c.Addr, "127.0.0.1:0")
	set(&c.MaxConns, 10_000)
	set(&c.MaxConnsPerClient, 256)
	set(&c.MaxReceive, 4<<20)
	set(&c.MaxSend, 16<<20)
	set(&c.MaxHeader, 16<<10)
	set(&c.MaxStreams, 100)
	set(&c.WriteTimeout, 30*time.Second)
	set(&c.Timeout, 30*time.Second)
	set(&c.HandshakeTimeout, 10*time.Second)
	set(&c.MaxAge, 30*time.Minute)
	set(&c.Workers, min(workersPerProcessor*runtime.GOMAXPROCS(0), maxWorkers))
}

// Validate refuses an address that cannot be listened on and bounds that have no meaning.
func (c *Config) Validate() error {
	var errs []error
	if err := chassis.ValidateAddr(c.Addr); err != nil {
		errs = append(errs, config.Invalid("addr", "%w", err))
	}
	if c.MaxStreams < 0 || c.MaxStreams > math.MaxInt32 {
		errs = append(errs, config.Invalid("max_streams", "want from 1 to %d, got %d", math.MaxInt32, c.MaxStreams))
	}
	if c.Workers > maxWorkers {
		errs = append(errs, config.Invalid("workers", "want %d at most, or a negative number for none, got %d", maxWorkers, c.Workers))
	}
	if c.HandshakeTimeout < 0 {
		errs = append(errs, config.Invalid("handshake_timeout", "want more than 0, got %v", c.HandshakeTimeout))
	}
	for _, size := range []struct {
		field string
		value config.Size
	}{{"max_receive", c.MaxReceive}, {"max_send", c.MaxSend}, {"max_header", c.MaxHeader}} {
		if size.value < 0 || size.value > math.MaxInt32 {
			errs = append(errs, config.Invalid(size.field, "want from 1 byte to %d, got %d", math.MaxInt32, int64(size.value)))
		}
	}
	return errors.Join(errs...)
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Serve serves what register registers on the listener called name. It belongs into Setup, and
// its error is Setup's. Options are added to the chassis's own; interceptors given with
// grpc.ChainUnaryInterceptor and grpc.ChainStreamInterceptor run inside the chassis's. The
// health service (grpc.health.v1) is Serve's own and must not be registered. As with grpc-go, the
// handlers of methods get no interceptor when no option gives one. A stats.Handler hears of the sizes
// of messages, but sees them as the chassis passes them on.
func Serve(s *chassis.Service, name string, cfg Config, register func(grpc.ServiceRegistrar), opts ...grpc.ServerOption) error {
	cfg.SetDefaults()
	cfg.Admission.SetDefaults()
	if err := errors.Join(cfg.Validate(), cfg.TLS.Validate(), cfg.Admission.Validate()); err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	tlsConfig, err := s.TLS(name, cfg.TLS, "h2")
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	guard, err := acl.New(cfg.ACL)
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	c := newChain(s, name, cfg, guard)
	entry := s.Entry(name, guard, drain.Entry{
		MaxConns: cfg.MaxConns, MaxConnsPerClient: cfg.MaxConnsPerClient, WriteTimeout: cfg.WriteTimeout,
	})
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(cfg.MaxReceive)),
		grpc.MaxSendMsgSize(int(cfg.MaxSend)),
		grpc.MaxHeaderListSize(uint32(cfg.MaxHeader)),
		grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.ConnectionTimeout(cfg.HandshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: max(cfg.MaxAge, 0)}),
		grpc.ChainStreamInterceptor(c.stream),
		grpc.UnknownServiceHandler(unknown),
		grpc.ForceServerCodecV2(c.codec),
	}
	if tlsConfig != nil {
		options = append(options, grpc.Creds(secured{credentials.NewTLS(tlsConfig), entry.Inside}))
	}
	if cfg.Workers > 0 && !s.Dry() && !s.Guest() {
		// Stacks that have grown already.
		options = append(options, grpc.NumStreamWorkers(uint32(cfg.Workers)))
	}
	srv := &server{grpc: grpc.NewServer(append(options, opts...)...), chain: c, entry: entry}
	in := registrar{srv.grpc, c}
	register(in)
	services := slices.Sorted(maps.Keys(srv.grpc.GetServiceInfo()))
	if slices.Contains(services, healthpb.Health_ServiceDesc.ServiceName) {
		srv.grpc.Stop()
		return fmt.Errorf("listener %q: %s was registered, which the chassis does", name, healthpb.Health_ServiceDesc.ServiceName)
	}
	routes := srv.methods()
	if err := c.arrange(opts, routes); err != nil {
		srv.grpc.Stop()
		return fmt.Errorf("listener %q: %w", name, err)
	}
	healthpb.RegisterHealthServer(in, newHealth(s, services))
	if cfg.Reflection {
		reflection.Register(in)
	}
	protocol := "grpc"
	if tlsConfig != nil {
		protocol = "grpcs"
	}
	if err := s.Serve(name, protocol, cfg.Addr, srv, func() []string { return slices.Clone(routes) }); err != nil {
		srv.grpc.Stop()
		return err
	}
	for method, p := range c.places {
		p.none = strings.HasPrefix(method, "/"+healthpb.Health_ServiceDesc.ServiceName+"/")
	}
	if c.queue, err = s.Admission(name, cfg.Admission); err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	return nil
}

// secured is TLS whose connections the world may have a hand in.
type secured struct {
	credentials.TransportCredentials
	inside func(net.Conn) net.Conn // nil: it does not want to
}

// ServerHandshake implements credentials.TransportCredentials.
func (s secured) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := s.TransportCredentials.ServerHandshake(raw)
	if err == nil && s.inside != nil {
		c = s.inside(c)
	}
	return c, info, err
}

// Clone implements credentials.TransportCredentials.
func (s secured) Clone() credentials.TransportCredentials {
	return secured{s.TransportCredentials.Clone(), s.inside}
}

// server is a gRPC server with the chassis's verbs.
type server struct {
	grpc    *grpc.Server
	chain   *chain
	entry   drain.Entry
	cut     atomic.Int64 // calls that Close has ended
	closing sync.Once

	mu      sync.Mutex
	gate    *drain.Gate   // what Serve accepts from; nil before
	stopped chan struct{} // closed when GracefulStop has returned; nil before it was called
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

// HTTP2 tells the description what gRPC is spoken over.
func (s *server) HTTP2() bool { return true }

// Serve implements chassis.Server.
func (s *server) Serve(l net.Listener) error {
	gate := drain.NewGate(l, s.entry)
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	err := s.grpc.Serve(gate)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

const (
	// setups is how many looks, a millisecond apart, connections that have just been accepted may still
	// take to be set up when the server stops. GracefulStop closes some of those that it does not know,
	// and waits for the others with its GOAWAY, as long as handshake_timeout. A call that its client
	// keeps until the connection is ready fails with it. So looks are counted rather than the clock
	// read: where a busy machine does not get to set a connection up, looks are late as well, and who
	// is not ready after all of them has sent nothing.
	setups = 250
	// goAway is how long GOAWAY may be on its way before handlers of streams are told to end.
	goAway = 50 * time.Millisecond
)

// HeadsUp stops accepting and has GracefulStop begin: it sends GOAWAY with the highest stream
// number, waits for the peer to answer, and only then says which stream was the last (RFC 9113,
// section 6.8).
func (s *server) HeadsUp(ctx context.Context) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		gate.Quiesce()
		s.settle(ctx, gate)
		gate.CloseFresh() // or GOAWAY would not be out when streams are told to end
	}
	s.stop()
	if s.chain.streams.Load() > 0 {
		select {
		case <-time.After(goAway):
		case <-ctx.Done():
		}
	}
}

// settle waits until the server knows all connections that were accepted.
func (s *server) settle(ctx context.Context, gate *drain.Gate) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for looks := 0; looks < setups && gate.Fresh() > 0; looks++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop has GracefulStop run and returns what is closed when it has ended. It waits for handlers
// without a bound; after a Close it waits only for those that ignore the end of their context,
// and then nobody waits for it.
func (s *server) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		stopped := make(chan struct{})
		s.stopped = stopped
		go func() {
			defer close(stopped)
			s.grpc.GracefulStop()
		}()
	}
	return s.stopped
}

// Drain implements chassis.Server: streams learn by chassis.Draining that they are to end.
func (s *server) Drain(ctx context.Context) error {
	select {
	case <-s.stop():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements chassis.Server.
func (s *server) Close() error {
	s.closing.Do(func() { s.cut.Store(s.chain.calls.Load()) })
	s.grpc.Stop()
	return nil
}

// Cut implements chassis.Server's optional method.
func (s *server) Cut() map[string]uint64 {
	return map[string]uint64{"grpc": uint64(s.cut.Load())}
}
