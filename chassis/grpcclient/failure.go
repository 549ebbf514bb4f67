package grpcclient

import (
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Failure is what a service on the chassis says of a call that failed.
type Failure struct {
	Set        string            // whose code it is
	Code       int               // the failure's number in the set
	Class      failure.Class     // whose fault it is, seen from the service that was called
	ID         string            // the error id, by which that service's log is searched
	Message    string            // for the caller's eyes
	Args       map[string]string // what the service says beside the message
	Status     codes.Code
	Retryable  bool
	RetryAfter time.Duration // 0 when the service names no time
}

// FailureOf reads the failure that err carries. It is false for errors of the transport, such
// as a service that cannot be reached, and for statuses of services that are not on the chassis.
func FailureOf(err error) (Failure, bool) {
	carrier, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return Failure{}, false
	}
	st := carrier.GRPCStatus()
	f := Failure{Status: st.Code(), Message: st.Message()}
	found := false
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			number, err := strconv.Atoi(d.Metadata["code"])
			if err != nil || number < 1 {
				continue
			}
			found = true
			f.Set, f.Code, f.ID = d.Domain, number, d.Metadata["id"]
			f.Retryable = d.Metadata["retryable"] == "true"
			_ = f.Class.UnmarshalText([]byte(d.Metadata["class"])) // an unknown class is none
			f.Args = map[string]string{}
			for key, value := range d.Metadata {
				switch key {
				case "code", "class", "id", "retryable":
				default:
					f.Args[key] = value
				}
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = max(d.RetryDelay.AsDuration(), 0)
		}
	}
	if !found {
		return Failure{}, false
	}
	return f, true
}

// CodeOf names the failure code that err carries: what a call returned, or else what [failure.CodeOf] finds.
func CodeOf(err error) (failure.Ref, bool) {
	if ref, ok := failure.CodeOf(err); ok {
		return ref, true
	}
	f, ok := FailureOf(err)
	return failure.Ref{Set: f.Set, Number: f.Code}, ok
}
