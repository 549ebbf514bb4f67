package fake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/fake"
)

// The service that is faked: a counter, over HTTP and gRPC.
var (
	codes = failure.NewSet("tally")
	_     = codes.Caller(1001, "the counter is full", failure.HTTPStatus(http.StatusConflict))
	_     = codes.Dependency(1002, "the store does not answer", failure.HTTPStatus(http.StatusServiceUnavailable), failure.Retryable(3*time.Second))
)

type config struct {
	HTTP  chassis.HTTPConfig `config:"http"`
	GRPC  grpcserver.Config  `config:"grpc"`
	Start int                `config:"start"`
	Break string             `config:"break"` // what goes wrong: setup, work, close
}

var spec = chassis.Spec[config]{
	Name: "tally", Doc: "counts", Failures: codes, Setup: setup,
	Defaults: config{HTTP: chassis.HTTPConfig{Addr: ":8080"}, GRPC: grpcserver.Config{Addr: "0.0.0.0:9090"}},
}

const (
	routeCount = "POST /count/{name}"
	routeVisit = "GET /visit"
	visitSize  = 4000 // bytes
	routeGRPC  = "/tally.v1.Tally/Count"
	routeWatch = "/tally.v1.Tally/Watch"
)

func setup(ctx context.Context, s *chassis.Service, cfg config) error {
	if cfg.Break == "setup" {
		return errors.New("the disk is upside down")
	}
	var count, rang atomic.Int64
	count.Store(int64(cfg.Start))
	r := chassis.NewRouter()
	r.Handle(routeCount, func(w http.ResponseWriter, r *http.Request) error {
		fmt.Fprintln(w, count.Add(1))
		return nil
	})
	r.Tenant(func(r *http.Request) string { return r.Header.Get("X-Tenant") })
	r.Handle(routeVisit, func(w http.ResponseWriter, r *http.Request) error {
		count.Add(1)
		fmt.Fprint(w, strings.Repeat("x", visitSize)) // what is counted stays so if nobody reads it
		return nil
	})
	r.Handle("POST /echo", func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			count.Add(1)
			_, _ = w.Write(body) // as in routeVisit
		}
		return err
	})
	r.Handle("GET /total", func(w http.ResponseWriter, r *http.Request) error {
		fmt.Fprint(w, count.Load())
		return nil
	})
	r.Handle("GET /panic", func(w http.ResponseWriter, r *http.Request) error { panic("so it goes") })
	r.Handle("GET /fail/{code}", func(w http.ResponseWriter, r *http.Request) error {
		number, _ := strconv.Atoi(r.PathValue("code"))
		code, ok := codes.Lookup(number)
		if !ok {
			code, _ = failure.Chassis.Lookup(number)
		}
		return code
	})
	r.Handle("GET /hang", func(w http.ResponseWriter, r *http.Request) error {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return nil
	}, chassis.Stream())
	r.Handle("POST /alarm/{seconds}", func(w http.ResponseWriter, r *http.Request) error {
		seconds, _ := strconv.Atoi(r.PathValue("seconds"))
		s.Clock().AfterFunc(time.Duration(seconds)*time.Second, func() { rang.Add(1) })
		return nil
	})
	r.Handle("DELETE /alarm/{seconds}", func(w http.ResponseWriter, r *http.Request) error {
		timer := s.Clock().AfterFunc(time.Second, func() { rang.Add(1) })
		fmt.Fprint(w, timer.Stop(), timer.Stop())
		return nil
	})
	r.Handle("GET /alarm", func(w http.ResponseWriter, r *http.Request) error {
		fmt.Fprint(w, rang.Load())
		return nil
	})
	work := make(chan struct{})
	r.Handle("POST /break", func(w http.ResponseWriter, r *http.Request) error {
		close(work)
		return nil
	})
	s.Go("work", func(ctx context.Context) error {
		select {
		case <-work:
			return errors.New("the worker fell over")
		case <-ctx.Done():
			return nil
		}
	})
	if cfg.Break == "close" {
		s.OnClose("drawer", func(context.Context) error { return errors.New("the drawer is stuck") })
	}
	err := grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) {
		r.RegisterService(&tallyService, &count)
	}, grpcserver.Tenant(func(ctx context.Context) string {
		tenants := metadata.ValueFromIncomingContext(ctx, "x-tenant")
		return strings.Join(tenants, ",")
	}))
	if err != nil {
		return err
	}
	return s.HTTP("http", cfg.HTTP, r)
}

// tallyService is what a generator would have made of a contract with two methods.
var tallyService = grpc.ServiceDesc{
	ServiceName: "tally.v1.Tally", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Count", Handler: func(srv any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.StringValue)
		if err := dec(in); err != nil {
			return nil, err
		}
		count := func(context.Context, any) (any, error) { return wrapperspb.Int64(srv.(*atomic.Int64).Add(1)), nil }
		if chain == nil {
			return count(ctx, in)
		}
		return chain(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: routeGRPC}, count)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(srv any, s grpc.ServerStream) error {
		if err := s.SendMsg(wrapperspb.Int64(srv.(*atomic.Int64).Load())); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}}},
}

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes a request on a connection of its own.
func call(tb testing.TB, method, url string) answer {
	tb.Helper()
	got, err := try(tb.Context(), method, url)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func try(ctx context.Context, method, url string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{}, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(body))}, err
}

// count asks the service over HTTP for its next number.
func count(tb testing.TB, f *fake.Fake) answer {
	tb.Helper()
	return call(tb, "POST", f.URL("http")+"/count/x")
}

// dial connects to the fake's gRPC listener for the length of the test.
func dial(tb testing.TB, f *fake.Fake) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(f.Addr("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// countGRPC asks the service over gRPC for its next number.
func countGRPC(tb testing.TB, conn *grpc.ClientConn) (int64, error) {
	tb.Helper()
	out := new(wrapperspb.Int64Value)
	err := conn.Invoke(tb.Context(), routeGRPC, wrapperspb.String("x"), out)
	return out.Value, err
}

// judge is a fake.TB that remembers what a test would have been told.
type judge struct {
	cleanups []func()
	said     []string
	logged   []string
	failed   bool
}

func (j *judge) Helper()                 {}
func (j *judge) Cleanup(f func())        { j.cleanups = append(j.cleanups, f) }
func (j *judge) Failed() bool            { return j.failed }
func (j *judge) Logf(f string, a ...any) { j.logged = append(j.logged, fmt.Sprintf(f, a...)) }
func (j *judge) Errorf(f string, a ...any) {
	j.failed, j.said = true, append(j.said, fmt.Sprintf(f, a...))
}
func (j *judge) Fatalf(f string, a ...any) { j.Errorf(f, a...) }

// end is the end of the test.
func (j *judge) end() {
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
	j.cleanups = nil
}

// invoke counts over gRPC and tells only whether it could.
func invoke(ctx context.Context, conn *grpc.ClientConn) error {
	return conn.Invoke(ctx, routeGRPC, wrapperspb.String("x"), new(wrapperspb.Int64Value))
}

// readAll is the whole body of an answer.
func readAll(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}
