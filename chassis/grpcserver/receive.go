package grpcserver

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A message that cannot be read is the caller's failure. grpc-go answers it INTERNAL before any
// interceptor hears of it, as if it were the service's, neither logged nor counted. So messages
// are received in envelopes: to grpc-go every one can be read, and the chain opens the envelope.

// envelope is a message being received and what is wrong with it.
type envelope struct {
	message any
	err     error
}

// codec is grpc-go's for protobuf, which also reads into envelopes.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	e, ok := v.(*envelope)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	e.err = c.CodecV2.Unmarshal(data, e.message)
	return nil
}

// receive has recv read a message in an envelope.
func receive(message any, recv func(any) error) error {
	e := envelope{message: message}
	if err := recv(&e); err != nil {
		if status.Code(err) == codes.ResourceExhausted {
			return failure.TooLarge.Wrap(err)
		}
		return err
	}
	if e.err != nil {
		return failure.Malformed.With("reason", failure.Safe(e.err)).Wrap(e.err)
	}
	return nil
}

// RecvMsg implements grpc.ServerStream.
func (s *serverStream) RecvMsg(m any) error { return receive(m, s.ServerStream.RecvMsg) }

// registrar has unary methods receive in envelopes: generated handlers read the message before
// they call the interceptor, which here is told what came of it.
type registrar struct{ grpc.ServiceRegistrar }

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods = slices.Clone(desc.Methods)
	for i := range d.Methods {
		d.Methods[i].Handler = receiveInChain(d.Methods[i].Handler)
	}
	r.ServiceRegistrar.RegisterService(&d, impl)
}

func receiveInChain(handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, recv func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		var failed error
		return handler(srv, ctx, func(m any) error {
			failed = receive(m, recv)
			return nil
		}, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if failed != nil {
				next = func(context.Context, any) (any, error) { return nil, failed }
			}
			return interceptor(ctx, req, info, next)
		})
	}
}
