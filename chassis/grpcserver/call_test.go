package grpcserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// saying makes an echo whose methods all end with err.
func saying(err error) *echo {
	return &echo{
		say:   func(context.Context, string) (string, error) { return "", err },
		count: func(string, func(string) error, context.Context) error { return err },
		chat:  func(grpc.ServerStream) error { return err },
	}
}

// back answers what it is told.
func back() *echo {
	return &echo{
		say: func(_ context.Context, text string) (string, error) { return "you said " + text, nil },
		count: func(text string, send func(string) error, _ context.Context) error {
			for _, c := range text {
				if err := send(string(c)); err != nil {
					return err
				}
			}
			return nil
		},
		chat: func(ss grpc.ServerStream) error {
			for {
				var text wrapperspb.StringValue
				if err := ss.RecvMsg(&text); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := ss.SendMsg(&text); err != nil {
					return err
				}
			}
		},
	}
}

func TestCallsAreAnswered(t *testing.T) {
	for name, cfg := range map[string]grpcserver.Config{"over TCP": {}, "over a socket": {Addr: "unix:" + t.TempDir() + "/s"}} {
		t.Run(name, func(t *testing.T) {
			times := clock.NewVirtual(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
			e := back()
			h := start(t, options{grpc: cfg, world: func(w *chassis.World) { w.Clock = times }}, e)
			if answer, err := h.say(t.Context(), "hello"); answer != "you said hello" || err != nil {
				t.Errorf("%q, %v", answer, err)
			}
			cs := h.stream(t.Context(), count, "abc")
			var got string
			for {
				text, err := next(cs)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got += text
			}
			if got != "abc" {
				t.Errorf("streamed %q", got)
			}
			both := h.stream(t.Context(), chat, "")
			for _, text := range []string{"x", "y"} {
				if err := both.SendMsg(wrapperspb.String(text)); err != nil {
					t.Fatal(err)
				}
				if answer, err := next(both); answer != text || err != nil {
					t.Errorf("%q, %v", answer, err)
				}
			}
			_ = both.CloseSend()
			if _, err := next(both); err != io.EOF {
				t.Errorf("the end: %v", err)
			}
			h.stop()
			h.wantMetric(1, "requests_total", "listener", "grpc", "route", say, "method", "POST", "code", "OK")
			h.wantMetric(1, "request_duration_seconds", "route", count)
			h.wantMetric(9, "response_bytes_total", "route", count) // three messages of three bytes
			h.wantMetric(16, "response_bytes_total", "route", say)
			h.wantMetric(0, "requests_in_flight", "listener", "grpc")
			lines := h.lines()
			if len(lines) != 3 {
				t.Fatalf("lines:\n%s", h.access)
			}
			first := lines[0]
			if first.Client.IsValid() != (name == "over TCP") || first.Method != "POST" || first.URI != say || first.Proto != "HTTP/2.0" || first.Status != 200 ||
				first.Bytes != 16 || !strings.HasPrefix(first.Request.Values("User-Agent")[0], "tests grpc-go/") || !first.Start.Equal(times.Now()) {
				t.Errorf("line %+v", first)
			}
			if lines[1].URI != count || lines[1].Bytes != 9 || lines[2].URI != chat {
				t.Errorf("lines %+v", lines)
			}
		})
	}
}

func TestFailuresAreAnsweredWithTheirDetails(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		code    grpccodes.Code
		message string
		want    grpcclient.Failure
		level   string
	}{
		"a failure": {
			errFull.With("column", failure.Safe(3)).With("secret", "hunter2"), grpccodes.FailedPrecondition, "column is full (column=3)",
			grpcclient.Failure{Set: "test", Code: 1001, Class: failure.Caller, Args: map[string]string{"column": "3"}}, "info",
		},
		"a failure that is wrapped": {
			fmt.Errorf("hunter2: %w", errFull.New()), grpccodes.FailedPrecondition, "column is full",
			grpcclient.Failure{Set: "test", Code: 1001, Class: failure.Caller}, "info",
		},
		"one to try again": {
			errBusy.Wrap(errors.New("hunter2")).After(1500 * time.Millisecond), grpccodes.Unavailable, "the store is busy",
			grpcclient.Failure{Set: "test", Code: 1002, Class: failure.Dependency, Retryable: true, RetryAfter: 1500 * time.Millisecond}, "error",
		},
		"one to try again at will": {
			errBusy.New(), grpccodes.Unavailable, "the store is busy", grpcclient.Failure{Set: "test", Code: 1002, Class: failure.Dependency, Retryable: true}, "error",
		},
		"an argument that is called as one of ours": {
			errFull.With("id", failure.Safe("theirs")), grpccodes.FailedPrecondition, "column is full (id=theirs)",
			grpcclient.Failure{Set: "test", Code: 1001, Class: failure.Caller}, "info",
		},
		"any error": {
			errors.New("pq: password hunter2 refused"), grpccodes.Internal, "internal error",
			grpcclient.Failure{Set: "chassis", Code: 1, Class: failure.Service}, "error",
		},
		"a cancellation that came not from the caller": {
			fmt.Errorf("query: %w", context.Canceled), grpccodes.Internal, "internal error",
			grpcclient.Failure{Set: "chassis", Code: 1, Class: failure.Service}, "error",
		},
		"a deadline": {
			context.DeadlineExceeded, grpccodes.DeadlineExceeded, "deadline exceeded",
			grpcclient.Failure{Set: "chassis", Code: 504, Class: failure.Service}, "error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, options{}, saying(c.err))
			_, unary := h.say(t.Context(), "")
			_, streamed := next(h.stream(t.Context(), count, ""))
			for _, err := range []error{unary, streamed} {
				st := status.Convert(err)
				if st.Code() != c.code || st.Message() != c.message || strings.Contains(fmt.Sprint(st.Proto()), "hunter2") {
					t.Errorf("status %v", st.Proto())
				}
				f, ok := grpcclient.FailureOf(err)
				want := c.want
				want.ID, want.Message, want.Status = f.ID, c.message, c.code
				if want.Args == nil {
					want.Args = map[string]string{}
				}
				if !ok || f.ID == "" || fmt.Sprintf("%+v", f) != fmt.Sprintf("%+v", want) {
					t.Errorf("failure %+v\nwant    %+v", f, want)
				}
				info, ok := st.Details()[0].(*errdetails.ErrorInfo)
				if !ok || info.Reason != strings.ToUpper(want.Set)+fmt.Sprintf("_%d", want.Code) {
					t.Errorf("details %v", st.Details())
				}
			}
			lines := h.logged("request failed")
			if len(lines) != 2 {
				t.Fatalf("logged %v", lines)
			}
			f, _ := grpcclient.FailureOf(unary)
			if l := lines[0]; l["error_id"] != f.ID || l["route"] != say || l["level"] != c.level || l["request_id"] == nil || l["trace_id"] == nil {
				t.Errorf("logged %v", l)
			}
			h.stop()
			h.wantMetric(2, "failure_total", "code", fmt.Sprint(c.want.Code))
			h.wantMetric(1, "requests_total", "route", say, "code", c.code.String())
			h.wantMetric(1, "requests_total", "route", count, "code", c.code.String())
			if lines := h.lines(); len(lines) != 2 || lines[0].Status != 200 {
				t.Errorf("lines %+v", lines)
			}
		})
	}
}

func TestPanicsAreInternalErrorsWithTheirStackInTheLog(t *testing.T) {
	e := &echo{
		say:   func(context.Context, string) (string, error) { panic("hunter2") },
		count: func(string, func(string) error, context.Context) error { panic(errFull.New()) },
	}
	h := start(t, options{}, e)
	_, unary := h.say(t.Context(), "")
	_, streamed := next(h.stream(t.Context(), count, ""))
	for _, err := range []error{unary, streamed} {
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1 || f.Status != grpccodes.Internal || f.Message != "internal error" {
			t.Errorf("%v: %+v", err, f)
		}
	}
	lines := h.logged("request failed")
	if len(lines) != 2 {
		t.Fatalf("logged %v", lines)
	}
	for _, l := range lines {
		if stack, _ := l["stack"].(string); !strings.Contains(stack, "call_test.go") {
			t.Errorf("logged %v", l)
		}
	}
}

func TestAMethodThatEndsItsGoroutineIsAnsweredLoggedAndCounted(t *testing.T) {
	e := &echo{
		say:   func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil },
		count: func(string, func(string) error, context.Context) error { runtime.Goexit(); return nil },
	}
	h := start(t, options{}, e)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, unary := h.say(ctx, "")
	_, streamed := next(h.stream(ctx, count, ""))
	for _, err := range []error{unary, streamed} {
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1 || f.Status != grpccodes.Internal {
			t.Errorf("%v: %+v", err, f)
		}
	}
	if lines := h.logged("request failed"); len(lines) != 2 {
		t.Errorf("logged %v", lines)
	}
	h.stop()
	if lines := h.lines(); len(lines) != 2 {
		t.Errorf("access lines %+v", lines)
	}
}

// lazyStatus is an error whose status says that there is none.
type lazyStatus struct{}

func (lazyStatus) Error() string              { return "hunter2" }
func (lazyStatus) GRPCStatus() *status.Status { return nil }

func TestAHandlersOwnStatusIsPassedOn(t *testing.T) {
	for code, want := range map[grpccodes.Code]int{
		grpccodes.Canceled: 499, grpccodes.DeadlineExceeded: 504, grpccodes.Unauthenticated: 401, grpccodes.PermissionDenied: 403,
		grpccodes.Unimplemented: 404, grpccodes.ResourceExhausted: 429, grpccodes.Unavailable: 503, grpccodes.InvalidArgument: 400,
		grpccodes.NotFound: 400, grpccodes.AlreadyExists: 400, grpccodes.FailedPrecondition: 400, grpccodes.Aborted: 400, grpccodes.OutOfRange: 400,
		grpccodes.Unknown: 1, grpccodes.Internal: 1, grpccodes.DataLoss: 1,
	} {
		detailed, err := status.New(code, "as it is").WithDetails(wrapperspb.String("detail"))
		if err != nil {
			t.Fatal(err)
		}
		h := start(t, options{}, saying(fmt.Errorf("hunter2: %w", detailed.Err())))
		_, err = h.say(t.Context(), "")
		if st := status.Convert(err); st.Code() != code || st.Message() != "as it is" || len(st.Details()) != 1 {
			t.Errorf("%v: %v", code, st.Proto())
		}
		h.wantMetric(1, "failure_total", "code", fmt.Sprint(want))
		h.wantMetric(1, "requests_total", "route", say, "code", code.String())
		h.stop()
	}
	h := start(t, options{}, saying(lazyStatus{}))
	if _, err := h.say(t.Context(), ""); status.Code(err) != grpccodes.Internal || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a status that is none: %v", err)
	}
}

// wild is an error whose methods all panic when it is nil.
type wild struct{ text string }

func (w *wild) Error() string              { return w.text }
func (w *wild) Unwrap() error              { return errors.New(w.text) }
func (w *wild) Is(error) bool              { return w.text == "" }
func (w *wild) As(any) bool                { return w.text == "" }
func (w *wild) GRPCStatus() *status.Status { return status.New(grpccodes.Aborted, w.text) }

func TestAnErrorWhoseMethodsPanicIsAnsweredLikeAnyOther(t *testing.T) {
	none := (*wild)(nil)
	for name, c := range map[string]struct {
		err    error
		status grpccodes.Code
		code   int
	}{
		"alone":         {none, grpccodes.Internal, 1},
		"with a code":   {errBusy.Wrap(none), grpccodes.Unavailable, 1002},
		"within a code": {fmt.Errorf("get: %w", errBusy.Wrap(none)), grpccodes.Unavailable, 1002},
		"among others":  {errors.Join(none, errors.New("other")), grpccodes.Internal, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := saying(c.err)
			e.chat = func(grpc.ServerStream) error { panic(c.err) }
			h := start(t, options{}, e)
			_, unary := h.say(t.Context(), "")
			_, streamed := next(h.stream(t.Context(), count, ""))
			_, panicked := next(h.stream(t.Context(), chat, ""))
			for _, err := range []error{unary, streamed} {
				if f, ok := grpcclient.FailureOf(err); !ok || f.Code != c.code || f.Status != c.status || f.ID == "" {
					t.Errorf("answered with %+v", f)
				}
			}
			if f, ok := grpcclient.FailureOf(panicked); !ok || f.Code != 1 || f.Status != grpccodes.Internal {
				t.Errorf("a panic is answered with %+v", f)
			}
			h.stop()
			if n := len(h.logged("request failed")); n != 3 {
				t.Errorf("%d failures are logged, want 3", n)
			}
			if n := len(h.lines()); n != 3 {
				t.Errorf("%d access lines, want 3", n)
			}
		})
	}
}

func TestMethodsThatNobodyHasAreUnimplementedAndShareOneSeries(t *testing.T) {
	asked := 0
	h := start(t, options{world: func(w *chassis.World) {
		w.Intercept = func(context.Context, *chassis.Call) error { asked++; return nil }
	}}, back())
	for _, method := range []string{"/test.Echo/Shout", "/nobody.Knows/This", "/nobody.Knows/That"} {
		err := h.conn.Invoke(t.Context(), method, wrapperspb.String(""), &wrapperspb.StringValue{})
		f, ok := grpcclient.FailureOf(err)
		if !ok || f.Status != grpccodes.Unimplemented || f.Code != 404 || f.Args["method"] != method {
			t.Errorf("%s: %v, %+v", method, err, f)
		}
	}
	h.stop()
	h.wantMetric(3, "requests_total", "route", "(unmatched)", "method", "POST", "code", "Unimplemented")
	if asked != 0 {
		t.Errorf("the world was asked %d times", asked)
	}
	if lines := h.lines(); len(lines) != 3 || lines[1].URI != "/nobody.Knows/This" {
		t.Errorf("lines %+v", lines)
	}
}

func TestUnaryCallsWithoutADeadlineGetOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := &echo{
			say: func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() },
			count: func(_ string, send func(string) error, ctx context.Context) error {
				if _, ok := ctx.Deadline(); ok {
					t.Error("a stream has a deadline")
				}
				return send("x")
			},
		}
		for timeout, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 7 * time.Second: 7 * time.Second} {
			h := start(t, options{pipes: true, grpc: grpcserver.Config{Timeout: timeout}}, wait)
			begin := time.Now()
			_, err := h.say(context.Background(), "")
			if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 504 || time.Since(begin) != want {
				t.Errorf("%v: %v after %v", timeout, err, time.Since(begin))
			}
			if text, err := next(h.stream(context.Background(), count, "")); text != "x" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
			_ = h.conn.Close()
			h.stop()
		}
		deadlines := make(chan time.Time, 1)
		h := start(t, options{pipes: true, grpc: grpcserver.Config{Timeout: -1}}, &echo{say: func(ctx context.Context, _ string) (string, error) {
			deadline, _ := ctx.Deadline()
			deadlines <- deadline
			return "", nil
		}})
		if _, err := h.say(context.Background(), ""); err != nil || !(<-deadlines).IsZero() {
			t.Errorf("without a bound: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := h.say(ctx, ""); err != nil {
			t.Error(err)
		}
		if left := time.Until(<-deadlines); left < 59*time.Minute || left > time.Hour {
			t.Errorf("the caller's own deadline became %v", left)
		}
		_ = h.conn.Close()
		h.stop()
	})
}

func TestTheWorldAnswersInTheMethodsPlace(t *testing.T) {
	var calls []*chassis.Call
	h := start(t, options{world: func(w *chassis.World) {
		w.Intercept = func(ctx context.Context, c *chassis.Call) error {
			calls = append(calls, c)
			if request.ID(ctx) == "" {
				t.Error("the world is asked without the call's context")
			}
			if c.Route == chat {
				panic("so it goes")
			}
			return errFull.New()
		}
	}}, back())
	_, unary := h.say(t.Context(), "")
	_, streamed := next(h.stream(t.Context(), count, ""))
	_, panicked := next(h.stream(t.Context(), chat, ""))
	for err, code := range map[error]int{unary: 1001, streamed: 1001, panicked: 1} {
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != code {
			t.Errorf("%v, want code %d", err, code)
		}
	}
	if len(calls) != 3 {
		t.Fatalf("asked about %d calls", len(calls))
	}
	if c := calls[0]; c.Listener != "grpc" || c.Method != "POST" || c.Route != say || c.Stream || c.Message == nil || !c.Peer.Addr().IsLoopback() {
		t.Errorf("asked about %+v", c)
	}
	if c := calls[1]; c.Route != count || !c.Stream || c.Message != nil || c.Request != nil || c.Header("Content-Type") != "application/grpc" || c.Header("X-Nothing") != "" {
		t.Errorf("asked about %+v", c)
	}
}

func TestTheWorldHearsHowMethodsEndAndAnswersInTheirPlace(t *testing.T) {
	heard := make(chan error, 8)
	answer := func(err error) error { return err }
	h := start(t, options{world: func(w *chassis.World) {
		w.Intercept = func(_ context.Context, c *chassis.Call) error {
			c.After = func(err error) error { heard <- err; return answer(err) }
			return nil
		}
	}}, &echo{
		say: func(_ context.Context, s string) (string, error) {
			if s == "panic" {
				panic("so it goes")
			}
			return s, nil
		},
		count: func(s string, send func(string) error, _ context.Context) error {
			if s == "panic" {
				panic("so it goes")
			}
			return errors.Join(send(s), errFull.New())
		},
	})
	if got, err := h.say(t.Context(), "one"); got != "one" || err != nil || <-heard != nil {
		t.Errorf("a method that succeeds: %q, %v", got, err)
	}
	stream := h.stream(t.Context(), count, "two")
	first, err := next(stream)
	_, end := next(stream)
	if f, _ := grpcclient.FailureOf(end); first != "two" || err != nil || f.Code != errFull.Number() || !errors.Is(<-heard, errFull) {
		t.Errorf("a stream that fails: %q, %v, %v", first, err, end)
	}
	_, err = h.say(t.Context(), "panic")
	_, end = next(h.stream(t.Context(), count, "panic"))
	if f, g := failureOf(err), failureOf(end); f != 1 || g != 1 || <-heard == nil || <-heard == nil {
		t.Errorf("methods that panic: %v, %v", err, end)
	}
	answer = func(error) error { return errFull.New() }
	_, err = h.say(t.Context(), "three")
	if failureOf(err) != errFull.Number() || <-heard != nil {
		t.Errorf("an answer in the method's place: %v", err)
	}
}

func failureOf(err error) int {
	f, _ := grpcclient.FailureOf(err)
	return f.Code
}

func TestCallsHaveIDsAndTraces(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	var info request.Info
	e := &echo{
		say: func(ctx context.Context, _ string) (string, error) { info = *request.From(ctx); return "", nil },
		count: func(_ string, send func(string) error, ctx context.Context) error {
			info = *request.From(ctx)
			return send("")
		},
	}
	h := start(t, options{}, e)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7`)
	for _, c := range []struct {
		given string
		taken bool
	}{{"", false}, {"order-17", true}, {"no good", false}} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", c.given, "traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
		var header metadata.MD
		_, err := h.say(ctx, "", grpc.Header(&header))
		id := strings.Join(header.Get("x-request-id"), ",")
		if err != nil || id != info.ID || c.taken != (id == c.given) || !c.taken && !uuid.MatchString(id) {
			t.Errorf("%q: id %q, %v", c.given, id, err)
		}
		if len(header.Get("traceparent")) != 0 {
			t.Error("the trace is sent back")
		}
		if got := info.Trace.Header(); !strings.HasPrefix(got, "00-"+trace+"-") || strings.Contains(got, "00f067aa0ba902b7") || info.Listener != "grpc" || info.Route != say {
			t.Errorf("info %+v", info)
		}
		cs := h.stream(ctx, count, "")
		header, err = cs.Header()
		if _, nextErr := next(cs); err != nil || nextErr != nil || strings.Join(header.Get("x-request-id"), ",") != info.ID || info.Route != count {
			t.Errorf("stream: header %v, %v, info %+v", header, err, info)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = h.say(cancelled, "")
	}
}

func TestWhereIDsAreForFailuresOnlyThoseAndStreamsHaveThem(t *testing.T) {
	var id string
	say := map[string]func() error{
		"answer":  func() error { return nil },
		"failure": func() error { return errFull.New() },
		"panic":   func() error { panic("away") },
		"exit":    func() error { runtime.Goexit(); return nil },
	}
	e := &echo{
		say: func(ctx context.Context, what string) (string, error) {
			id = request.From(ctx).ID
			return "", say[what]()
		},
		count: func(_ string, send func(string) error, ctx context.Context) error {
			id = request.From(ctx).ID
			return send("")
		},
	}
	h := start(t, options{grpc: grpcserver.Config{IDOnFailure: true}}, e)
	for what := range say {
		var header metadata.MD
		_, err := h.say(t.Context(), what, grpc.Header(&header))
		var want []string
		if what != "answer" {
			want = []string{id}
		}
		if got := header.Get("x-request-id"); (err != nil) != (want != nil) || id == "" || !slices.Equal(got, want) {
			t.Errorf("%s: ids %q, want %q; %v", what, got, want, err)
		}
	}
	cs := h.stream(t.Context(), count, "")
	header, err := cs.Header()
	if _, nextErr := next(cs); err != nil || nextErr != nil || !slices.Equal(header.Get("x-request-id"), []string{id}) {
		t.Errorf("stream: header %v, %v, %v", header, err, nextErr)
	}
}

func TestMessagesAndMetadataAreBounded(t *testing.T) {
	h := start(t, options{grpc: grpcserver.Config{MaxReceive: 100, MaxSend: 200, MaxHeader: 2 << 10}}, back())
	if _, err := h.say(t.Context(), strings.Repeat("x", 80)); err != nil {
		t.Errorf("a message that fits: %v", err)
	}
	large := strings.Repeat("x", 101)
	_, unary := h.say(t.Context(), large)
	_, streamed := next(h.stream(t.Context(), count, large))
	for _, err := range []error{unary, streamed} {
		if status.Code(err) != grpccodes.ResourceExhausted {
			t.Errorf("a message too large: %v", err)
		}
	}
	h.wantMetric(2, "failure_total", "code", "413")
	h.wantMetric(1, "requests_total", "route", say, "code", "ResourceExhausted")
	if _, err := h.say(metadata.AppendToOutgoingContext(t.Context(), "long", strings.Repeat("x", 4<<10)), ""); err == nil {
		t.Error("long metadata is taken")
	}
	if _, err := h.say(t.Context(), "after all"); err != nil {
		t.Error(err)
	}
	verbose := start(t, options{grpc: grpcserver.Config{MaxSend: 10}}, &echo{
		say: func(context.Context, string) (string, error) { return "a long answer", nil },
		count: func(_ string, send func(string) error, _ context.Context) error {
			return errors.Join(send("short"), send("a long answer"))
		},
	})
	_, unary = verbose.say(t.Context(), "")
	cs := verbose.stream(t.Context(), count, "")
	if text, err := next(cs); text != "short" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	_, streamed = next(cs)
	for _, err := range []error{unary, streamed} {
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1 {
			t.Errorf("an answer too large: %v", err)
		}
	}
	if lines := verbose.logged("request failed"); len(lines) != 2 || !strings.Contains(lines[0]["error"].(string), "the answer has 15 bytes, more than the 10 of max_send") {
		t.Errorf("logged %v", lines)
	}
}

// torn is a message that is no protobuf.
type torn struct{}

func (torn) Marshal(any) ([]byte, error) { return []byte{0xff, 0xff}, nil }
func (torn) Unmarshal([]byte, any) error { return nil }
func (torn) Name() string                { return "proto" }

func TestMessagesThatCannotBeReadAreTheCallersFailure(t *testing.T) {
	h := start(t, options{}, back())
	_, err := h.say(t.Context(), "", grpc.ForceCodec(torn{}))
	if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 400 || f.Status != grpccodes.InvalidArgument {
		t.Errorf("unary: %v", err)
	}
	cs, err := h.conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, count, grpc.ForceCodec(torn{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := cs.SendMsg(""); err != nil {
		t.Fatal(err)
	}
	_ = cs.CloseSend()
	if f, ok := grpcclient.FailureOf(cs.RecvMsg(nil)); !ok || f.Code != 400 {
		t.Errorf("streamed: %+v", f)
	}
	h.wantMetric(2, "failure_total", "code", "400")
	h.wantMetric(1, "requests_total", "route", say, "code", "InvalidArgument")
	// The health service reads its messages in the same way.
	if s, err := h.health(t.Context(), ""); err != nil || s.String() != "SERVING" {
		t.Errorf("health: %v, %v", s, err)
	}
}

func TestACallerWhoLeftIsNoFailureOfTheService(t *testing.T) {
	entered := make(chan struct{}, 2)
	e := &echo{
		say: func(ctx context.Context, _ string) (string, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return "", errBusy.Wrap(ctx.Err())
		},
		count: func(_ string, _ func(string) error, ctx context.Context) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		},
	}
	h := start(t, options{}, e)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := h.say(ctx, ""); left <- err }()
	receive(t, entered, "the call")
	cs := h.stream(ctx, count, "")
	receive(t, entered, "the stream")
	cancel()
	if err := receive(t, left, "the caller's end"); status.Code(err) != grpccodes.Canceled {
		t.Errorf("the caller sees %v", err)
	}
	_, _ = next(cs)
	h.stop()
	h.wantMetric(2, "failure_total", "code", "499", "class", "not_problem")
	h.wantMetric(0, "failure_total", "code", "1002")
	h.wantMetric(1, "requests_total", "route", say, "code", "Canceled")
}

func TestInterceptorsOfTheServiceRunInsideTheChassiss(t *testing.T) {
	inner := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if request.ID(ctx) == "" {
			t.Error("the call has no id yet")
		}
		return nil, errFull.New()
	}
	h := start(t, options{server: []grpc.ServerOption{grpc.ChainUnaryInterceptor(inner)}}, back())
	_, err := h.say(t.Context(), "")
	if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1001 {
		t.Errorf("%v", err)
	}
}

func TestAnswersThatCannotBeWrittenAreTheServicesFailure(t *testing.T) {
	for _, answer := range []string{"\xff", "\xff" + strings.Repeat("x", 4<<10)} {
		h := start(t, options{}, &echo{say: func(context.Context, string) (string, error) { return answer, nil }})
		_, err := h.say(t.Context(), "")
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1 || f.Status != grpccodes.Internal || strings.Contains(f.Message, "UTF-8") {
			t.Errorf("%d bytes: %v", len(answer), err)
		}
		h.stop()
		h.wantMetric(1, "requests_total", "route", say, "code", "Internal")
		h.wantMetric(0, "response_bytes_total", "route", say)
		if lines := h.logged("request failed"); len(lines) != 1 || !strings.Contains(lines[0]["error"].(string), "invalid UTF-8") {
			t.Errorf("logged %v", lines)
		}
	}
}

func TestAnswersOfAllSizesAndKindsArrive(t *testing.T) {
	h, err := try(t, options{}, func(r grpc.ServiceRegistrar) {
		back().register(r)
		r.RegisterService(&grpc.ServiceDesc{
			ServiceName: "test.Odd", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{
				{MethodName: "Nothing", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) { return nil, nil }},
				{MethodName: "Nil", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
					return (*wrapperspb.StringValue)(nil), nil
				}},
				{MethodName: "Number", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) { return 4, nil }},
			},
		}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 1000, 1010, 1020, 1030, 5000, 100_000} {
		text := strings.Repeat("x", size)
		if answer, err := h.say(t.Context(), text); answer != "you said "+text || err != nil {
			t.Errorf("%d bytes became %d, %v", size, len(answer), err)
		}
	}
	var answer wrapperspb.StringValue
	for _, method := range []string{"/test.Odd/Nothing", "/test.Odd/Nil"} {
		if err := h.conn.Invoke(t.Context(), method, wrapperspb.String("x"), &answer); err != nil || answer.Value != "" {
			t.Errorf("%s: %q, %v", method, answer.Value, err)
		}
	}
	if err := h.conn.Invoke(t.Context(), "/test.Odd/Number", wrapperspb.String("x"), &answer); status.Code(err) != grpccodes.Internal {
		t.Errorf("a number: %v", err)
	}
}

func TestTheWorldIsAskedWithTheDeadlineOfTheMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, world: func(w *chassis.World) {
			w.Intercept = func(ctx context.Context, _ *chassis.Call) error { <-ctx.Done(); return ctx.Err() }
		}}, back())
		begin := time.Now()
		_, err := h.say(context.Background(), "")
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 504 || time.Since(begin) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		_ = h.conn.Close()
		h.stop()
	})
}

func TestACallOfWhichGRPCTellsNothingHasAnID(t *testing.T) {
	h := start(t, options{}, back())
	method := grpcserver.UnaryChain(h.s, "other", say, func(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		return wrapperspb.String(request.ID(ctx)), receive(new(wrapperspb.StringValue))
	})
	if answer, err := method(nil, t.Context(), func(any) error { return nil }, nil); answer == nil || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
	h.wantMetric(36+2, "response_bytes_total", "route", say, "listener", "other")
}

func TestAnInterceptorOutsideOfTheChassissReadsWhatGRPCReads(t *testing.T) {
	h := start(t, options{server: []grpc.ServerOption{grpc.StreamInterceptor(
		func(_ any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
			var text wrapperspb.StringValue
			if err := ss.RecvMsg(&text); err != nil {
				return err
			}
			return ss.SendMsg(wrapperspb.String("outside: " + text.Value))
		},
	)}}, back())
	if text, err := next(h.stream(t.Context(), count, "x")); text != "outside: x" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
