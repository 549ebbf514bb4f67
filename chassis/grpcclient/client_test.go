package grpcclient_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

var _ grpcclient.Host = (*chassis.Service)(nil)

// service is a service that calls. Its clock is the machine's: that of a bubble where there is one.
type service struct {
	zeros    bool // of randomness: every wait is then none
	registry *prometheus.Registry
	names    []string
	closes   []func(context.Context) error
}

func (s *service) Rand() io.Reader    { return s }
func (s *service) Clock() clock.Clock { return clock.Real() }

func (s *service) Registry() *prometheus.Registry {
	if s.registry == nil {
		s.registry = prometheus.NewRegistry()
	}
	return s.registry
}

func (s *service) Read(p []byte) (int, error) {
	if s.zeros {
		clear(p)
		return len(p), nil
	}
	return rand.Read(p)
}

func (s *service) OnClose(name string, f func(context.Context) error) {
	s.names, s.closes = append(s.names, name), append(s.closes, f)
}

// callee is a service that is called, whatever the method: it answers with f, which may send.
func callee(f func(grpc.ServerStream) error) *grpc.Server {
	policy := keepalive.EnforcementPolicy{MinTime: 30 * time.Second, PermitWithoutStream: true} // as grpcserver has it
	return grpc.NewServer(grpc.KeepaliveEnforcementPolicy(policy), grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		var in wrapperspb.StringValue
		if err := ss.RecvMsg(&in); err != nil {
			return err
		}
		return f(ss)
	}))
}

// dial serves f in the process and connects to it until the test ends.
func dial(t *testing.T, cfg grpcclient.Config, f func(grpc.ServerStream) error, opts ...grpc.DialOption) (*grpc.ClientConn, *service) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := callee(f)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	s := &service{zeros: true}
	cfg.Addr = "passthrough:///pipe"
	conn, err := grpcclient.Dial(s, "game", cfg, append(opts, grpc.WithContextDialer(l.dial))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, s
}

func invoke(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	var out wrapperspb.StringValue
	err := conn.Invoke(ctx, "/test.Service/Method", wrapperspb.String(""), &out)
	return out.GetValue(), err
}

func stream(ctx context.Context, t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	cs, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Service/Stream")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cs.SendMsg(wrapperspb.String("")), cs.CloseSend()); err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestTheEarlierDeadlineHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error {
			<-ss.Context().Done()
			return ss.Context().Err()
		})
		begin := time.Now()
		_, err := invoke(context.Background(), conn)
		if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for own, want := range map[time.Duration]time.Duration{time.Hour: 5 * time.Second, time.Second: time.Second} {
			ctx, cancel := context.WithTimeout(context.Background(), own)
			begin = time.Now()
			if _, err := invoke(ctx, conn); status.Code(err) != codes.DeadlineExceeded || time.Since(begin) != want {
				t.Errorf("own deadline of %v: %v after %v", own, err, time.Since(begin))
			}
			cancel()
		}
		quick, _ := dial(t, grpcclient.Config{Timeout: time.Second}, func(ss grpc.ServerStream) error {
			if _, ok := ss.Context().Deadline(); ok != strings.HasSuffix(method(ss), "Method") {
				return status.Errorf(codes.Internal, "%s has a deadline: %v", method(ss), ok)
			}
			return ss.SendMsg(wrapperspb.String("ok"))
		})
		if text, err := invoke(context.Background(), quick); text != "ok" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		var out wrapperspb.StringValue
		if err := stream(context.Background(), t, quick).RecvMsg(&out); err != nil || out.GetValue() != "ok" {
			t.Errorf("stream: %q, %v", out.GetValue(), err)
		}
	})
}

func method(ss grpc.ServerStream) string {
	m, _ := grpc.MethodFromServerStream(ss)
	return m
}

func TestAnErrorSaysThatItsContextEnded(t *testing.T) {
	entered := make(chan struct{}, 2)
	conn, _ := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error {
		entered <- struct{}{}
		<-ss.Context().Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := invoke(ctx, conn); failed <- err }()
	<-entered
	cs := stream(ctx, t, conn)
	<-entered
	cancel()
	unary, streamed := <-failed, cs.RecvMsg(&wrapperspb.StringValue{})
	_, refused := conn.NewStream(ctx, &grpc.StreamDesc{}, "/test.Service/Stream")
	for _, err := range []error{unary, streamed, refused} {
		if !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled || !strings.Contains(err.Error(), "code = Canceled") {
			t.Errorf("%v", err)
		}
		if _, ok := grpcclient.FailureOf(err); ok {
			t.Errorf("%v carries a failure", err)
		}
	}
	theirs, _ := dial(t, grpcclient.Config{}, func(grpc.ServerStream) error { return status.Error(codes.Canceled, "theirs") })
	if _, err := invoke(t.Context(), theirs); status.Code(err) != codes.Canceled || errors.Is(err, context.Canceled) {
		t.Errorf("a cancellation of the service's: %v", err)
	}
}

// late is a context whose deadline has passed though its timer has not yet run.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

func TestADeadlineThatPassedIsOneThoughItsTimerIsLate(t *testing.T) {
	conn, _ := dial(t, grpcclient.Config{}, func(grpc.ServerStream) error { return status.Error(codes.DeadlineExceeded, "too late") })
	_, unary := invoke(late{t.Context()}, conn)
	_, theirs := invoke(t.Context(), conn)
	if status.Code(unary) != codes.DeadlineExceeded || !errors.Is(unary, context.DeadlineExceeded) {
		t.Errorf("a deadline that has passed: %v", unary)
	}
	if status.Code(theirs) != codes.DeadlineExceeded || errors.Is(theirs, context.DeadlineExceeded) {
		t.Errorf("a deadline of the service's: %v", theirs)
	}
}

func TestTheRequestsIDAndTraceAreSentOn(t *testing.T) {
	got := make(chan metadata.MD, 1)
	conn, _ := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		got <- md
		return ss.SendMsg(wrapperspb.String(""))
	})
	trace, other := request.NewTrace(rand.Reader), request.NewTrace(rand.Reader)
	for name, c := range map[string]struct {
		info *request.Info
		id   string
		ids  string // of the trace
	}{
		"a request with a trace": {&request.Info{ID: "order-17", Trace: trace}, "order-17", trace.Header()[3:35]},
		"a request without":      {&request.Info{ID: "order-17"}, "order-17", ""},
		"background work":        {&request.Info{}, "", ""},
		"no request":             {nil, "", ""},
		"both set by the caller": {&request.Info{ID: "order-17", Trace: trace}, "mine", other.Header()[3:35]},
		"the id set":             {&request.Info{ID: "order-17", Trace: trace}, "mine", trace.Header()[3:35]},
		"the trace set":          {&request.Info{ID: "order-17", Trace: trace}, "order-17", other.Header()[3:35]},
	} {
		ctx := t.Context()
		if strings.Contains(name, "both set") || strings.Contains(name, "id set") {
			ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", "mine")
		}
		if strings.Contains(name, "both set") || strings.Contains(name, "trace set") {
			ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", other.Header())
		}
		if c.info != nil {
			ctx = request.With(ctx, c.info)
		}
		call := func() error { _, err := invoke(ctx, conn); return err }
		open := func() error { return stream(ctx, t, conn).RecvMsg(&wrapperspb.StringValue{}) }
		for _, f := range []func() error{call, open} {
			if err := f(); err != nil {
				t.Fatal(err)
			}
			md := <-got
			parent := strings.Join(md.Get("traceparent"), "")
			if strings.Join(md.Get("x-request-id"), ",") != c.id || (parent == "") != (c.ids == "") {
				t.Errorf("%s: sent %v", name, md)
			}
			if parent != "" && (!strings.HasPrefix(parent, "00-"+c.ids) || parent == trace.Header()) {
				t.Errorf("%s: trace %s of %s", name, parent, trace.Header())
			}
		}
	}
}

func TestFailuresAreReadBack(t *testing.T) {
	with := func(code codes.Code, details ...protoadapt.MessageV1) error {
		st, err := status.New(code, "column is full").WithDetails(details...)
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	info := func(pairs ...string) *errdetails.ErrorInfo {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return &errdetails.ErrorInfo{Reason: "GAME_1042", Domain: "game", Metadata: m}
	}
	full := info("code", "1042", "class", "caller", "id", "01ABC", "retryable", "true", "column", "3")
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}
	want := grpcclient.Failure{Set: "game", Code: 1042, Class: failure.Caller, ID: "01ABC", Message: "column is full",
		Args: map[string]string{"column": "3"}, Status: codes.FailedPrecondition, Retryable: true, RetryAfter: 1500 * time.Millisecond}
	strange := want
	strange.Class, strange.ID, strange.Retryable, strange.RetryAfter, strange.Args = 0, "", false, 0, map[string]string{}
	past := &errdetails.RetryInfo{RetryDelay: durationpb.New(-time.Second)}
	for name, c := range map[string]struct {
		err  error
		want grpcclient.Failure
		ok   bool
	}{
		"a time to wait that is none":     {with(codes.FailedPrecondition, info("code", "1042", "class", "cosmic"), past), strange, true},
		"a failure":                       {with(codes.FailedPrecondition, full, retry), want, true},
		"a failure that is wrapped":       {fmt.Errorf("drop a disc: %w", with(codes.FailedPrecondition, retry, full)), want, true},
		"a class that nobody knows":       {with(codes.FailedPrecondition, info("code", "1042", "class", "cosmic")), strange, true},
		"a status of another service":     {with(codes.FailedPrecondition, info("service", "x")), grpcclient.Failure{}, false},
		"a number that is none":           {with(codes.FailedPrecondition, info("code", "-1")), grpcclient.Failure{}, false},
		"a status with another detail":    {with(codes.FailedPrecondition, wrapperspb.String("x"), retry), grpcclient.Failure{}, false},
		"a status without details":        {status.Error(codes.Unavailable, "no route"), grpcclient.Failure{}, false},
		"an error of another kind":        {errors.New("x"), grpcclient.Failure{}, false},
		"no error":                        {nil, grpcclient.Failure{}, false},
		"a failure that has not yet left": {failure.Draining.New(), grpcclient.Failure{}, false},
	} {
		f, ok := grpcclient.FailureOf(c.err)
		if ok != c.ok || fmt.Sprintf("%+v", f) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v, %v", name, f, ok, c.want, c.ok)
		}
	}
}

func TestAServiceThatIsNotThereIsNoFailureOfItsOwn(t *testing.T) {
	s := &service{}
	conn, err := grpcclient.Dial(s, "game", grpcclient.Config{Addr: "unix:" + t.TempDir() + "/nobody"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = invoke(t.Context(), conn)
	if _, ok := grpcclient.FailureOf(err); ok || status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	if err := s.closes[0](t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheConnectionIsClosedWithTheService(t *testing.T) {
	conn, s := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error { return ss.SendMsg(wrapperspb.String("")) })
	if _, err := invoke(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if len(s.names) != 1 || s.names[0] != "connection to game" {
		t.Errorf("closes %q", s.names)
	}
	if err := s.closes[0](t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := invoke(t.Context(), conn); status.Code(err) != codes.Canceled || errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAPeerThatVanishedIsFoundOut(t *testing.T) {
	for keepalive, want := range map[time.Duration]codes.Code{0: codes.Unavailable, -1: codes.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
			srv := callee(func(ss grpc.ServerStream) error {
				if err := ss.SendMsg(wrapperspb.String("")); err != nil {
					return err
				}
				<-ss.Context().Done()
				return nil
			})
			go func() { _ = srv.Serve(l) }()
			vanish := make(chan struct{})
			conn, err := grpcclient.Dial(&service{}, "game", grpcclient.Config{Addr: "passthrough:///pipe", Keepalive: keepalive},
				grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					c, err := l.dial(ctx, addr)
					return &deaf{Conn: c, vanished: vanish}, err
				}))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			cs := stream(ctx, t, conn)
			if err := cs.RecvMsg(&wrapperspb.StringValue{}); err != nil {
				t.Fatal(err)
			}
			close(vanish)
			begin := time.Now()
			err = cs.RecvMsg(&wrapperspb.StringValue{})
			if status.Code(err) != want || want == codes.Unavailable && time.Since(begin) > 2*time.Minute {
				t.Errorf("keepalive %v: %v after %v", keepalive, err, time.Since(begin))
			}
			_ = conn.Close()
			srv.Stop()
		})
	}
}

// deaf is a connection over which, from some time on, nothing comes.
type deaf struct {
	net.Conn
	vanished chan struct{}
}

func (d *deaf) Read(b []byte) (int, error) {
	for {
		n, err := d.Conn.Read(b)
		if err != nil {
			return n, err
		}
		select {
		case <-d.vanished:
		default:
			return n, nil
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	conn, _ := dial(t, grpcclient.Config{MaxSize: 10}, func(ss grpc.ServerStream) error { return ss.SendMsg(wrapperspb.String("a long answer")) })
	if _, err := invoke(t.Context(), conn); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%v", err)
	}
}

func TestTLSIsSpokenWhenAskedFor(t *testing.T) {
	s := &service{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := callee(func(ss grpc.ServerStream) error { return ss.SendMsg(wrapperspb.String("plain")) })
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	cfg := grpcclient.Config{Addr: l.Addr().String(), TLS: true}
	conn, err := grpcclient.Dial(s, "game", cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := invoke(t.Context(), conn); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "tls") {
		t.Errorf("TLS to a service without: %v", err)
	}
	plain, err := grpcclient.Dial(s, "plain", cfg, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if text, err := invoke(t.Context(), plain); text != "plain" || err != nil {
		t.Errorf("options given are not heeded: %q, %v", text, err)
	}
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, c := range map[string]grpcclient.Config{
		"": {Addr: "127.0.0.1:9090"},
		"addr: want the address of the service to call, such as 127.0.0.1:9090": {},
		"timeout: want more than 0, got -1ns":                                   {Addr: "x", Timeout: -1},
		"max_size: want from 1 byte to 2147483647, got -1":                      {Addr: "x", MaxSize: -1},
		"max_size: want from 1 byte to 2147483647, got 4294967296":              {Addr: "x", MaxSize: 4 * config.GiB},
	} {
		err := c.Validate()
		if got := errorText(err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	var c grpcclient.Config
	c.SetDefaults()
	if c.Timeout != 5*time.Second || c.MaxSize != 16*config.MiB || c.Keepalive != time.Minute {
		t.Errorf("defaults %+v", c)
	}
	if _, err := grpcclient.Dial(&service{}, "game", grpcclient.Config{}); err == nil || !strings.HasPrefix(err.Error(), "connect to game: addr: want the address") {
		t.Errorf("no address: %v", err)
	}
	if _, err := grpcclient.Dial(&service{}, "game", grpcclient.Config{Addr: "127.0.0.1:1"}, grpc.WithDefaultServiceConfig("{")); err == nil || !strings.HasPrefix(err.Error(), "connect to game at 127.0.0.1:1: ") {
		t.Errorf("a connection that cannot be: %v", err)
	}
}

func TestEachConnectionHasANameOfItsOwn(t *testing.T) {
	s := &service{}
	for i, want := range []string{"", `metrics of client "game": `} {
		_, err := grpcclient.Dial(s, "game", grpcclient.Config{Addr: "127.0.0.1:1"})
		if got := errorText(err); !strings.HasPrefix(got, want) || (err == nil) != (i == 0) {
			t.Errorf("connection %d of the name: %v", i+1, err)
		}
	}
	_, err := grpcclient.Dial(s, "bots", grpcclient.Config{Addr: "127.0.0.1:1", Retry: retry.Config{Attempts: 11}})
	if got := errorText(err); got != "connect to bots: attempts: want 1 to 10, got 11" {
		t.Errorf("%s", got)
	}
	if err := s.closes[0](t.Context()); err != nil || len(s.closes) != 1 {
		t.Errorf("%v, %d connections are closed with the service", err, len(s.closes))
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
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

func TestTheCodeOfAnErrorIsReadOfCallsAndOfWhatWasMadeOfThem(t *testing.T) {
	set := failure.NewSet("shop")
	errGame := set.Dependency(1001, "the game does not answer")
	st, err := status.New(codes.FailedPrecondition, "column is full").WithDetails(&errdetails.ErrorInfo{Domain: "game", Metadata: map[string]string{"code": "1042"}})
	if err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"game 1042": fmt.Errorf("drop a disc: %w", st.Err()), "shop 1001": errGame.Wrap(st.Err()),
	} {
		if ref, ok := grpcclient.CodeOf(err); !ok || ref.String() != want {
			t.Errorf("%v: %v, %v, want %s", err, ref, ok, want)
		}
	}
	if ref, ok := grpcclient.CodeOf(status.Error(codes.Unavailable, "no route")); ok {
		t.Errorf("a status without a code has %v", ref)
	}
}
