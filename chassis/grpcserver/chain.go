package grpcserver

import (
	"context"
	"errors"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// chain takes every call through the steps of an HTTP request: identity, handler, failure,
// access line, metrics.
type chain struct {
	service  *chassis.Service
	listener string
	timeout  time.Duration
	inFlight prometheus.Gauge
}

// call is one call under way.
type call struct {
	request.Info
	chain *chain
	start time.Time
	agent string
	bytes int64
}

// begin identifies a call and returns the context its handler gets.
func (c *chain) begin(ctx context.Context, method string) (*call, context.Context) {
	md, _ := metadata.FromIncomingContext(ctx)
	cl := &call{chain: c, start: time.Now(), agent: first(md, "user-agent")}
	cl.Info = c.service.NewRequest(c.listener, first(md, "x-request-id"), first(md, "traceparent"))
	cl.Route = method
	c.inFlight.Inc()
	return cl, request.With(ctx, &cl.Info)
}

func first(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// intercept asks the world whether the method may run.
func (cl *call) intercept(ctx context.Context) error {
	return cl.chain.service.Intercept(ctx, chassis.Call{Listener: cl.Listener, Method: "POST", Route: cl.Route})
}

// end logs and counts the call and returns the error its caller sees.
func (cl *call) end(ctx context.Context, err error) error {
	took := time.Since(cl.start)
	cl.chain.inFlight.Dec()
	rec := accesslog.Record{
		Client: clientAddr(ctx), Start: cl.start, Method: "POST", URI: cl.Route, Proto: "HTTP/2.0", Status: 200,
		Bytes: cl.bytes, UserAgent: cl.agent, Duration: took, Route: cl.Route, RequestID: cl.ID, Listener: cl.Listener,
	}
	code := codes.OK
	if err != nil {
		err, rec.FailureCode = cl.answer(ctx, err)
		code = status.Code(err)
	}
	cl.chain.service.Metrics().Route(cl.Listener, cl.Route, "POST").ObserveGRPC(uint32(code), took, cl.bytes)
	cl.chain.service.LogAccess(&rec)
	return err
}

// answer makes the status that the caller sees. A status that a handler made itself is passed
// on as it is, and counted under the chassis's code that is nearest to it.
func (cl *call) answer(ctx context.Context, err error) (error, int) {
	_, declared := errors.AsType[failure.Failer](err)
	if st, ok := status.FromError(err); ok && !declared {
		f, _ := cl.chain.service.Fail(ctx, nearest(st.Code()).Wrap(err))
		return err, f.Code().Number()
	}
	f, id := cl.chain.service.Fail(ctx, err)
	return Status(f, id).Err(), f.Code().Number()
}

// nearest is the chassis's code for a plain gRPC status.
func nearest(code codes.Code) *failure.Code {
	switch code {
	case codes.Canceled:
		return failure.CallerLeft
	case codes.DeadlineExceeded:
		return failure.DeadlineExceeded
	case codes.Unauthenticated:
		return failure.Unauthenticated
	case codes.PermissionDenied:
		return failure.Forbidden
	case codes.Unimplemented:
		return failure.UnknownRoute
	case codes.ResourceExhausted:
		return failure.RateLimited
	case codes.Unavailable:
		return failure.Overloaded
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return failure.Malformed
	}
	return failure.Unclassified
}

// Status is f as it goes over the wire, with id as the error id.
func Status(f *failure.Error, id string) *status.Status {
	code := f.Code()
	p := f.Problem(id)
	metadata := map[string]string{
		"code": strconv.Itoa(code.Number()), "class": code.Class().String(),
		"retryable": strconv.FormatBool(f.Retryable()), "id": id,
	}
	for key, value := range p.Args {
		if _, taken := metadata[key]; !taken {
			metadata[key] = value
		}
	}
	st := status.New(codes.Code(f.GRPCCode()), f.Detail())
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: code.Reason(), Domain: code.Set(), Metadata: metadata}}
	if after := f.RetryAfter(); f.Retryable() && after > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	if detailed, err := st.WithDetails(details...); err == nil {
		return detailed
	}
	return st
}

func (c *chain) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	cl, ctx := c.begin(ctx, info.FullMethod)
	if _, ok := ctx.Deadline(); !ok && c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-request-id", cl.ID))
	if err = cl.intercept(ctx); err == nil {
		resp, err = guard(func() (any, error) { return handler(ctx, req) })
	}
	if m, ok := resp.(proto.Message); ok && err == nil {
		cl.bytes = int64(proto.Size(m))
	}
	return resp, cl.end(ctx, err)
}

func (c *chain) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	cl, ctx := c.begin(ss.Context(), info.FullMethod)
	_ = ss.SetHeader(metadata.Pairs("x-request-id", cl.ID))
	err := cl.intercept(ctx)
	if err == nil {
		_, err = guard(func() (any, error) { return nil, handler(srv, &serverStream{ss, ctx, cl}) })
	}
	return cl.end(ctx, err)
}

// unknown answers calls of methods that nobody registered; the interceptor has named them.
func (c *chain) unknown(any, grpc.ServerStream) error {
	return failure.UnknownRoute.New()
}

// guard makes a failure of a panic.
func guard(f func() (any, error)) (resp any, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, failure.Recovered(v, debug.Stack())
		}
	}()
	return f()
}

// serverStream carries the call's context and counts what is sent.
type serverStream struct {
	grpc.ServerStream
	ctx  context.Context
	call *call
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) SendMsg(m any) error {
	if pm, ok := m.(proto.Message); ok {
		s.call.bytes += int64(proto.Size(pm))
	}
	return s.ServerStream.SendMsg(m)
}

// clientAddr is the peer's address in its canonical form, the zero Addr for unix sockets.
func clientAddr(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
