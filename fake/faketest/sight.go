package faketest

import (
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// answer is a failure as a client sees it.
type answer struct {
	http       int // 0 over gRPC
	grpc       failure.GRPC
	code       int
	set        string
	class      failure.Class
	message    string
	retryable  bool
	retryAfter time.Duration
}

// differs says how an answer is not what its code declares.
func (a answer) differs(code failure.Description) error {
	after := time.Duration(code.RetryAfter * float64(time.Second))
	if a.http != 0 {
		// Retry-After knows whole seconds, and the gRPC status does not travel.
		after = (after + time.Second - 1).Truncate(time.Second)
		a.grpc = code.GRPCCode
	} else {
		a.http = code.HTTPStatus
	}
	want := answer{code.HTTPStatus, code.GRPCCode, code.Number, code.Set, code.Class, code.Message, code.Retryable, after}
	if a != want {
		return fmt.Errorf("answered %+v, want %+v", a, want)
	}
	return nil
}

// injected reports whether it is what a fault of that HTTP status answers: 404, 429 or 503.
func (a answer) injected(status int) bool {
	code := map[int]failure.GRPC{404: failure.GRPCNotFound, 429: failure.GRPCResourceExhausted, 503: failure.GRPCUnavailable}[status]
	return a.code == failure.Injected.Number() && (a.http == status || a.http == 0 && a.grpc == code)
}

// sight is what a client has seen of a call. It has a failure, when other and lost are nil; some other
// answer, a success above all, or no whole answer.
type sight struct {
	failure answer
	other   error // the answer, when it is not a failure as services on the chassis declare them
	lost    error // why there is no whole answer
	size    int   // of the body, or messages, in bytes
	took    time.Duration
}

// fault is the failure, or why there is none.
func (s sight) fault() (answer, error) {
	if s.lost != nil {
		return answer{}, s.lost
	}
	return s.failure, s.other
}

// String is what was seen, for an error message.
func (s sight) String() string {
	switch {
	case s.lost != nil:
		return fmt.Sprintf("no answer: %v", s.lost)
	case s.other != nil:
		return s.other.Error()
	}
	return fmt.Sprintf("%+v", s.failure)
}

// injected checks that the fault of an HTTP status was answered.
func (s sight) injected(status int) error {
	if got, err := s.fault(); err != nil || !got.injected(status) {
		return fmt.Errorf("the client saw %v, want the fault's HTTP status %d", s, status)
	}
	return nil
}

// isCode checks that a declared failure was answered.
func (s sight) isCode(code failure.Description) error {
	got, err := s.fault()
	if err != nil {
		return err
	}
	return got.differs(code)
}
