package wire

import (
	"context"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Local calls an implementation of a service in this process: no network, no interceptor, nothing
// between. desc is the generated description of the service, such as gamev1.GameService_ServiceDesc,
// and implementation what is registered for it. Errors are answered as the chassis classifies them.
func Local(desc *grpc.ServiceDesc, implementation any) Caller { return &local{desc, implementation} }

type local struct {
	desc *grpc.ServiceDesc
	impl any
}

// Open implements Caller.
func (l *local) Open(ctx context.Context, name string, request proto.Message) (Stream, error) {
	short, ours := strings.CutPrefix(name, "/"+l.desc.ServiceName+"/")
	for _, m := range l.desc.Methods {
		if !ours || m.MethodName != short {
			continue
		}
		answer, err := m.Handler(l.impl, ctx, func(into any) error { return handOver(into, request) }, nil)
		if err != nil {
			return nil, failure.From(err)
		}
		return &one{answer.(proto.Message)}, nil
	}
	for _, m := range l.desc.Streams {
		if ours && m.StreamName == short {
			return openLocal(ctx, l.impl, m, request), nil
		}
	}
	return nil, fmt.Errorf("service %s has no method %s", l.desc.ServiceName, name)
}

// handOver hands a request over as a decoder does: as a copy.
func handOver(into any, request proto.Message) error {
	m, ok := into.(proto.Message)
	if !ok || m.ProtoReflect().Descriptor() != request.ProtoReflect().Descriptor() {
		return fmt.Errorf("the method takes a %T, got a %T", into, request)
	}
	proto.Merge(m, request)
	return nil
}

// openLocal runs a streaming method beside its reader.
func openLocal(ctx context.Context, impl any, desc grpc.StreamDesc, request proto.Message) Stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &localStream{ctx: ctx, cancel: cancel, request: request, answers: make(chan proto.Message), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.err = desc.Handler(impl, serverSide{s})
	}()
	return s
}

// localStream is a streaming call, on its reader's side.
type localStream struct {
	ctx     context.Context
	cancel  context.CancelFunc
	request proto.Message
	answers chan proto.Message
	ended   chan struct{} // closed when the method has returned
	err     error         // what it returned; read after ended
}

// Next implements Stream.
func (s *localStream) Next() (proto.Message, error) {
	select {
	case answer := <-s.answers:
		return answer, nil
	case <-s.ended:
		if s.err != nil {
			return nil, failure.From(s.err)
		}
		return nil, io.EOF
	}
}

// Close implements Stream. It waits for the method to return.
func (s *localStream) Close() error {
	s.cancel()
	<-s.ended
	return nil
}

// serverSide is the same call on the method's side.
type serverSide struct{ s *localStream }

// Context implements grpc.ServerStream.
func (c serverSide) Context() context.Context { return c.s.ctx }

// SendMsg implements grpc.ServerStream.
func (c serverSide) SendMsg(m any) error {
	select {
	case c.s.answers <- proto.Clone(m.(proto.Message)):
		return nil
	case <-c.s.ctx.Done():
		return c.s.ctx.Err()
	}
}

// RecvMsg implements grpc.ServerStream.
func (c serverSide) RecvMsg(m any) error {
	if c.s.request == nil {
		return io.EOF
	}
	request := c.s.request
	c.s.request = nil
	return handOver(m, request)
}

// SetHeader implements grpc.ServerStream.
func (serverSide) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream.
func (serverSide) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream.
func (serverSide) SetTrailer(metadata.MD) {}
