package grpcserver_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

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
