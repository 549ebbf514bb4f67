package grpcclient

import (
	"context"
	"errors"
	"io"
	"time"

	retrying "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// caller is what outgoing calls have in common.
type caller struct {
	rand    io.Reader
	timeout time.Duration
	policy  *retry.Policy
	again   grpc.UnaryClientInterceptor
}

// call is a unary call with its attempts.
type call struct {
	caller     *caller
	request    *retry.Request
	ctx        context.Context
	method     string
	options    []grpc.CallOption // of whoever calls
	last       attempt           // or that of the two that raced
	wait       time.Duration     // before the next
	known      bool              // whether idempotent has been found out
	idempotent bool
}

// attempt is what came of one.
type attempt struct {
	trailer metadata.MD
	peer    peer.Peer // without an address when there was no stream, and so nothing was sent
	outcome retry.Outcome
}

// unary lets a call be sent, and again if need be. The order is: the deadline of all, the throttle,
// the middleware that retries, and then each attempt.
func (c *caller) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout) // a deadline that is earlier stays
	defer cancel()
	r, err := c.policy.Begin()
	if err != nil {
		return held(err)
	}
	cl := &call{caller: c, request: r, ctx: ctx, method: method, options: opts}
	attempts := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
		return cl.attempts(ctx, req, reply, cc, invoke, opts)
	}
	all := append(opts[:len(opts):len(opts)], retrying.WithRetriable(cl.retriable), retrying.WithBackoff(cl.backOff))
	return ended(ctx, c.again(ctx, method, req, reply, cc, attempts, all...))
}

// attempts makes one attempt or, where the call is hedged, two.
func (cl *call) attempts(ctx context.Context, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption) error {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err() // during the wait for another
	}
	if into := cl.hedgeable(reply, opts); into != nil {
		return cl.race(ctx, req, into, cc, invoke, opts)
	}
	var err error
	cl.last, err = cl.attempt(ctx, req, reply, cc, invoke, opts)
	return err
}

// attempt sends the call once and counts it.
func (cl *call) attempt(ctx context.Context, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption) (attempt, error) {
	var a attempt
	all := append(opts[:len(opts):len(opts)], grpc.Trailer(&a.trailer), grpc.Peer(&a.peer))
	err := invoke(cl.caller.carry(ctx), cl.method, req, reply, cc, all...)
	a.outcome = outcome(ctx, err, &a)
	cl.request.Attempted(a.outcome)
	return a, err
}

// outcome is how a call or a stream ended; a is nil for streams, of which less is known.
func outcome(ctx context.Context, err error, a *attempt) retry.Outcome {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && err != nil {
		return retry.Expired
	}
	if ctx.Err() != nil && err != nil {
		return retry.Abandoned
	}
	code := status.Code(err)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return retry.Accepted
	case code == codes.DeadlineExceeded:
		return retry.Expired
	case code == codes.ResourceExhausted && delayOf(err) > 0: // without, it may be a message too large
		return retry.Rejected
	case code != codes.Unavailable:
		return retry.Accepted
	case a != nil && a.peer.Addr == nil:
		return retry.Unreachable
	case a != nil && len(a.trailer) == 0 && len(status.Convert(err).Details()) == 0:
		return retry.Broken
	}
	return retry.Rejected
}

// carry sends the id and the trace of the request being served on, unless the caller has set them: of two
// values, each service would take another one.
func (c *caller) carry(ctx context.Context) context.Context {
	info := request.From(ctx)
	if info == nil || info.ID == "" {
		return ctx
	}
	set, _ := metadata.FromOutgoingContext(ctx)
	var add [4]string
	n := 0
	if len(set["x-request-id"]) == 0 {
		n += copy(add[n:], []string{"x-request-id", info.ID})
	}
	if len(set["traceparent"]) == 0 && !info.Trace.IsZero() {
		n += copy(add[n:], []string{"traceparent", info.Trace.Child(c.rand).Header()})
	}
	if n == 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, add[:n]...)
}

func (c *caller) stats() kpi.ClientStats { return kpi.ClientStats(c.policy.Stats()) }
