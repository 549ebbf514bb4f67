package arcade

import (
	"context"
	"errors"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// call asks the game service with the configured deadline, or the request's own when that is
// sooner. Every call of the arcade may be sent twice: it reads, or has the request_id of a form,
// by which the game service knows it again. Its error is a failure of the arcade.
func call[Req, Resp any](ctx context.Context, s *site, method func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Game.Timeout)
	defer cancel()
	resp, err := method(ctx, req, grpcclient.Idempotent())
	if err != nil {
		var none Resp
		return none, relay(err)
	}
	return resp, nil
}

// gameByID is the game as it stands.
func (s *site) gameByID(ctx context.Context, id string) (*gamev1.Game, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	resp, err := call(ctx, s, s.games.GetGame, &gamev1.GetGameRequest{GameId: id})
	if err != nil {
		return nil, err
	}
	return resp.GetGame(), nil
}

// checkID refuses what no game can have as its id: protobuf could not even ask for it.
func checkID(id string) error {
	if !utf8.ValidString(id) {
		return errNoID
	}
	return nil
}

// relay is what the arcade answers when the game service answered err.
func relay(err error) error {
	f, ok := grpcclient.FailureOf(err)
	var code *failure.Code
	if ok && f.Set == "game" {
		code = byNumber(f.Code)
	}
	if code == nil {
		// It refuses so many that this one was not even sent: that is its answer, too.
		_, held := errors.AsType[*retry.Throttled](err)
		code = byStatus(status.Code(err), ok || held)
	}
	e := code.Wrap(err)
	if ok && f.RetryAfter > 0 && code.Retryable() {
		e = e.After(f.RetryAfter)
	}
	if ok && code == errRefused {
		e = e.With("reason", failure.Safe(f.Message))
	}
	if ok && f.ID != "" {
		e = e.With("game_error_id", f.ID)
	}
	return e
}

// byStatus is the failure for a gRPC status; answered says that it came from the service.
func byStatus(c codes.Code, answered bool) *failure.Code {
	switch c {
	case codes.Canceled:
		return failure.CallerLeft
	case codes.DeadlineExceeded:
		return errSlow
	case codes.Unavailable, codes.ResourceExhausted:
		if c == codes.Unavailable && !answered {
			return errUnreachable
		}
		return errBusy // too many games or watchers, it drains, or something it needs does not answer
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.Unauthenticated, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return errRefused
	}
	return errBroken
}
