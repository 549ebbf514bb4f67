package target

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// Full names of the gRPC methods. Both speak google.protobuf.StringValue in both directions.
const (
	Unary = "/loss.Echo/Unary"
	Bidi  = "/loss.Echo/Bidi"
)

// Moving is the message by which Bidi says that the service drains: the client is to half-close the
// stream, which ends when every message that it sent has been echoed, and to open another.
const Moving = "__moving__"

// register describes loss.Echo by hand: generated code would be more than the service.
func (srv *server) register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "loss.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			if chain == nil { // nobody intercepts
				return srv.unary(ctx, in)
			}
			return chain(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: Unary}, srv.unary)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Bidi", ServerStreams: true, ClientStreams: true, Handler: srv.bidi}},
	}, srv)
}

func (srv *server) unary(ctx context.Context, in any) (any, error) {
	if d := srv.handlerTime(); d > 0 {
		if err := clock.Sleep(ctx, srv.clock, d); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// bidi echoes until the client half-closes. Only one goroutine sends.
func (srv *server) bidi(_ any, ss grpc.ServerStream) error {
	ctx := ss.Context()
	messages, ended := make(chan *wrapperspb.StringValue), make(chan error, 1)
	go func() {
		for {
			m := new(wrapperspb.StringValue)
			if err := ss.RecvMsg(m); err != nil {
				ended <- err
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	draining := chassis.Draining(ctx)
	for {
		var out *wrapperspb.StringValue
		select {
		case out = <-messages:
		case <-draining:
			draining, out = nil, wrapperspb.String(Moving)
		case err := <-ended:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ss.SendMsg(out); err != nil {
			return err
		}
	}
}
