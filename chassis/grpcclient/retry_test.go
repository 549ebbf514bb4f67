package grpcclient_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// unthrottled is all defaults but the throttle.
var unthrottled = grpcclient.Config{Retry: retry.Config{Throttle: -1}}

// counts has the metrics of the client in a line each, zeros left out.
func (s *service) counts(t *testing.T) string {
	t.Helper()
	out, err := testutil.GatherAndFormat(s.registry, expfmt.TypeTextPlain, "client_requests_total", "client_attempts_total",
		"client_retries_total", "client_hedges_total", "client_throttled_total", "client_retry_budget_exhausted_total")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "client_") && !strings.HasSuffix(line, " 0") {
			lines = append(lines, strings.NewReplacer("client_", "", `{client="game"}`, "", `client="game",`, "").Replace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// with is a status with details.
func with(t *testing.T, code codes.Code, details ...protoadapt.MessageV1) error {
	t.Helper()
	st, err := status.New(code, "as the test wants").WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// pushes ends a call with err and the trailer grpc-retry-pushback-ms.
func pushes(err error, ms ...string) func(grpc.ServerStream) error {
	return func(ss grpc.ServerStream) error {
		ss.SetTrailer(metadata.MD{"grpc-retry-pushback-ms": ms})
		return err
	}
}

func ends(err error) func(grpc.ServerStream) error {
	return func(grpc.ServerStream) error { return err }
}

// chassisSays is a failure as a service on the chassis answers it.
func chassisSays(code *failure.Code) error { return grpcserver.Status(code.New(), "01ABC").Err() }

// first has a call answered by f once, and well from then on; it counts the calls.
func first(calls *atomic.Int32, f func(grpc.ServerStream) error) func(grpc.ServerStream) error {
	return func(ss grpc.ServerStream) error {
		if calls.Add(1) == 1 {
			return f(ss)
		}
		return ss.SendMsg(wrapperspb.String("ok"))
	}
}

func TestOnlyWhatDoesNothingTwiceIsSentAgain(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "busy")
	info := func(retryable string) *errdetails.ErrorInfo {
		return &errdetails.ErrorInfo{Reason: "GAME_1202", Domain: "game", Metadata: map[string]string{"code": "1202", "retryable": retryable}}
	}
	safe := []grpc.CallOption{grpcclient.Idempotent()}
	for name, c := range map[string]struct {
		opts []grpc.CallOption
		says func(grpc.ServerStream) error
		sent int32
		took time.Duration
	}{
		"an idempotent call after UNAVAILABLE": {safe, ends(unavailable), 2, 0},
		"another call":                         {nil, ends(unavailable), 1, 0},
		"one that says last that it is not":    {[]grpc.CallOption{grpcclient.Idempotent(), grpcclient.Once()}, ends(unavailable), 1, 0},
		"RESOURCE_EXHAUSTED":                   {safe, ends(with(t, codes.ResourceExhausted, &errdetails.RetryInfo{RetryDelay: durationpb.New(1)})), 1, 0},
		"ABORTED":                              {safe, ends(status.Error(codes.Aborted, "x")), 1, 0},
		"DEADLINE_EXCEEDED of the service's":   {safe, ends(status.Error(codes.DeadlineExceeded, "x")), 1, 0},
		"CANCELLED of the service's":           {safe, ends(status.Error(codes.Canceled, "x")), 1, 0},
		"what is retryable":                    {safe, ends(with(t, codes.Unavailable, info("true"))), 2, 0},
		"what is not":                          {safe, ends(with(t, codes.Unavailable, info("false"))), 1, 0},
		"RetryInfo":                            {safe, ends(with(t, codes.Unavailable, &errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)})), 2, 2 * time.Second},
		"RetryInfo beyond patience":            {safe, ends(with(t, codes.Unavailable, &errdetails.RetryInfo{RetryDelay: durationpb.New(6 * time.Second)})), 1, 0},
		"pushback":                             {safe, pushes(unavailable, "1500"), 2, 1500 * time.Millisecond},
		"pushback of none":                     {safe, pushes(unavailable, "0"), 2, 0},
		"pushback longer than RetryInfo":       {safe, pushes(chassisSays(failure.Overloaded), "2000"), 2, 2 * time.Second},
		"pushback shorter than RetryInfo":      {safe, pushes(chassisSays(failure.Overloaded), "10"), 2, time.Second},
		"pushback for ever":                    {safe, pushes(unavailable, "-1"), 1, 0},
		"pushback that is no number":           {safe, pushes(unavailable, "soon"), 1, 0},
		"pushback twice":                       {safe, pushes(unavailable, "1", "1"), 1, 0},
		"another call refused by admission":    {nil, pushes(chassisSays(failure.Overloaded), "100"), 2, time.Second},
		"another call refused by a drain":      {nil, pushes(chassisSays(failure.Draining), "100"), 2, time.Second},
		"another call refused by a handler":    {nil, ends(chassisSays(failure.Overloaded)), 1, 0},
		"another call refused by a stranger":   {nil, pushes(unavailable, "100"), 1, 0},
		"another call refused for ever":        {nil, pushes(chassisSays(failure.Overloaded), "-1"), 1, 0},
		"once, but refused by admission":       {[]grpc.CallOption{grpcclient.Once()}, pushes(chassisSays(failure.Overloaded), "0"), 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				conn, _ := dial(t, grpcclient.Config{}, first(&calls, c.says))
				begin := time.Now()
				var out wrapperspb.StringValue
				err := conn.Invoke(context.Background(), "/test.Service/Method", wrapperspb.String(""), &out, c.opts...)
				if n := calls.Load(); n != c.sent || (err == nil) != (n == 2) || time.Since(begin) != c.took {
					t.Errorf("sent %d times in %v: %v, want %d in %v", n, time.Since(begin), err, c.sent, c.took)
				}
			})
		})
	}
}

func TestAMethodDeclaresThatItIsIdempotent(t *testing.T) {
	method := func(name string, level descriptorpb.MethodOptions_IdempotencyLevel) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: &name, InputType: proto.String(".google.protobuf.StringValue"), OutputType: proto.String(".google.protobuf.StringValue"),
			Options: &descriptorpb.MethodOptions{IdempotencyLevel: &level},
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("grpcclient_test.proto"), Package: proto.String("grpcclient.test"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/wrappers.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Service"), Method: []*descriptorpb.MethodDescriptorProto{
			method("Get", descriptorpb.MethodOptions_NO_SIDE_EFFECTS),
			method("Put", descriptorpb.MethodOptions_IDEMPOTENT),
			method("Drop", descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN),
		}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protoregistry.GlobalFiles.FindFileByPath(file.Path()); err != nil { // it is there with -count=2
		if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for name, want := range map[string]int32{"Service/Get": 2, "Service/Put": 2, "Service/Drop": 1, "Service/None": 1, "Service": 1} {
			var calls atomic.Int32
			conn, _ := dial(t, grpcclient.Config{}, first(&calls, ends(status.Error(codes.Unavailable, "busy"))))
			_ = conn.Invoke(context.Background(), "/grpcclient.test."+name, wrapperspb.String(""), &wrapperspb.StringValue{})
			if n := calls.Load(); n != want && name != "Service" { // which is no method, and nobody is asked
				t.Errorf("%s is sent %d times, want %d", name, n, want)
			}
		}
	})
}

func TestACallWithoutAConnectionIsSentAgainWhateverItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{zeros: true}
		conn, err := grpcclient.Dial(s, "game", grpcclient.Config{Addr: "passthrough:///nobody"},
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody there") }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = invoke(t.Context(), conn)
		if want := "attempts_total{outcome=\"unreachable\"} 3\nrequests_total 1\nretries_total 2"; status.Code(err) != codes.Unavailable || s.counts(t) != want {
			t.Errorf("%v, counted\n%s\nwant\n%s", err, s.counts(t), want)
		}
	})
}

func TestEachAttemptSaysWhichItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		conn, s := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error {
			md, _ := metadata.FromIncomingContext(ss.Context())
			sent = append(sent, strings.Join(md.Get("x-retry-attempt"), ","))
			return status.Error(codes.Unavailable, "busy")
		})
		err := conn.Invoke(context.Background(), "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, grpcclient.Idempotent())
		if got := strings.Join(sent, "|"); status.Code(err) != codes.Unavailable || got != "|1|2" {
			t.Errorf("%v after %q", err, got)
		}
		want := "attempts_total{outcome=\"rejected\"} 3\nrequests_total 1\nretries_total 2"
		if got := s.counts(t); got != want {
			t.Errorf("counted\n%s\nwant\n%s", got, want)
		}
	})
}

func TestTheDeadlineIsNeverExceededByRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := func(ms string) func(grpc.ServerStream) error {
			return pushes(status.Error(codes.Unavailable, "busy"), ms)
		}
		for name, c := range map[string]struct {
			says func(grpc.ServerStream) error
			left time.Duration
			took time.Duration
			code codes.Code
		}{
			"a wait that would end too late": {busy("1000"), time.Second, 0, codes.Unavailable},
			"a call that hangs after a wait": {busy("1000"), 3 * time.Second, 3 * time.Second, codes.DeadlineExceeded},
		} {
			var calls atomic.Int32
			conn, _ := dial(t, grpcclient.Config{}, func(ss grpc.ServerStream) error {
				if calls.Add(1) == 1 {
					return c.says(ss)
				}
				<-ss.Context().Done()
				return ss.Context().Err()
			})
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			begin := time.Now()
			err := conn.Invoke(ctx, "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, grpcclient.Idempotent())
			cancel()
			if status.Code(err) != c.code || time.Since(begin) != c.took {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
		}
	})
}

func TestWhoLeavesDuringAWaitIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		conn, s := dial(t, grpcclient.Config{}, first(&calls, pushes(status.Error(codes.Unavailable, "busy"), "2000")))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begin := time.Now()
		err := conn.Invoke(ctx, "/test.Service/Method", wrapperspb.String(""), &wrapperspb.StringValue{}, grpcclient.Idempotent())
		if !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled || time.Since(begin) != time.Second || calls.Load() != 1 {
			t.Errorf("%v after %v and %d calls", err, time.Since(begin), calls.Load())
		}
		if want := "attempts_total{outcome=\"rejected\"} 1\nrequests_total 1\nretries_total 1"; s.counts(t) != want {
			t.Errorf("counted\n%s\nwant\n%s", s.counts(t), want)
		}
	})
}

func TestWhatIsHeldBackIsAnErrorOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, s := dial(t, grpcclient.Config{}, ends(with(t, codes.ResourceExhausted, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})))
		for range 10 {
			if _, err := invoke(t.Context(), conn); status.Code(err) != codes.ResourceExhausted {
				t.Fatal(err)
			}
		}
		_, unary := invoke(t.Context(), conn)
		_, opened := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Service/Stream")
		for _, err := range []error{unary, opened} {
			held, ok := errors.AsType[*retry.Throttled](err)
			if !ok || held.Service != "game" || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not sent: ") {
				t.Errorf("%v", err)
			}
			if _, ok := grpcclient.FailureOf(err); ok {
				t.Errorf("%v is said to be a failure of the service's", err)
			}
		}
		if want := "attempts_total{outcome=\"rejected\"} 10\nrequests_total 12\nthrottled_total 2"; s.counts(t) != want {
			t.Errorf("counted\n%s\nwant\n%s", s.counts(t), want)
		}
	})
}

// overQuota is what a service says to a caller that asks for more than its share, and when to ask again.
func overQuota() error {
	st, err := status.New(codes.ResourceExhausted, "more than your share").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func TestHowACallEndedIsCounted(t *testing.T) {
	for want, c := range map[string]struct {
		says func(grpc.ServerStream) error
	}{
		"accepted":  {ends(status.Error(codes.NotFound, "x"))},
		"accepted ": {ends(status.Error(codes.ResourceExhausted, "a message too large"))},
		"rejected":  {ends(chassisSays(failure.Overloaded))},
		"expired":   {func(ss grpc.ServerStream) error { <-ss.Context().Done(); time.Sleep(time.Second); return nil }}, // virtual: its end comes later
		"rejected ": {ends(overQuota())},
		"expired ":  {ends(status.Error(codes.DeadlineExceeded, "theirs"))},
	} {
		synctest.Test(t, func(t *testing.T) {
			want = strings.TrimSpace(want)
			for _, open := range []bool{false, true} {
				conn, s := dial(t, grpcclient.Config{}, c.says)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if open {
					_ = stream(ctx, t, conn).RecvMsg(&wrapperspb.StringValue{})
				} else {
					_, _ = invoke(ctx, conn)
				}
				cancel()
				if got := s.counts(t); !strings.HasPrefix(got, `attempts_total{outcome="`+want+`"} 1`+"\n") {
					t.Errorf("want %s (stream: %v), counted\n%s", want, open, got)
				}
				time.Sleep(2 * time.Second) // virtual: the server's part ends as well
			}
		})
	}
}

func TestAStreamIsOpenedOnceAndCountedByWhatComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		conn, s := dial(t, unthrottled, func(ss grpc.ServerStream) error {
			if calls.Add(1) == 1 {
				return status.Error(codes.Unavailable, "busy")
			}
			for range 2 {
				if err := ss.SendMsg(wrapperspb.String("event")); err != nil {
					return err
				}
			}
			return status.Error(codes.Unavailable, "later")
		})
		if err := stream(t.Context(), t, conn).RecvMsg(&wrapperspb.StringValue{}); status.Code(err) != codes.Unavailable || calls.Load() != 1 {
			t.Errorf("%v after %d calls", err, calls.Load())
		}
		cs := stream(t.Context(), t, conn)
		var last error
		for n := 0; last == nil; n++ {
			last = cs.RecvMsg(&wrapperspb.StringValue{})
		}
		if status.Code(last) != codes.Unavailable || calls.Load() != 2 {
			t.Errorf("%v after %d calls", last, calls.Load())
		}
		want := "attempts_total{outcome=\"accepted\"} 1\nattempts_total{outcome=\"rejected\"} 1\nrequests_total 2"
		if got := s.counts(t); got != want {
			t.Errorf("counted\n%s\nwant\n%s", got, want)
		}
	})
}

func FuzzPushback(f *testing.F) {
	for _, ms := range []string{"", "0", "150", "-1", "+7", "1e3", "99999999999999999999", "0x10", " 1"} {
		f.Add(ms)
	}
	f.Fuzz(func(t *testing.T, ms string) {
		pushback, pushed := grpcclient.PushbackOf(metadata.MD{"grpc-retry-pushback-ms": {ms}})
		n, err := strconv.ParseInt(ms, 10, 32)
		if want := time.Duration(n) * time.Millisecond; !pushed || (err == nil && n >= 0) != (pushback >= 0) || pushback >= 0 && pushback != want {
			t.Errorf("%q reads as %v, %v", ms, pushback, pushed)
		}
		if pushback, pushed := grpcclient.PushbackOf(metadata.MD{"grpc-retry-pushback-ms": {ms, ms}}); !pushed || pushback >= 0 {
			t.Errorf("%q given twice reads as %v, %v", ms, pushback, pushed)
		}
	})
}
