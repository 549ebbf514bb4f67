package grpcclient

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// Idempotent says of one call that sending it twice does nothing twice, for instance because the
// service recognises it by an id in the request. Methods that are always so declare it:
//
//	rpc GetGame(GetGameRequest) returns (GetGameResponse) {
//	  option idempotency_level = NO_SIDE_EFFECTS;
//	}
//
// It does nothing to streams.
func Idempotent() grpc.CallOption { return idempotency{safe: true} }

// Once says of one call that it is not to be sent twice, whatever its method declares, unless nothing
// of it was seen. It is also never hedged.
func Once() grpc.CallOption { return idempotency{safe: false} }

type idempotency struct {
	grpc.EmptyCallOption
	safe bool
}

// isIdempotent says whether sending the call twice does no harm. The last option counts.
func (cl *call) isIdempotent() bool {
	if cl.known {
		return cl.idempotent
	}
	cl.known, cl.idempotent = true, declared(cl.method)
	for _, o := range cl.options {
		if own, ok := o.(idempotency); ok {
			cl.idempotent = own.safe
		}
	}
	return cl.idempotent
}

// declared reads the option idempotency_level of a full method, such as /game.v1.GameService/GetGame.
// A method that this program does not know has none.
func declared(method string) bool {
	name := strings.ReplaceAll(strings.TrimPrefix(method, "/"), "/", ".")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false
	}
	options, _ := d.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// retriable decides whether the call is sent once more after err, and for how long to wait before.
func (cl *call) retriable(err error) bool {
	if status.Code(err) != codes.Unavailable {
		return false
	}
	again := false
	cl.wait, again = cl.request.Again(cl.ctx, cl.failure(err))
	return again
}

// backOff waits here, on the service's clock; the middleware would wait on the machine's.
func (cl *call) backOff(ctx context.Context, _ uint) time.Duration {
	_ = cl.request.Wait(ctx, cl.wait) // attempts looks whether ctx has ended
	return 0
}

// failure is what is known of the last attempt, which ended with err.
func (cl *call) failure(err error) retry.Failure {
	said, ok := FailureOf(err)
	pushback, pushed := pushbackOf(cl.last.trailer)
	refused := said.Set == failure.Overloaded.Set() &&
		(said.Code == failure.Overloaded.Number() || said.Code == failure.Draining.Number()) && pushed
	return retry.Failure{
		Safe:  cl.last.outcome == retry.Unreachable || refused || cl.isIdempotent(),
		Never: pushback < 0 || ok && !said.Retryable,
		After: max(pushback, delayOf(err)),
	}
}

// pushbackOf reads the trailer grpc-retry-pushback-ms (gRFC A6): how long to wait, negative for ever.
// What is no number is that, too.
func pushbackOf(trailer metadata.MD) (pushback time.Duration, pushed bool) {
	given := trailer["grpc-retry-pushback-ms"]
	if len(given) == 0 {
		return 0, false
	}
	ms, err := strconv.ParseInt(given[0], 10, 32)
	if err != nil || ms < 0 || len(given) > 1 {
		return -1, true
	}
	return time.Duration(ms) * time.Millisecond, true
}

// delayOf is how long google.rpc.RetryInfo in err says to wait, 0 for none.
func delayOf(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*errdetails.RetryInfo); ok {
			return max(d.RetryDelay.AsDuration(), 0)
		}
	}
	return 0
}
