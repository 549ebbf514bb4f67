package grpcserver

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// diverted names the instance that is to answer a call, empty when this one is. See chassis.World.Divert.
func (c *chain) diverted(ctx context.Context) string {
	if c.divertBy == "" {
		return ""
	}
	if values := c.metadata(ctx)[c.divertBy]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// guest is a method as it is registered with a service that has no sockets of its own.
type guest struct {
	srv    any
	unary  grpc.MethodHandler // nil of a stream
	stream grpc.StreamHandler
}

// remember keeps what a guest registers, and has a service that diverts calls find it.
func (c *chain) remember(d *grpc.ServiceDesc, srv any) {
	switch {
	case c.service.Guest():
		for _, m := range d.Methods {
			c.guests["/"+d.ServiceName+"/"+m.MethodName] = guest{srv: srv, unary: m.Handler}
		}
		for _, s := range d.Streams {
			c.guests["/"+d.ServiceName+"/"+s.StreamName] = guest{srv: srv, stream: s.Handler}
		}
	case c.divertBy != "":
		d.Streams = slices.Clone(d.Streams)
		for i := range d.Streams {
			next := d.Streams[i].Handler
			d.Streams[i].Handler = func(srv any, ss grpc.ServerStream) error {
				if g, ok := srv.(guest); ok {
					return g.stream(g.srv, ss)
				}
				return next(srv, ss)
			}
		}
	}
}

// visit finds the chain of the instance that answers a call.
func (c *chain) visit(ctx context.Context, name string) (*chassis.Visit, *chain, error) {
	v, err := c.service.Visit(ctx, name, c.listener)
	if err != nil {
		return nil, nil, Status(failure.From(err), "").Err() // no failure of the service, whose counts stay as they are
	}
	return v, v.Server.(*server).chain, nil // since both run the same Setup
}

// leave ends a visit. A call that was cut off is answered as one is whose server goes away.
func (c *chain) leave(v *chassis.Visit, ctx context.Context, err *error) {
	if v.Leave() && ctx.Err() == nil {
		*err = Status(failure.Draining.Wrap(errCut), "").Err()
	}
}

var errCut = errors.New("the instance that answered has ended")

// divert has another instance answer a unary call.
func (c *chain) divert(ctx context.Context, name, method string, recv func(any) error, interceptor grpc.UnaryServerInterceptor) (resp any, err error) {
	v, to, err := c.visit(ctx, name)
	if err != nil {
		return nil, err
	}
	defer c.leave(v, ctx, &err)
	g := to.guests[method]
	return g.unary(g.srv, v.Context, recv, interceptor)
}

// divertStream does for a stream what divert does.
func (c *chain) divertStream(ss grpc.ServerStream, name string, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	v, to, err := c.visit(ctx, name)
	if err != nil {
		return err
	}
	defer c.leave(v, ctx, &err)
	return to.stream(to.guests[info.FullMethod], visitStream{ss, v.Context}, info, handler)
}

// visitStream is a stream with the context of a visit.
type visitStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s visitStream) Context() context.Context { return s.ctx }
