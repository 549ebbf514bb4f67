package faketest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"
)

var (
	codes = failure.NewSet("quiet")
	_     = codes.Caller(1001, "not like this", failure.HTTPStatus(http.StatusUnprocessableEntity))
	_     = codes.Service(1002, "not now", failure.Retryable(1500*time.Millisecond), failure.GRPCCode(failure.GRPCAborted))
)

type config struct {
	HTTP chassis.HTTPConfig `config:"http"`
	GRPC grpcserver.Config  `config:"grpc"`
}

// method is of a service that a generator would have made of a contract with one method.
const method = "/quiet.v1.Quiet/Hush"

var service = grpc.ServiceDesc{
	ServiceName: "quiet.v1.Quiet", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Hush", Handler: func(srv any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		if err := dec(in); err != nil {
			return nil, err
		}
		if chain == nil {
			return in, nil
		}
		return chain(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, func(context.Context, any) (any, error) { return in, nil })
	}}},
}

func setup(_ context.Context, s *chassis.Service, cfg config) error {
	r := chassis.NewRouter()
	r.Handle("example.com/only/there", hush)
	r.Handle("/hush/{name}/{$}", hush)
	if err := s.HTTP("http", cfg.HTTP, r); err != nil {
		return err
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) { r.RegisterService(&service, 0) })
}

func hush(http.ResponseWriter, *http.Request) error { return nil }

// starting makes a starter of a Setup.
func starting(setup func(context.Context, *chassis.Service, config) error) func(fake.TB) *fake.Fake {
	return func(tb fake.TB) *fake.Fake {
		tb.Helper()
		spec := chassis.Spec[config]{Name: "quiet", Failures: codes, Setup: setup}
		return fake.Start(tb, spec, fake.Options[config]{})
	}
}

func TestAFakeThatKeepsItsPromisesPasses(t *testing.T) {
	faketest.Run(t, starting(setup))
}

func TestABrokenPromiseIsFound(t *testing.T) {
	const (
		ready    = "it is ready at once"
		answers  = "its addresses answer"
		injects  = "every declared failure code can be injected"
		records  = "calls are recorded and latency is real"
		resets   = "a reset leaves nothing but the addresses"
		isolated = "fakes do not disturb each other"
		stops    = "a stop leaves nothing behind"
	)
	endless := make(chan struct{})
	defer close(endless)
	var shared *fake.Fake
	for name, c := range map[string]struct {
		start  func(fake.TB) *fake.Fake
		breaks map[string]string // promise to what is said; of others nothing is asked
	}{
		"a service that does not start": {
			starting(func(context.Context, *chassis.Service, config) error { return errors.New("no disk") }),
			map[string]string{ready: "no disk", answers: "no disk", stops: "no disk"}},
		"a service that takes its time": {
			func(tb fake.TB) *fake.Fake {
				long, err := faketest.TooLong(t.Context())
				if err != nil {
					t.Error(err)
				}
				for begin := time.Now(); time.Since(begin) < long; {
				}
				return starting(setup)(tb)
			},
			map[string]string{ready: "the quickest of 20 starts took "}},
		"a service without listeners": {
			starting(func(context.Context, *chassis.Service, config) error { return nil }),
			map[string]string{answers: "the service has no listeners", injects: "no route over HTTP or gRPC", records: "no route", resets: "no route", isolated: "no route"}},
		"a protocol that nobody knows": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				return s.Serve("gopher", "gopher", "127.0.0.1:0", &bare{grpc.NewServer()}, func() []string { return []string{"/"} })
			}),
			map[string]string{injects: "no route over HTTP or gRPC"}},
		"HTTP beside the chassis": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				return s.Serve("web", "http", "127.0.0.1:0", &plain{http.Server{Handler: http.RedirectHandler("/", http.StatusFound)}}, func() []string { return []string{"/"} })
			}),
			map[string]string{injects: "/ was answered 302 Found, not with the fault", records: "302 Found", resets: "302 Found", isolated: "302 Found"}},
		"errors that nobody declared": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				return s.Serve("web", "http", "127.0.0.1:0", &plain{http.Server{Handler: http.NotFoundHandler()}}, func() []string { return []string{"/"} })
			}),
			map[string]string{injects: "not a problem document"}},
		"another failure than was wanted": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					failure.WriteProblem(w, r, failure.Forbidden.New().Problem(""))
				})
				return s.Serve("web", "http", "127.0.0.1:0", &plain{http.Server{Handler: h}}, func() []string { return []string{"/"} })
			}),
			map[string]string{injects: "code 1 at / of listener \"web\": answered {http:403", records: "a status 503 after 25ms became "}},
		"a fault that is not recorded": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; {
					}
					failure.WriteProblem(w, r, failure.Overloaded.New().Problem(""))
				})
				return s.Serve("web", "http", "127.0.0.1:0", &plain{http.Server{Handler: h}}, func() []string { return []string{"/"} })
			}),
			map[string]string{records: "one injected call is recorded as []"}},
		"a service that starts once": {
			func() func(fake.TB) *fake.Fake {
				started := false
				return starting(func(ctx context.Context, s *chassis.Service, cfg config) error {
					if started {
						return errors.New("once is enough")
					}
					started = true
					return setup(ctx, s, cfg)
				})
			}(),
			map[string]string{resets: "once is enough", stops: "once is enough"}},
		"gRPC beside the chassis": {
			starting(func(_ context.Context, s *chassis.Service, _ config) error {
				return s.Serve("rpc", "grpc", "127.0.0.1:0", &bare{grpc.NewServer()}, func() []string { return []string{method} })
			}),
			map[string]string{injects: "unknown service quiet.v1.Quiet, not with the fault"}},
		"a fake that is shared": {
			func(tb fake.TB) *fake.Fake {
				if shared == nil {
					shared = starting(setup)(t)
				}
				return shared
			},
			map[string]string{isolated: "two fakes have listener "}},
		"work that is not ended": {
			starting(func(ctx context.Context, s *chassis.Service, cfg config) error {
				go func() { <-endless }()
				return setup(ctx, s, cfg)
			}),
			map[string]string{stops: " goroutines are left over"}},
		"a close that fails": {
			starting(func(ctx context.Context, s *chassis.Service, cfg config) error {
				s.OnClose("door", func(context.Context) error { return errors.New("the door is jammed") })
				return setup(ctx, s, cfg)
			}),
			map[string]string{ready: "the door is jammed", resets: "the door is jammed", stops: "the door is jammed"}},
	} {
		t.Run(name, func(t *testing.T) {
			for promise, says := range c.breaks {
				if err := faketest.Promises()[promise](t.Context(), c.start); err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v, want %q", promise, err, says)
				}
			}
		})
	}
}

func TestAPanicOfTheFakeIsNotHidden(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "out of cheese" {
			t.Errorf("recovered %v", got)
		}
	}()
	_ = faketest.Promises()["its addresses answer"](t.Context(), func(fake.TB) *fake.Fake { panic("out of cheese") })
}

func TestCallsGiveUpWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for promise, check := range faketest.Promises() {
		if promise == "it is ready at once" {
			continue
		}
		if err := check(ctx, starting(setup)); err == nil || !strings.Contains(err.Error(), "cancel") {
			t.Errorf("%s: %v", promise, err)
		}
	}
}

// bare is a gRPC server that the chassis's steps do not surround.
type bare struct{ *grpc.Server }

func (b *bare) Drain(context.Context) error { return nil }
func (b *bare) Close() error                { b.Stop(); return nil }

// plain is an HTTP server that the chassis's steps do not surround.
type plain struct{ http.Server }

func (p *plain) Serve(l net.Listener) error {
	if err := p.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
func (p *plain) Drain(ctx context.Context) error { return p.Shutdown(ctx) }
