package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// chain takes every call through the steps of an HTTP request: identity, handler, failure,
// access line, metrics.
type chain struct {
	service  *chassis.Service
	listener string
	timeout  time.Duration
	maxSend  int64
	inFlight prometheus.Gauge
	streams  atomic.Int64          // being answered
	calls    atomic.Int64          // being answered, streams among them
	methods  map[string]*kpi.Route // of everything registered; not changed once it is served
}

// call is one call under way.
type call struct {
	request.Info
	chain *chain
	start time.Time
	bytes int64
}

func newChain(s *chassis.Service, listener string, cfg Config) *chain {
	return &chain{
		service: s, listener: listener, timeout: cfg.Timeout, maxSend: int64(cfg.MaxSend),
		inFlight: s.Metrics().InFlight(listener), methods: map[string]*kpi.Route{},
	}
}

// add makes the metrics of methods, which stand at zero before the first call: a rate does not
// see the step from nothing to one.
func (c *chain) add(methods []string) {
	for _, method := range methods {
		c.methods[method] = c.service.Metrics().Route(c.listener, method, "POST")
	}
}

// begin identifies a call and returns the context its handler gets. A method that nobody
// registered has no route: callers can make up any number of them.
func (c *chain) begin(ctx context.Context, method string) (*call, context.Context) {
	cl := &call{chain: c, start: c.service.Clock().Now()}
	cl.Info = c.service.NewRequest(c.listener, first(ctx, "x-request-id"), first(ctx, "traceparent"))
	if c.methods[method] != nil {
		cl.Route = method
	}
	c.inFlight.Inc()
	c.calls.Add(1)
	return cl, request.With(ctx, &cl.Info)
}

// first is the first value that the caller sent under key.
func first(ctx context.Context, key string) string {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// intercept asks the world whether the method may run.
func (cl *call) intercept(ctx context.Context) error {
	if cl.Route == "" {
		return nil
	}
	return cl.chain.service.Intercept(ctx, chassis.Call{Listener: cl.Listener, Method: "POST", Route: cl.Route})
}

// end logs and counts the call and returns the error its caller sees. Health probes have no
// access line: they would drown the others.
func (cl *call) end(ctx context.Context, method string, err error) error {
	c := cl.chain
	took := c.service.Clock().Now().Sub(cl.start)
	c.inFlight.Dec()
	c.calls.Add(-1)
	code, number := codes.OK, 0
	if err != nil {
		number, err = cl.answer(ctx, err)
		code = status.Code(err)
	}
	route := c.methods[method]
	if route == nil {
		route = c.service.Metrics().Route(cl.Listener, "", "POST")
	}
	route.ObserveGRPC(uint32(code), took, cl.bytes)
	if strings.HasPrefix(method, healthPrefix) {
		return err
	}
	c.service.LogAccess(&accesslog.Record{
		Client: clientAddr(ctx), Start: cl.start, Method: "POST", URI: method, Proto: "HTTP/2.0", Status: 200,
		Bytes: cl.bytes, UserAgent: first(ctx, "user-agent"), Duration: took, Route: cl.Route, RequestID: cl.ID,
		FailureCode: number, Listener: cl.Listener,
	})
	return err
}

var healthPrefix = "/" + healthpb.Health_ServiceDesc.ServiceName + "/"

// answer makes the status that the caller sees, and the number of the failure it is counted as. A
// status that a handler made itself is passed on as it is, without what wraps it, and counted under
// the chassis's code that is nearest.
func (cl *call) answer(ctx context.Context, err error) (number int, answer error) {
	_, declared := errors.AsType[failure.Failer](err)
	own, hasStatus := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !declared && hasStatus && own.GRPCStatus().Code() != codes.OK {
		st := own.GRPCStatus()
		f, _ := cl.chain.service.Fail(ctx, nearest(st.Code()).Wrap(err))
		return f.Code().Number(), st.Err()
	}
	f, id := cl.chain.service.Fail(ctx, err)
	return f.Code().Number(), Status(f, id).Err()
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

// Status is f as it goes over the wire, with id as the error id: the code's gRPC status and the
// words for callers, google.rpc.ErrorInfo, and google.rpc.RetryInfo when f says how long to wait
// before trying again.
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
	detailed, err := st.WithDetails(details...)
	if err != nil {
		// Only a status of OK has no details, and no code of a failure is that.
		panic(err)
	}
	return detailed
}

func (c *chain) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	cl, ctx := c.begin(ctx, info.FullMethod)
	if _, ok := ctx.Deadline(); !ok && c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-request-id", cl.ID))
	resp, err = guard(func() (any, error) {
		if err := cl.intercept(ctx); err != nil {
			return nil, err
		}
		return handler(ctx, req)
	})
	if err == nil {
		err = cl.send(resp)
	}
	return resp, cl.end(ctx, info.FullMethod, err)
}

func (c *chain) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	c.streams.Add(1)
	defer c.streams.Add(-1)
	cl, ctx := c.begin(ss.Context(), info.FullMethod)
	_ = ss.SetHeader(metadata.Pairs("x-request-id", cl.ID))
	_, err := guard(func() (any, error) {
		if err := cl.intercept(ctx); err != nil {
			return nil, err
		}
		return nil, handler(srv, &serverStream{ss, ctx, cl})
	})
	return cl.end(ctx, info.FullMethod, err)
}

// unknown answers calls of methods that nobody registered.
func unknown(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	return failure.UnknownRoute.With("method", failure.Safe(method))
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
	if err := s.call.send(m); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// send counts a message that is about to be sent. One above the bound is a failure of the
// service; grpc-go would answer RESOURCE_EXHAUSTED behind the chain's back.
func (cl *call) send(m any) error {
	pm, ok := m.(proto.Message)
	if !ok {
		return nil
	}
	size := int64(proto.Size(pm))
	if size > cl.chain.maxSend {
		return failure.Unclassified.Wrap(fmt.Errorf("the answer has %d bytes, more than the %d of max_send", size, cl.chain.maxSend))
	}
	cl.bytes += size
	return nil
}

// clientAddr is the peer's address in its canonical form, the zero Addr for unix sockets.
func clientAddr(ctx context.Context) netip.Addr {
	if p, ok := peer.FromContext(ctx); ok {
		if tcp, ok := p.Addr.(*net.TCPAddr); ok {
			return tcp.AddrPort().Addr().Unmap().WithZone("")
		}
	}
	return netip.Addr{}
}
