package wire

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// GRPC makes calls over a connection, which whoever made it closes.
func GRPC(conn grpc.ClientConnInterface) Caller { return overGRPC{conn} }

type overGRPC struct{ conn grpc.ClientConnInterface }

// Open implements Caller.
func (c overGRPC) Open(ctx context.Context, name string, request proto.Message) (Stream, error) {
	m, err := method(name)
	if err != nil {
		return nil, err
	}
	if !m.IsStreamingServer() {
		answer, err := answerOf(m)
		if err == nil {
			err = c.conn.Invoke(ctx, name, request, answer)
		}
		if err != nil {
			return nil, err
		}
		return &one{answer}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &grpcStream{cancel: cancel, next: func() (proto.Message, error) { return answerOf(m) }}
	if s.stream, err = c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, name); err == nil {
		err = s.stream.SendMsg(request)
	}
	if err == nil {
		err = s.stream.CloseSend()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

type grpcStream struct {
	stream grpc.ClientStream
	cancel context.CancelFunc
	next   func() (proto.Message, error) // an empty answer
}

// Next implements Stream.
func (s *grpcStream) Next() (proto.Message, error) {
	answer, err := s.next()
	if err == nil {
		err = s.stream.RecvMsg(answer)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Close implements Stream.
func (s *grpcStream) Close() error {
	s.cancel()
	return nil
}
