package grpcserver_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

// named is a service that tells its name before what it was told.
func named(name string, hangs chan struct{}) *echo {
	return &echo{
		say: func(ctx context.Context, text string) (string, error) {
			if text == "hang" {
				close(hangs)
				<-ctx.Done()
				return "", ctx.Err()
			}
			return name + " " + text, nil
		},
		count: func(text string, send func(string) error, ctx context.Context) error { return send(name + " " + text) },
		chat: func(ss grpc.ServerStream) error {
			close(hangs)
			<-ss.Context().Done()
			return ss.Context().Err()
		},
	}
}

func TestCallsAreDivertedToAnotherInstance(t *testing.T) {
	in, intercepted := map[string]*chassis.Instance{}, 0
	inner := grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		intercepted++
		return next(srv, ss)
	})
	h := start(t, options{server: []grpc.ServerOption{inner}, world: func(w *chassis.World) {
		w.Divert = &chassis.Divert{Header: "X-To", To: func(_ context.Context, name string) (*chassis.Instance, error) {
			if i := in[name]; i != nil {
				return i, nil
			}
			return nil, errFull.New()
		}}
	}}, named("host", nil))
	unary, stream := make(chan struct{}), make(chan struct{})
	guest := func(hangs chan struct{}) *host {
		return start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, named("guest", hangs))
	}
	in["u"], in["s"] = guest(unary).Instance, guest(stream).Instance
	to := func(name string) context.Context { return metadata.AppendToOutgoingContext(t.Context(), "x-to", name) }
	if got, err := h.say(t.Context(), "x"); got != "host x" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if got, err := h.say(to("u"), "x"); got != "guest x" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	for ctx, want := range map[context.Context]string{t.Context(): "host x", to("s"): "guest x"} {
		if got, err := next(h.stream(ctx, count, "x")); got != want || err != nil {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	if intercepted != 2 {
		t.Errorf("the service's interceptor saw %d streams", intercepted)
	}
	_, failed := h.say(to("nobody"), "x")
	_, streamed := next(h.stream(to("nobody"), count, "x"))
	for _, err := range []error{failed, streamed} {
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != 1001 {
			t.Errorf("nobody: %v", err)
		}
	}
	if err := h.conn.Invoke(to("u"), "/test.Echo/Shout", nil, nil); err == nil {
		t.Error("a method that nobody has is answered")
	}
	ended := make(chan error, 2)
	go func() {
		_, err := h.say(to("u"), "hang")
		ended <- err
	}()
	go func() {
		_, err := next(h.stream(to("s"), chat, ""))
		ended <- err
	}()
	<-unary
	<-stream
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(in["u"].Stop(cut), in["s"].Stop(cut)); err != nil {
		t.Errorf("stop: %v", err)
	}
	for range 2 {
		if err := <-ended; status.Code(err) != grpccodes.Unavailable {
			t.Errorf("a call that was cut off: %v", err)
		}
	}
}

// TestACallThatWaitsForItsCallerIsCutOff is about calls that do not notice the end of their context, as
// those do not that wait for a message, or until there is room for one.
func TestACallThatWaitsForItsCallerIsCutOff(t *testing.T) {
	var in *chassis.Instance
	h := start(t, options{world: func(w *chassis.World) {
		w.Divert = &chassis.Divert{Header: "X-To", To: func(context.Context, string) (*chassis.Instance, error) { return in, nil }}
	}}, named("host", nil))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-to", "guest")
	for name, c := range map[string]struct {
		method string
		wait   func(ss grpc.ServerStream) error // nil of a unary call, which waits for its message
	}{
		"a unary one": {say, nil},
		"a stream that receives": {chat, func(ss grpc.ServerStream) error {
			return ss.RecvMsg(new(wrapperspb.StringValue))
		}},
		"a stream that sends": {chat, func(ss grpc.ServerStream) error {
			for {
				if err := ss.SendMsg(wrapperspb.String(strings.Repeat("x", 1<<16))); err != nil {
					return err
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan error, 1)
			service := named("guest", nil)
			service.chat = func(ss grpc.ServerStream) error {
				close(begun)
				err := c.wait(ss)
				ended <- err
				return err
			}
			in = start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, service).Instance
			cs, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, c.method)
			if err != nil {
				t.Fatal(err)
			}
			if c.wait != nil {
				<-begun
			} else {
				for h.s.Metrics().Listeners()[0].InFlight == 0 {
					runtime.Gosched()
				}
			}
			cut, cancel := context.WithCancel(t.Context())
			cancel()
			if err := in.Stop(cut); err != nil {
				t.Errorf("stop: %v", err)
			}
			for err == nil {
				_, err = next(cs)
			}
			if status.Code(err) != grpccodes.Unavailable {
				t.Errorf("the caller sees %v", err)
			}
			if c.wait != nil {
				if err := <-ended; err == nil {
					t.Error("the method does not learn of it")
				}
			}
		})
	}
}
