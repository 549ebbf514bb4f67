package grpcclient

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ended has err wrap the error of ctx when that is what ended the call.
func ended(ctx context.Context, err error) error {
	code := status.Code(err)
	if code != codes.Canceled && code != codes.DeadlineExceeded {
		return err
	}
	cause := ctx.Err()
	if d, ok := ctx.Deadline(); cause == nil && ok && code == codes.DeadlineExceeded && !time.Now().Before(d) {
		cause = context.DeadlineExceeded // the service kept the deadline and was faster than the context's own timer
	}
	if cause == nil {
		return err
	}
	return &endedError{err, cause}
}

// endedError is the status of a call that ended with its context. It is still a status to
// package status.
type endedError struct{ status, cause error }

func (e *endedError) Error() string              { return e.status.Error() }
func (e *endedError) GRPCStatus() *status.Status { return status.Convert(e.status) }
func (e *endedError) Unwrap() []error            { return []error{e.status, e.cause} }

// held makes a status of the error of a call that was held back.
func held(err error) error { return &heldError{err} }

type heldError struct{ throttled error }

func (e *heldError) Error() string { return e.throttled.Error() }
func (e *heldError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, e.throttled.Error())
}
func (e *heldError) Unwrap() error { return e.throttled }
