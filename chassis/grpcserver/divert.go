package grpcserver

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

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

// visit is a call that another instance answers.
type visit struct {
	*chassis.Visit
	ctx     context.Context // of the call
	to      *chain
	unwatch func() bool
}

// visit finds the chain of the instance that answers a call.
func (c *chain) visit(ctx context.Context, name string) (*visit, error) {
	v, err := c.service.Visit(ctx, name, c.listener)
	if err != nil {
		return nil, Status(failure.From(err), "").Err() // no failure of the service, whose counts stay as they are
	}
	unwatch := context.AfterFunc(v.Context, func() {
		if ctx.Err() == nil {
			cut(ctx)
		}
	})
	return &visit{v, ctx, v.Server.(*server).chain, unwatch}, nil // since both run the same Setup
}

// leave ends a visit. A call that was cut off is answered as one is whose server goes away.
func (v *visit) leave(err *error) {
	v.unwatch()
	if v.Leave() && v.ctx.Err() == nil {
		*err = statusCut().Err()
	}
}

// cut answers a call that may wait for its caller, be it for a message or for room for one: nothing but
// the end of the call ends that.
func cut(ctx context.Context) {
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(st *status.Status) error
	})
	if ok {
		_ = s.WriteStatus(statusCut()) // a caller that left is none the worse
	}
}

func statusCut() *status.Status { return Status(failure.Draining.Wrap(errCut), "") }

var errCut = errors.New("the instance that answered has ended")

// divert has another instance answer a unary call.
func (c *chain) divert(ctx context.Context, name, method string, recv func(any) error, interceptor grpc.UnaryServerInterceptor) (resp any, err error) {
	v, err := c.visit(ctx, name)
	if err != nil {
		return nil, err
	}
	defer v.leave(&err)
	g := v.to.guests[method]
	return g.unary(g.srv, v.Context, recv, interceptor)
}

// divertStream does for a stream what divert does.
func (c *chain) divertStream(ss grpc.ServerStream, name string, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	v, err := c.visit(ss.Context(), name)
	if err != nil {
		return err
	}
	defer v.leave(&err)
	return v.to.stream(v.to.guests[info.FullMethod], visitStream{ss, v.Context}, info, handler)
}

// visitStream is a stream with the context of a visit.
type visitStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s visitStream) Context() context.Context { return s.ctx }
