// Package grpcclient calls gRPC services from a service on the chassis: calls carry on the
// request's id and trace, unary calls never wait without a bound, and the failures of the
// service that is called are told apart by their codes. And it does not make it worse when such a
// service is in trouble: only what does nothing twice is sent again, of a hundred calls no more than
// ten, and when a service refuses many, fewer are sent in the first place.
//
//	conn, err := grpcclient.Dial(s, "game", cfg.Game)
//	games := gamev1.NewGameServiceClient(conn)
//	_, err = games.DropDisc(ctx, req, grpcclient.Idempotent()) // req has an id: it counts once
//	if f, ok := grpcclient.FailureOf(err); ok && f.Code == 1042 {
//		// the column is full
//	}
//
// An error of a call whose context ended wraps that context's error, so that errors.Is finds
// context.Canceled or context.DeadlineExceeded. A handler may thus return it as it is: the
// chassis answers a caller that left, or a deadline, and no internal error.
//
// # What is sent again
//
// A unary call is sent again when it ended with UNAVAILABLE and
//
//   - it is idempotent: its method has the option idempotency_level, IDEMPOTENT or NO_SIDE_EFFECTS, or
//     the call the option [Idempotent]; or
//   - there was no connection to send it on; or
//   - the admission of a service on the chassis refused it, which it says by its failure code
//     (overloaded or draining) together with the trailer grpc-retry-pushback-ms. The code alone
//     does not do: a handler may pass it on after it has acted.
//
// grpc-go itself sends again, once, what the peer's HTTP/2 says it has not begun (REFUSED_STREAM, or
// GOAWAY before it); that costs no budget and counts as one attempt. Retries that a resolver's
// service config asks for are off, because they know no budget.
//
// A negative grpc-retry-pushback-ms, or one that is no number, means never (gRFC A6), and so does a
// failure code of the chassis that is not retryable. The wait is at least as long as that trailer or
// google.rpc.RetryInfo say. How often and when is told in [retry]. RESOURCE_EXHAUSTED is final: more
// calls do not help a caller that is over its quota.
//
// A stream is opened once: the caller alone knows what it has seen of it and where to go on. The
// throttle may hold it back like a call.
//
// # Hedging
//
// Where [retry.Config].Hedge is set, an idempotent unary call without an answer after that time is
// sent a second time, and the first good answer counts. Calls with options that tell of one attempt
// (grpc.Header, Trailer, Peer, OnFinish) are not hedged.
//
// # Metrics
//
// client_requests_total, client_attempts_total{outcome}, client_retries_total, client_hedges_total,
// client_throttled_total and client_retry_budget_exhausted_total, each labelled by client, the name
// given to [Dial].
package grpcclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	retrying "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// Config is one service that is called. A zero field means its default; a negative keepalive
// means none.
type Config struct {
	Addr    string        `config:"addr" doc:"where the service is: host:port, unix:/path, or any gRPC target"`
	TLS     bool          `config:"tls" doc:"speak TLS and verify the service's certificate"`
	Timeout time.Duration `config:"timeout" doc:"time for a unary call, unless its caller has less"`
	MaxSize config.Size   `config:"max_size" doc:"size of a message received"`

	// Keepalive finds out that a peer has vanished while a stream waits for it. Services on
	// the chassis allow 30 s; a server with grpc-go's defaults closes the connection of a
	// client that probes it more often than every 5 minutes. grpc-go takes less than 10 s for
	// 10 s.
	Keepalive time.Duration `config:"keepalive" doc:"how often a silent connection with calls under way is probed"`

	Retry retry.Config `config:"retry"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxSize == 0 {
		c.MaxSize = 16 << 20
	}
	if c.Keepalive == 0 {
		c.Keepalive = time.Minute
	}
}

// Validate refuses a missing address and bounds that are none.
func (c *Config) Validate() error {
	var errs []error
	if c.Addr == "" {
		errs = append(errs, config.Invalid("addr", "want the address of the service to call, such as 127.0.0.1:9090"))
	}
	if c.Timeout < 0 {
		errs = append(errs, config.Invalid("timeout", "want more than 0, got %v", c.Timeout))
	}
	if c.MaxSize < 0 || c.MaxSize > math.MaxInt32 {
		errs = append(errs, config.Invalid("max_size", "want from 1 byte to %d, got %d", math.MaxInt32, int64(c.MaxSize)))
	}
	return errors.Join(errs...)
}

// Host is what a connection needs of the service that calls; *chassis.Service is one.
type Host interface {
	OnClose(name string, f func(context.Context) error)
	Clock() clock.Clock
	Rand() io.Reader
	Registry() *prometheus.Registry
}

// Dial makes a connection to the service that cfg names; it is closed when h ends. Nothing is
// sent before the first call, so the service need not be there yet. name stands for the service in
// metrics and errors; each connection of h has its own. Options are added to the package's own:
// interceptors among them see each attempt.
func Dial(h Host, name string, cfg Config, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	cfg.SetDefaults()
	cfg.Retry.SetDefaults()
	if err := errors.Join(cfg.Validate(), cfg.Retry.Validate()); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	creds := insecure.NewCredentials()
	if cfg.TLS {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	c := &caller{
		rand: h.Rand(), timeout: cfg.Timeout,
		policy: retry.New(name, cfg.Retry, h.Clock(), h.Rand()),
		again:  retrying.UnaryClientInterceptor(retrying.WithMax(uint(cfg.Retry.Attempts)), retrying.WithCodes(codes.Unavailable)),
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(cfg.MaxSize))),
		grpc.WithDisableRetry(),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
	if cfg.Keepalive > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: cfg.Keepalive, Timeout: 10 * time.Second}))
	}
	conn, err := grpc.NewClient(cfg.Addr, append(options, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s at %s: %w", name, cfg.Addr, err)
	}
	if err := kpi.RegisterClient(h.Registry(), name, c.stats); err != nil {
		_ = conn.Close()
		return nil, err
	}
	h.OnClose("connection to "+name, func(context.Context) error { return conn.Close() })
	return conn, nil
}
