package grpcserver_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

// codes are the failures of the services under test.
var (
	codes   = failure.NewSet("test")
	errFull = codes.Caller(1001, "column is full", failure.GRPCCode(failure.GRPCFailedPrecondition))
	errBusy = codes.Dependency(1002, "the store is busy", failure.GRPCCode(failure.GRPCUnavailable), failure.Retryable(0))
)

type conf struct {
	GRPC grpcserver.Config `config:"grpc"`
}

// echo is a service without generated code: Say answers one text with one, Count streams, Chat
// takes and gives.
type echo struct {
	say   func(ctx context.Context, text string) (string, error)
	count func(text string, send func(string) error, ctx context.Context) error
	chat  func(grpc.ServerStream) error
}

const (
	say   = "/test.Echo/Say"
	count = "/test.Echo/Count"
	chat  = "/test.Echo/Chat"
)

func (e *echo) register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			var text wrapperspb.StringValue
			if err := decode(&text); err != nil {
				return nil, err
			}
			answer := func(ctx context.Context, req any) (any, error) {
				answer, err := e.say(ctx, req.(*wrapperspb.StringValue).GetValue())
				if err != nil {
					return nil, err
				}
				return wrapperspb.String(answer), nil
			}
			if intercept == nil {
				return answer(ctx, &text)
			}
			return intercept(ctx, &text, &grpc.UnaryServerInfo{Server: srv, FullMethod: say}, answer)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Count", ServerStreams: true, Handler: func(_ any, ss grpc.ServerStream) error {
				var text wrapperspb.StringValue
				if err := ss.RecvMsg(&text); err != nil {
					return err
				}
				return e.count(text.GetValue(), func(s string) error { return ss.SendMsg(wrapperspb.String(s)) }, ss.Context())
			}},
			{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error { return e.chat(ss) }},
		},
	}, e)
}

// host runs a service and keeps what it logs.
type host struct {
	*chassis.Instance
	tb     testing.TB
	s      *chassis.Service
	conn   *grpc.ClientConn
	logs   *observer.ObservedLogs
	access *buffer
	pipes  *pipeListener // nil for a real socket
}

// options change how a host starts its service. The zero options are good.
type options struct {
	grpc     grpcserver.Config
	settings func(*chassis.Settings)
	world    func(*chassis.World)
	setup    func(*chassis.Service) error // runs before Serve
	server   []grpc.ServerOption
	dial     []grpc.DialOption
	pipes    bool // a network inside the process, for bubbles of virtual time
}

func start(tb testing.TB, o options, e *echo) *host {
	tb.Helper()
	h, err := try(tb, o, e.register)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func try(tb testing.TB, o options, register func(grpc.ServiceRegistrar)) (*host, error) {
	tb.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	h := &host{tb: tb, logs: logs, access: new(buffer)}
	world := chassis.World{Log: zap.New(core), Stdout: h.access, Stderr: io.Discard}
	dial := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("tests")}
	if o.pipes {
		h.pipes = &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		world.Listen = func(context.Context, string, string, string) (net.Listener, error) { return h.pipes, nil }
		dial = append(dial, grpc.WithContextDialer(h.pipes.dial))
	}
	if o.world != nil {
		o.world(&world)
	}
	spec := chassis.Spec[conf]{Name: "test", Failures: codes, Setup: func(_ context.Context, s *chassis.Service, c conf) error {
		if o.setup != nil {
			if err := o.setup(s); err != nil {
				return err
			}
		}
		return grpcserver.Serve(s, "grpc", c.GRPC, register, o.server...)
	}}
	i, err := chassis.Start(tb.Context(), spec, func(s *chassis.Settings, c *conf) {
		s.Admin.Addr, c.GRPC = "off", o.grpc
		if o.settings != nil {
			o.settings(s)
		}
	}, world)
	if err != nil {
		return h, err
	}
	h.Instance, h.s = i, i.Service()
	tb.Cleanup(func() { _ = i.Stop(context.Background()) })
	if i.Addr("grpc") == nil {
		return h, nil
	}
	target := i.Addr("grpc").String()
	if i.Addr("grpc").Network() == "unix" {
		target = "unix:" + target
	}
	if o.pipes {
		target = "passthrough:///pipe"
	}
	h.conn, err = grpc.NewClient(target, append(dial, o.dial...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = h.conn.Close() })
	return h, nil
}

// stop ends the service and expects nothing to have gone wrong.
func (h *host) stop() {
	h.tb.Helper()
	if err := h.Stop(context.Background()); err != nil {
		h.tb.Errorf("stop: %v", err)
	}
}

// say calls the unary method.
func (h *host) say(ctx context.Context, text string, opts ...grpc.CallOption) (string, error) {
	var answer wrapperspb.StringValue
	err := h.conn.Invoke(ctx, say, wrapperspb.String(text), &answer, opts...)
	return answer.GetValue(), err
}

// stream opens a stream and, for Count, sends its request.
func (h *host) stream(ctx context.Context, method, text string) grpc.ClientStream {
	h.tb.Helper()
	cs, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		h.tb.Fatal(err)
	}
	if method == chat {
		return cs
	}
	if err := cs.SendMsg(wrapperspb.String(text)); err != nil && err != io.EOF {
		h.tb.Fatal(err)
	}
	if err := cs.CloseSend(); err != nil {
		h.tb.Fatal(err)
	}
	return cs
}

// next receives one text.
func next(cs grpc.ClientStream) (string, error) {
	var text wrapperspb.StringValue
	err := cs.RecvMsg(&text)
	return text.GetValue(), err
}

func (h *host) health(ctx context.Context, service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
	res, err := healthpb.NewHealthClient(h.conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	return res.GetStatus(), err
}

// lines are the access lines written. The service must have been stopped.
func (h *host) lines() []accesslog.Record {
	h.tb.Helper()
	var records []accesslog.Record
	for line := range strings.Lines(h.access.String()) {
		rec, err := accesslog.Parse([]byte(line))
		if err != nil {
			h.tb.Fatal(err)
		}
		records = append(records, rec)
	}
	return records
}

// wantMetric expects a series, or the count of a histogram, to get a value: a caller may have its
// answer before it is counted. Labels are "name", "value", ….
func (h *host) wantMetric(want float64, name string, labels ...string) {
	h.tb.Helper()
	got, found := h.metric(name, labels)
	for end := time.Now().Add(30 * time.Second); got != want && time.Now().Before(end); got, found = h.metric(name, labels) {
		time.Sleep(time.Millisecond) // between two looks
	}
	if !found || got != want {
		h.tb.Errorf("%s%v = %v (it is there: %v), want %v", name, labels, got, found, want)
	}
}

func (h *host) metric(name string, labels []string) (value float64, found bool) {
	h.tb.Helper()
	families, err := h.s.Registry().Gather()
	if err != nil {
		h.tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
	series:
		for _, m := range family.GetMetric() {
			values := map[string]string{}
			for _, l := range m.GetLabel() {
				values[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if values[labels[i]] != labels[i+1] {
					continue series
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
		}
	}
	return 0, false
}

// logged are the application log's lines with a message.
func (h *host) logged(message string) []map[string]any {
	var found []map[string]any
	for _, e := range h.logs.FilterMessage(message).All() {
		fields := e.ContextMap()
		fields["level"] = e.Level.String()
		found = append(found, fields)
	}
	return found
}

// buffer is a bytes.Buffer for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// pipeListener accepts pipes inside the process, which can be waited for in a bubble of virtual
// time.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// receive waits for a channel in a test.
func receive[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-tb.Context().Done():
		tb.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}
