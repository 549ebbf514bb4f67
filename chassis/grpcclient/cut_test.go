package grpcclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	retrying "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// served runs a gRPC server on a real socket until the test ends.
func served(t *testing.T, srv *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	return l.Addr().String()
}

// proxy hands connections on to addr. Its first connection is cut when cut is closed, or when it has
// carried most bytes to addr or back.
func proxy(t *testing.T, addr string, there, back int64, cut <-chan struct{}) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	carry := func(near net.Conn, first bool) {
		far, err := net.Dial("tcp", addr)
		if err != nil {
			_ = near.Close()
			return
		}
		toThere, toBack := there, back
		if !first {
			toThere, toBack = 1<<40, 1<<40
		}
		end := sync.OnceFunc(func() {
			_ = near.(*net.TCPConn).SetLinger(0)
			_ = near.Close()
			_ = far.Close()
		})
		all.Go(func() { defer end(); _, _ = io.CopyN(far, near, toThere) })
		all.Go(func() { defer end(); _, _ = io.CopyN(near, far, toBack) })
		if first {
			all.Go(func() {
				select {
				case <-cut:
				case <-t.Context().Done():
				}
				end()
			})
		}
	}
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			carry(c, n == 0)
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func TestACallThatIsNotIdempotentNeverRunsTwiceWhereverItsConnectionIsCut(t *testing.T) {
	const all = 1 << 40
	for name, c := range map[string]struct {
		there, back int64
		running     bool // cut while the handler runs
	}{
		"at once":                       {0, all, false},
		"in the client's preface":       {10, all, false},
		"in the settings":               {30, all, false},
		"in the request's header":       {100, all, false},
		"before any answer":             {all, 0, false},
		"in the server's settings":      {all, 10, false},
		"while the handler runs":        {all, all, true},
		"in the header of the answer":   {all, 60, false},
		"in the answer, or its trailer": {all, 120, false},
	} {
		for _, idempotent := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", idempotent: ", idempotent), func(t *testing.T) {
				t.Parallel()
				cut := make(chan struct{})
				var ran atomic.Int32
				srv := callee(func(ss grpc.ServerStream) error {
					if ran.Add(1) == 1 && c.running {
						close(cut)
						<-ss.Context().Done()
						return nil
					}
					return ss.SendMsg(wrapperspb.String("ok"))
				})
				addr := proxy(t, served(t, srv), c.there, c.back, cut)
				cfg := unthrottled
				cfg.Addr, cfg.Timeout = addr, 30*time.Second
				s := &service{}
				conn, err := grpcclient.Dial(s, "game", cfg)
				if err != nil {
					t.Fatal(err)
				}
				var opts []grpc.CallOption
				if idempotent {
					opts = append(opts, grpcclient.Idempotent())
				}
				// A new connection is made after a while; until then calls fail at once.
				opts = append(opts, grpc.WaitForReady(true))
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				var out wrapperspb.StringValue
				err = conn.Invoke(ctx, "/test.Service/Method", wrapperspb.String(""), &out, opts...)
				cancel()
				if n := ran.Load(); !idempotent && (n > 1 || err == nil && n != 1) {
					t.Errorf("ran %d times, %v", n, err)
				}
				if idempotent && err != nil {
					t.Errorf("%v, counted\n%s", err, s.counts(t))
				}
				_ = conn.Close()
			})
		}
	}
}

func TestAServerOfGRPCGoPushesBackOverARealSocket(t *testing.T) {
	var calls atomic.Int32
	var last atomic.Int64
	addr := served(t, callee(func(ss grpc.ServerStream) error {
		now := time.Now().UnixNano()
		before := last.Swap(now)
		if calls.Add(1) == 1 {
			ss.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "150"))
			return status.Error(codes.Unavailable, "busy")
		}
		if waited := time.Duration(now - before); waited < 150*time.Millisecond {
			return status.Errorf(codes.Internal, "waited %v", waited)
		}
		return ss.SendMsg(wrapperspb.String("ok"))
	}))
	conn, err := grpcclient.Dial(&service{}, "game", grpcclient.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out wrapperspb.StringValue
	if err := conn.Invoke(t.Context(), "/test.Service/Method", wrapperspb.String(""), &out, grpcclient.Idempotent()); err != nil || calls.Load() != 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

// refuse has a connection send 100 calls a second for ten seconds to a service that refuses them all,
// and returns what they were multiplied by.
func refuse(t *testing.T, connect func(grpc.DialOption) (*grpc.ClientConn, error), opts ...grpc.CallOption) float64 {
	t.Helper()
	var factor float64
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		var arrived atomic.Int64
		srv := callee(func(grpc.ServerStream) error {
			arrived.Add(1)
			return status.Error(codes.Unavailable, "overloaded")
		})
		go func() { _ = srv.Serve(l) }()
		conn, err := connect(grpc.WithContextDialer(l.dial))
		if err != nil {
			t.Fatal(err)
		}
		const offered = 10 * 100
		var calls sync.WaitGroup
		for range offered {
			calls.Go(func() {
				_ = conn.Invoke(context.Background(), "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, opts...)
			})
			time.Sleep(10 * time.Millisecond)
		}
		calls.Wait()
		_ = conn.Close()
		srv.Stop()
		factor = float64(arrived.Load()) / offered
	})
	return factor
}

func TestAServiceThatRefusesAllIsNotSentMoreThanThereIs(t *testing.T) {
	// The middleware retries nothing before it is told how often; 5 is what its example says.
	plain := func(dialer grpc.DialOption) (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///pipe", dialer, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithChainUnaryInterceptor(retrying.UnaryClientInterceptor(retrying.WithMax(5))))
	}
	ours := func(cfg retry.Config) func(grpc.DialOption) (*grpc.ClientConn, error) {
		return func(dialer grpc.DialOption) (*grpc.ClientConn, error) {
			return grpcclient.Dial(&service{}, "game", grpcclient.Config{Addr: "passthrough:///pipe", Retry: cfg}, dialer)
		}
	}
	idempotent := grpcclient.Idempotent()
	for _, c := range []struct {
		name        string
		connect     func(grpc.DialOption) (*grpc.ClientConn, error)
		opts        []grpc.CallOption
		least, most float64
	}{
		{"go-grpc-middleware, WithMax(5)", plain, nil, 5, 5},
		{"ours", ours(retry.Config{}), nil, 0, 1},
		{"ours, idempotent", ours(retry.Config{}), []grpc.CallOption{idempotent}, 0, 1.1},
		{"ours, idempotent, no throttle", ours(retry.Config{Throttle: -1}), []grpc.CallOption{idempotent}, 1.1, 1.1},
	} {
		factor := refuse(t, c.connect, c.opts...)
		t.Logf("%-34s %.3f calls arrive for each", c.name, factor)
		if factor < c.least || factor > c.most {
			t.Errorf("%s: %v, want %v to %v", c.name, factor, c.least, c.most)
		}
	}
}
