package fake

import (
	"fmt"
	"strconv"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Failure is what a call is answered in place of its result. Make one with [Code] or
// [HTTPStatus]; the zero Failure is none. Failures are comparable.
type Failure struct {
	code   int
	status int
	retry  bool
	after  time.Duration
}

// Code is the failure with this number: one of the service's, or below 1000 one of the
// chassis's. It is answered exactly as when a handler returns it, but for arguments, which
// only a handler knows.
func Code(number int) Failure { return Failure{code: number} }

// HTTPStatus is a failure with this HTTP status, 400 to 599, and over gRPC with the code that
// belongs to it (503: UNAVAILABLE, 404: NOT_FOUND, 429: RESOURCE_EXHAUSTED, …). Its failure
// code is the chassis's for injected faults; no service answers so by itself. Where it does,
// [Code] shows the client more: Code(503) is what the chassis says when it is overloaded.
func HTTPStatus(status int) Failure { return Failure{status: status} }

// After is the same failure that also tells callers to try again after d, by Retry-After or
// google.rpc.RetryInfo. A negative d is 0, which says that they may, and not when.
func (f Failure) After(d time.Duration) Failure {
	f.retry, f.after = true, max(d, 0)
	return f
}

// String is the failure in words.
func (f Failure) String() string {
	var s string
	switch {
	case f.code != 0:
		s = "code " + strconv.Itoa(f.code)
	case f.status != 0:
		s = "HTTP status " + strconv.Itoa(f.status)
	default:
		return "nothing"
	}
	if f.retry {
		s += fmt.Sprintf(", retry after %v", f.after)
	}
	return s
}

// resolve is the error that a handler would return, nil for the zero Failure.
func (f Failure) resolve(sets []*failure.Set) (*failure.Error, error) {
	var e *failure.Error
	switch {
	case f == Failure{}:
		return nil, nil
	case f.code != 0:
		code := lookup(sets, f.code)
		if code == nil {
			return nil, fmt.Errorf("there is no failure code %d: declared are %s", f.code, list(numbers(sets)))
		}
		e = code.New()
	case f.status < 400 || f.status > 599:
		return nil, fmt.Errorf("HTTP status %d is no failure: want 400 to 599", f.status)
	default:
		e = failure.Injected.With("status", failure.Safe(f.status)).WithStatus(f.status)
	}
	if f.retry {
		e = e.After(f.after)
	}
	return e, nil
}

func lookup(sets []*failure.Set, number int) *failure.Code {
	for _, s := range sets {
		if code, ok := s.Lookup(number); ok {
			return code
		}
	}
	return nil
}

func numbers(sets []*failure.Set) []string {
	var all []string
	for _, s := range sets {
		for _, c := range s.Codes() {
			all = append(all, fmt.Sprintf("%d (%s)", c.Number(), c.Message()))
		}
	}
	return all
}
