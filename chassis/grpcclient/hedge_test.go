package grpcclient_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

var hedged = grpcclient.Config{Retry: retry.Config{Hedge: 20 * time.Millisecond, Throttle: -1}}

// slow answers after d with its name or err, and notes when its caller leaves before.
func slow(d time.Duration, name string, err error, left chan<- string) func(grpc.ServerStream) error {
	return func(ss grpc.ServerStream) error {
		select {
		case <-time.After(d):
			if err != nil {
				return err
			}
			return ss.SendMsg(wrapperspb.String(name))
		case <-ss.Context().Done():
			left <- name
			return ss.Context().Err()
		}
	}
}

func TestTheFirstGoodAnswerCountsAndTheOtherAttemptIsCancelled(t *testing.T) {
	ms, busy := time.Millisecond, status.Error(codes.Unavailable, "busy")
	for name, c := range map[string]struct {
		first, second       time.Duration
		firstErr, secondErr error
		sent                int32
		took                time.Duration
		says, left          string
	}{
		"an answer before the hedge":        {19 * ms, 0, nil, nil, 1, 19 * ms, "first", ""},
		"the second is faster":              {time.Second, 10 * ms, nil, nil, 2, 30 * ms, "second", "first"},
		"the first is faster after all":     {30 * ms, time.Second, nil, nil, 2, 30 * ms, "first", "second"},
		"the first refuses, the second not": {30 * ms, 50 * ms, busy, nil, 2, 70 * ms, "second", ""},
		"the second refuses, the first not": {90 * ms, 10 * ms, nil, busy, 2, 90 * ms, "first", ""},
		"both refuse, and there is another": {30 * ms, 50 * ms, busy, busy, 3, 70 * ms, "third", ""},
		"an error of the service is final":  {30 * ms, time.Second, status.Error(codes.NotFound, "none"), nil, 2, 30 * ms, "", "second"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan string, 3)
				plays := []func(grpc.ServerStream) error{
					slow(c.first, "first", c.firstErr, left), slow(c.second, "second", c.secondErr, left), slow(0, "third", nil, left),
				}
				var calls atomic.Int32
				conn, s := dial(t, hedged, func(ss grpc.ServerStream) error { return plays[calls.Add(1)-1](ss) })
				begin, out := time.Now(), wrapperspb.String("what was there before")
				err := conn.Invoke(t.Context(), "/test.Service/Method", wrapperspb.String(""), out, grpcclient.Idempotent())
				took := time.Since(begin)
				synctest.Wait()
				who := ""
				if len(left) > 0 {
					who = <-left
				}
				if calls.Load() != c.sent || took != c.took || (err == nil) != (c.says != "") || err == nil && out.Value != c.says || who != c.left {
					t.Errorf("%d calls, %q, %v after %v; %q was cancelled; want %+v", calls.Load(), out.Value, err, took, who, c)
				}
				if strings.Contains(s.counts(t), "hedges_total 1") != (c.sent > 1) {
					t.Errorf("counted\n%s", s.counts(t))
				}
			})
		})
	}
}

func TestWhatMustNotBeSentTwiceIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var md metadata.MD
		for name, opts := range map[string][]grpc.CallOption{
			"not idempotent":        nil,
			"once":                  {grpcclient.Once()},
			"asks for the header":   {grpcclient.Idempotent(), grpc.Header(&md)},
			"asks for the trailer":  {grpcclient.Idempotent(), grpc.Trailer(&md)},
			"asks for the peer":     {grpcclient.Idempotent(), grpc.Peer(&peer.Peer{})},
			"wants to be told once": {grpcclient.Idempotent(), grpc.OnFinish(func(error) {})},
		} {
			var calls atomic.Int32
			conn, _ := dial(t, hedged, func(ss grpc.ServerStream) error {
				calls.Add(1)
				return slow(time.Second, "ok", nil, nil)(ss)
			})
			err := conn.Invoke(t.Context(), "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, opts...)
			if err != nil || calls.Load() != 1 {
				t.Errorf("%s: %d calls, %v", name, calls.Load(), err)
			}
		}
	})
}

func TestHedgesArePaidFromTheBudgetAndEndWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := hedged
		cfg.Retry.BudgetMin = -1
		left := make(chan string, 20)
		conn, s := dial(t, cfg, slow(time.Hour, "x", nil, left))
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			begin := time.Now()
			err := conn.Invoke(ctx, "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, grpcclient.Idempotent())
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			cancel()
		}
		synctest.Wait()
		if got := s.counts(t); len(left) != 11 || !strings.Contains(got, "hedges_total 1\n") || !strings.Contains(got, "retry_budget_exhausted_total 9") {
			t.Errorf("%d attempts ended, want 11; counted\n%s", len(left), got)
		}
	})
}

func TestNoAttemptReadsTheRequestWhenTheCallHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under atomic.Int32
		late := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			under.Add(1)
			defer under.Add(-1)
			err := invoke(ctx, method, req, reply, cc, opts...)
			if err != nil {
				time.Sleep(time.Millisecond) // virtual: it still has something to do with req
				_ = req.(*wrapperspb.StringValue).Value
			}
			return err
		}
		var calls atomic.Int32
		conn, _ := dial(t, hedged, func(ss grpc.ServerStream) error {
			return slow(time.Duration(calls.Add(1)%2)*time.Second, "x", nil, make(chan string, 1))(ss)
		}, grpc.WithChainUnaryInterceptor(late))
		req := wrapperspb.String("a")
		if err := conn.Invoke(t.Context(), "/test.Service/Method", req, &wrapperspb.StringValue{}, grpcclient.Idempotent()); err != nil {
			t.Fatal(err)
		}
		if n := under.Load(); n != 0 || calls.Load() != 2 {
			t.Errorf("%d of %d attempts go on", n, calls.Load())
		}
		req.Value = "b"
	})
}

// A panic of an interceptor is one of whoever calls, with and without another attempt.
func TestAPanicOfAnAttemptReachesWhoeverCalls(t *testing.T) {
	for name, c := range map[string]struct {
		hedge  time.Duration
		panics int32 // which attempt
	}{
		"without a hedge":      {0, 1},
		"of the first attempt": {time.Second, 1},
		"of the second":        {20 * time.Millisecond, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan string, 2)
				var attempts atomic.Int32
				intercept := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					if attempts.Add(1) == c.panics {
						panic("lost")
					}
					return invoke(ctx, method, req, reply, cc, opts...)
				}
				conn, _ := dial(t, grpcclient.Config{Retry: retry.Config{Hedge: c.hedge}}, slow(time.Hour, "the other", nil, left), grpc.WithChainUnaryInterceptor(intercept))
				var v any
				func() {
					defer func() { v = recover() }()
					_ = conn.Invoke(t.Context(), "/test.Service/Method", wrapperspb.String(""), new(wrapperspb.StringValue), grpcclient.Idempotent())
				}()
				if !strings.Contains(fmt.Sprint(v), "lost") {
					t.Errorf("panicked with %v", v)
				}
				synctest.Wait()
				if c.panics == 2 && len(left) != 1 {
					t.Error("the other attempt goes on")
				}
			})
		})
	}
}
