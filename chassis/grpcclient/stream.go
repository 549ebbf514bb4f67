package grpcclient

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

func (c *caller) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r, err := c.policy.Begin()
	if err != nil {
		return nil, held(err)
	}
	cs, err := streamer(c.carry(ctx), desc, cc, method, opts...)
	if err != nil {
		r.Attempted(outcome(ctx, err, &attempt{}))
		return nil, ended(ctx, err)
	}
	return &clientStream{ClientStream: cs, ctx: ctx, request: r}, nil
}

type clientStream struct {
	grpc.ClientStream
	ctx     context.Context
	request *retry.Request // nil when its outcome has been counted
}

// RecvMsg counts what came first: a message tells that the service accepted the stream. One that is
// left before is not counted.
func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.request != nil {
		s.request.Attempted(outcome(s.ctx, err, nil))
		s.request = nil
	}
	return ended(s.ctx, err)
}
