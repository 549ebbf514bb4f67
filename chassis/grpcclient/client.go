// Package grpcclient calls gRPC services from a service on the chassis: calls carry on the
// request's id and trace, unary calls never wait without a bound, and the failures of the
// service that is called are told apart by their codes.
//
//	conn, err := grpcclient.Dial(s, cfg.Game)
//	games := gamev1.NewGameServiceClient(conn)
//	_, err = games.DropDisc(ctx, req)
//	if f, ok := grpcclient.FailureOf(err); ok && f.Code == 1042 {
//		// the column is full
//	}
//
// An error of a call whose context ended wraps that context's error, so that errors.Is finds
// context.Canceled or context.DeadlineExceeded. A handler may thus return it as it is: the
// chassis answers a caller that left, or a deadline, and no internal error.
package grpcclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
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
	Rand() io.Reader
}

// Dial makes a connection to the service that cfg names; it is closed when h ends. Nothing is
// sent before the first call, so the service need not be there yet. Options are added to the
// package's own.
func Dial(h Host, cfg Config, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("connect to a service: %w", err)
	}
	creds := insecure.NewCredentials()
	if cfg.TLS {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	c := caller{h.Rand(), cfg.Timeout}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(cfg.MaxSize))),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
	if cfg.Keepalive > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: cfg.Keepalive, Timeout: 10 * time.Second}))
	}
	conn, err := grpc.NewClient(cfg.Addr, append(options, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	h.OnClose("connection to "+cfg.Addr, func(context.Context) error { return conn.Close() })
	return conn, nil
}

// caller is what outgoing calls have in common.
type caller struct {
	rand    io.Reader
	timeout time.Duration
}

func (c caller) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout) // a deadline that is earlier stays
	defer cancel()
	return ended(ctx, invoke(c.carry(ctx), method, req, reply, cc, opts...))
}

func (c caller) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	cs, err := streamer(c.carry(ctx), desc, cc, method, opts...)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return &clientStream{cs, ctx}, nil
}

type clientStream struct {
	grpc.ClientStream
	ctx context.Context
}

func (s *clientStream) RecvMsg(m any) error { return ended(s.ctx, s.ClientStream.RecvMsg(m)) }

// ended has err wrap the error of ctx when that is what ended the call.
func ended(ctx context.Context, err error) error {
	code := status.Code(err)
	if code != codes.Canceled && code != codes.DeadlineExceeded {
		return err
	}
	cause := ctx.Err()
	if d, ok := ctx.Deadline(); cause == nil && ok && code == codes.DeadlineExceeded && !time.Now().Before(d) {
		cause = context.DeadlineExceeded // the service kept the deadline and was faster than the context's own timer
	}
	if cause == nil {
		return err
	}
	return &endedError{err, cause}
}

// endedError is the status of a call that ended with its context. It is still a status to
// package status.
type endedError struct{ status, cause error }

func (e *endedError) Error() string              { return e.status.Error() }
func (e *endedError) GRPCStatus() *status.Status { return status.Convert(e.status) }
func (e *endedError) Unwrap() []error            { return []error{e.status, e.cause} }

// carry sends the id and the trace of the request being served on.
func (c caller) carry(ctx context.Context) context.Context {
	info := request.From(ctx)
	if info == nil || info.ID == "" {
		return ctx
	}
	if info.Trace.IsZero() {
		return metadata.AppendToOutgoingContext(ctx, "x-request-id", info.ID)
	}
	return metadata.AppendToOutgoingContext(ctx, "x-request-id", info.ID, "traceparent", info.Trace.Child(c.rand).Header())
}

// Failure is what a service on the chassis says of a call that failed.
type Failure struct {
	Set        string            // whose code it is
	Code       int               // the failure's number in the set
	Class      failure.Class     // whose fault it is, seen from the service that was called
	ID         string            // the error id, by which that service's log is searched
	Message    string            // for the caller's eyes
	Args       map[string]string // what the service says beside the message
	Status     codes.Code
	Retryable  bool
	RetryAfter time.Duration // 0 when the service names no time
}

// FailureOf reads the failure that err carries. It is false for errors of the transport, such
// as a service that cannot be reached, and for statuses of services that are not on the chassis.
func FailureOf(err error) (Failure, bool) {
	carrier, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return Failure{}, false
	}
	st := carrier.GRPCStatus()
	f := Failure{Status: st.Code(), Message: st.Message()}
	found := false
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			number, err := strconv.Atoi(d.Metadata["code"])
			if err != nil || number < 1 {
				continue
			}
			found = true
			f.Set, f.Code, f.ID = d.Domain, number, d.Metadata["id"]
			f.Retryable = d.Metadata["retryable"] == "true"
			_ = f.Class.UnmarshalText([]byte(d.Metadata["class"])) // an unknown class is none
			f.Args = map[string]string{}
			for key, value := range d.Metadata {
				switch key {
				case "code", "class", "id", "retryable":
				default:
					f.Args[key] = value
				}
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = max(d.RetryDelay.AsDuration(), 0)
		}
	}
	if !found {
		return Failure{}, false
	}
	return f, true
}
