package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/timeout"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// chain takes every call through the steps of an HTTP request: identity, handler, failure,
// access line, metrics.
type chain struct {
	service   *chassis.Service
	listener  string
	timeout   time.Duration
	sparing   bool // of ids: answers of unary methods carry them only with failures
	codec     codec
	maxSend   int64
	inFlight  prometheus.Gauge
	streams   atomic.Int64          // being answered
	calls     atomic.Int64          // being answered, streams among them
	methods   map[string]*kpi.Route // of everything registered; not changed once it is served
	divertBy  string                // metadata that names another instance, which answers; empty when there is none
	guests    map[string]guest      // what is registered with a guest, by method
	queue     *queue.Queue          // that unary calls pass; nil if there is none
	places    map[string]*place     // of methods that are served; not changed then
	tenant    func(context.Context) string
	guard     *acl.Guard
	counts    *kpi.Listener
	forwarded string    // the metadata by which trusted proxies name the client
	incoming  any       // what contexts have their metadata under
	headers   sync.Pool // of what answers carry: making one costs as much as all the rest
	idle      sync.Pool // of *call
}

// call is one call under way. Those of unary methods are used again: nobody else has them.
type call struct {
	*scope
	chain   *chain
	route   *kpi.Route  // nil for what nobody registered
	md      metadata.MD // that the caller sent; not to be changed
	peer    *peer.Peer  // nil if grpc-go does not tell
	verdict acl.Verdict
	start   time.Time
	waited  time.Duration // until it was admitted
	refused bool          // it was not
	bytes   int64
	errorID string // of the failure it was answered with
	behalf  string // its tenant's name
	named   bool   // that is known

	// The rest is of unary methods.
	place     *place
	admission queue.Admission // the zero Admission: it has not passed a queue

	after func(error) error // the interceptor's, nil if it does not want to hear
	asked *chassis.Call     // what it was asked; nil if it was not, or may still look at it

	recv func(any) error // reads the message
	in   envelope
	read func(any) error // is receive, made once
}

// scope is the context that a handler gets, with what must last as long as somebody may have it.
type scope struct {
	timeout.Context
	request.Info
	request.Origin
	out reply
}

// Value implements context.Context.
func (s *scope) Value(key any) any {
	switch key {
	case request.Key{}:
		return &s.Info
	case request.OriginKey{}:
		return &s.Origin
	}
	return s.Context.Value(key)
}

func newChain(s *chassis.Service, listener string, cfg Config, guard *acl.Guard) *chain {
	c := &chain{
		service: s, listener: listener, timeout: cfg.Timeout, sparing: cfg.IDOnFailure, codec: newCodec(), maxSend: int64(cfg.MaxSend),
		inFlight: s.Metrics().InFlight(listener), methods: map[string]*kpi.Route{}, places: map[string]*place{},
		guard: guard, counts: s.Metrics().Listener(listener), forwarded: strings.ToLower(guard.Header()), incoming: incomingKey(),
		divertBy: strings.ToLower(s.DivertBy()), guests: map[string]guest{},
	}
	c.headers.New = func() any { return metadata.MD{idKey: make([]string, 1)} }
	c.idle.New = func() any {
		cl := new(call)
		cl.read, cl.in.admit = cl.receive, cl.enter
		return cl
	}
	return c
}

// add makes the metrics of a method, which stand at zero before the first call: a rate does not
// see the step from nothing to one.
func (c *chain) add(method string) *kpi.Route {
	route := c.service.Metrics().Route(c.listener, method, "POST")
	c.methods[method] = route
	return route
}

// begin identifies a call. A method that nobody registered has no route: callers can make up any
// number of them.
func (cl *call) begin(c *chain, ctx context.Context, method string, route *kpi.Route) {
	cl.scope = &scope{Context: timeout.Context{Parent: ctx}}
	cl.chain, cl.route, cl.start = c, route, c.service.Clock().Now()
	cl.md = c.metadata(ctx)
	cl.peer, _ = peer.FromContext(ctx)
	cl.locate(method)
	// The table by which a connection compresses its headers (RFC 7541, section 2.3.2) keeps the last
	// fifty ids. Were they part of the scope, it would keep all that fifty calls had.
	id := new([request.IDLen]byte)
	cl.Info = c.service.Identify(cl.start, c.listener, cl.first(idKey), cl.first("traceparent"), id)
	if route != nil {
		cl.Route = method
	}
	c.inFlight.Inc()
	c.calls.Add(1)
}

// header has set send the call's id to the caller. grpc-go copies what it is given.
func (cl *call) header(set func(metadata.MD) error) {
	md := cl.chain.headers.Get().(metadata.MD)
	md[idKey][0] = cl.ID
	_ = set(md)
	md[idKey][0] = ""
	cl.chain.headers.Put(md)
}

// sendID sends the id of a unary call to the caller, unless the method has sent the header already.
func (cl *call) sendID() {
	if s := grpc.ServerTransportStreamFromContext(cl.Parent); s != nil {
		cl.header(s.SetHeader)
	}
}

const idKey = "x-request-id"

// intercept asks the world whether the method may run; message is the request of a unary one.
func (cl *call) intercept(message any) error {
	if cl.Route == "" || !cl.chain.service.Intercepts() {
		return nil
	}
	asked := cl.asked
	if cl.asked = nil; asked == nil || cl.after != nil { // a method may read twice
		asked = &chassis.Call{Header: cl.lookup}
	}
	*asked = chassis.Call{
		Listener: cl.Listener, Method: "POST", Route: cl.Route, Tenant: cl.tenant(), Peer: cl.Peer, Stream: message == nil,
		Header: asked.Header, Message: message,
	}
	if err := cl.chain.service.Intercept(cl.scope, asked); err != nil {
		return err
	}
	if cl.after = asked.After; cl.after != nil {
		cl.asked = asked
	}
	return nil
}

// afterwards tells the interceptor, if it wants to hear, that the method has ended, and returns
// what is to be answered.
func (cl *call) afterwards(err error) error {
	after := cl.after
	if after == nil {
		return err
	}
	asked := cl.asked
	cl.after, cl.asked = nil, nil
	err = after(err)
	*asked = chassis.Call{Header: asked.Header}
	cl.asked = asked
	return err
}

// end logs and counts the call and returns the error its caller sees. Health probes have no
// access line: they would drown the others.
func (cl *call) end(method string, stream bool, err error) error {
	defer cl.Release()
	c := cl.chain
	took := c.service.Clock().Now().Sub(cl.start)
	c.inFlight.Dec()
	c.calls.Add(-1)
	code, number, class := codes.OK, 0, failure.NotProblem
	if err != nil {
		var f *failure.Code
		f, err = cl.answer(err)
		code, number, class = status.Code(err), f.Number(), f.Class()
		if c.sparing && !stream {
			cl.sendID()
		}
	}
	route := cl.route
	if route == nil {
		route = c.service.Metrics().Route(cl.Listener, "", "POST")
	}
	route.ObserveAnswer(cl.observed(code, class, stream, took))
	rec := cl.record(method)
	rec.Status, rec.Bytes, rec.Duration = 200, cl.bytes, took
	rec.FailureCode, rec.ErrorID, rec.GRPCStatus = number, cl.errorID, strconv.Itoa(int(code))
	if errors.Is(cl.Parent.Err(), context.Canceled) {
		rec.Conn = accesslog.ConnAborted
	}
	c.service.LogAccess(&rec)
	return err
}

// record is what an access line tells of the call itself.
func (cl *call) record(method string) accesslog.Record {
	rec := accesslog.Record{
		Start: cl.start, Method: "POST", URI: method, Proto: "HTTP/2.0", Reused: -1, Conn: accesslog.ConnKept, Server: cl.chain.service.Name(),
		Peer: cl.Peer, Client: cl.Client,
		QueueWait: cl.waited,
		Request:   (*received)(cl), Route: cl.Route, RequestID: cl.ID, TraceID: cl.Trace.TraceID, Listener: cl.Listener,
	}
	if cl.peer != nil {
		rec.Local = acl.AddrPort(cl.peer.LocalAddr)
	}
	return rec
}

// ownStatus is the status that a handler made itself, nil when err is nil, has a code of ours, or says OK.
func ownStatus(err error) *status.Status {
	if err == nil {
		return nil
	}
	_, declared := wary.As[failure.Failer](err)
	own, hasStatus := wary.As[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if declared || !hasStatus {
		return nil
	}
	defer func() { _ = recover() }() // the method is anybody's, and nobody recovers what it panics with
	if st := own.GRPCStatus(); st.Code() != codes.OK {
		return st
	}
	return nil
}

// answer makes the status that the caller sees, and the code of the failure it is counted as. A
// status that a handler made itself is passed on as it is, without what wraps it, and counted under
// the chassis's code that is nearest.
func (cl *call) answer(err error) (code *failure.Code, answer error) {
	if st := ownStatus(err); st != nil {
		f, id := cl.chain.service.Fail(cl.scope, nearest(st.Code()).Wrap(err), asked)
		cl.errorID = id
		return f.Code(), st.Err()
	}
	f, id := cl.chain.service.Fail(cl.scope, err, asked)
	cl.errorID = id
	cl.pushback(f)
	return f.Code(), Status(f, id).Err()
}

var asked = chassis.Asked{Protocol: "grpc", Method: "POST"}

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

// unary has a method run in the chain. It stands around the method itself and not in an interceptor,
// which grpc-go calls when the message has been read: here, one that cannot be read is a call as
// well, and generated code makes nothing for interceptors that are not there.
func (c *chain) unary(method string, next grpc.MethodHandler) grpc.MethodHandler {
	route, p := c.add(method), c.place(method)
	return func(srv any, ctx context.Context, recv func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		if name := c.diverted(ctx); name != "" {
			return c.divert(ctx, name, method, recv, interceptor)
		}
		cl := c.idle.Get().(*call)
		cl.begin(c, ctx, method, route)
		if !c.sparing {
			cl.sendID()
		}
		cl.recv, cl.place = recv, p
		returned := false
		defer cl.goexit(method, &returned)
		resp, err := cl.handle(srv, next, interceptor)
		returned = true
		err = cl.end(method, false, err)
		*cl = call{read: cl.read, asked: cl.asked, in: envelope{admit: cl.in.admit}}
		c.idle.Put(cl)
		return resp, err
	}
}

// handle calls the method and makes a failure of a panic.
func (cl *call) handle(srv any, next grpc.MethodHandler, interceptor grpc.UnaryServerInterceptor) (resp any, err error) {
	defer recovered(&err)
	if err := cl.admit(); err != nil {
		return nil, err
	}
	returned := false
	defer func() {
		if !returned {
			err = errPanicked // until recovered says how
			_ = cl.afterwards(err)
		}
		cl.leave(err)
	}()
	resp, err = next(srv, cl.scope, cl.read, interceptor)
	if err = cl.afterwards(err); err == nil {
		resp, err = cl.seal(resp)
	}
	returned = true
	return resp, err
}

func (c *chain) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if name := c.diverted(ss.Context()); name != "" {
		return c.divertStream(ss, name, info, handler)
	}
	c.streams.Add(1)
	defer c.streams.Add(-1)
	cl := new(call)
	cl.begin(c, ss.Context(), info.FullMethod, c.methods[info.FullMethod])
	cl.header(ss.SetHeader)
	returned := false
	defer cl.goexit(info.FullMethod, &returned)
	err := cl.handleStream(srv, ss, handler)
	returned = true
	return cl.end(info.FullMethod, true, err)
}

// goexit, when deferred, answers a method that has ended its goroutine, which grpc-go leaves without an
// answer.
func (cl *call) goexit(method string, returned *bool) {
	if *returned {
		return
	}
	err := cl.end(method, cl.place == nil, failure.Recovered(nil, debug.Stack()))
	s, ok := grpc.ServerTransportStreamFromContext(cl.Parent).(interface {
		WriteStatus(st *status.Status) error
	})
	if ok {
		_ = s.WriteStatus(status.Convert(err)) // a caller that left is none the worse
	}
}

// handleStream does for a stream what handle does.
func (cl *call) handleStream(srv any, ss grpc.ServerStream, handler grpc.StreamHandler) (err error) {
	defer recovered(&err)
	if err := cl.admit(); err != nil {
		return err
	}
	if err := cl.intercept(nil); err != nil {
		return err
	}
	if cl.Route != "" {
		rec := cl.record(cl.Route)
		cl.chain.service.LogStart(&rec)
	}
	returned := false
	defer func() {
		if !returned {
			_ = cl.afterwards(errPanicked)
		}
	}()
	err = handler(srv, &serverStream{ss, cl})
	returned = true
	return cl.afterwards(err)
}

// recovered, when deferred, makes a failure of a panic.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = failure.Recovered(v, debug.Stack())
	}
}

// unknown answers calls of methods that nobody registered.
func unknown(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	return failure.UnknownRoute.With("method", failure.Safe(method))
}

// serverStream carries the call's context and counts what is sent.
type serverStream struct {
	grpc.ServerStream
	call *call
}

func (s *serverStream) Context() context.Context { return s.call.scope }

func (s *serverStream) SendMsg(m any) error {
	if pm, ok := m.(proto.Message); ok {
		size := proto.Size(pm)
		if err := s.call.fits(size); err != nil {
			return err
		}
		s.call.bytes += int64(size)
	}
	return s.ServerStream.SendMsg(m)
}

// fits refuses a message that is too large to be sent, as a failure of the service. grpc-go would
// answer RESOURCE_EXHAUSTED behind the chain's back.
func (cl *call) fits(size int) error {
	if int64(size) > cl.chain.maxSend {
		return failure.Unclassified.Wrap(fmt.Errorf("the answer has %d bytes, more than the %d of max_send", size, cl.chain.maxSend))
	}
	return nil
}
