package spool

import (
	"fmt"
	"time"
)

// A RefusedError says that the receiver will never take a record.
type RefusedError struct{ Err error }

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %v", e.Err) }

// Unwrap returns why.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refused says that the receiver will never take the record: it is parked at once, with err as the
// reason.
func Refused(err error) error { return &RefusedError{err} }

// An UnavailableError says that the receiver seems to be at fault and not the record.
type UnavailableError struct {
	Err     error
	After   time.Duration // how long the receiver asks to wait
	Untried bool          // the record was not sent at all
}

// Error implements error.
func (e *UnavailableError) Error() string {
	if e.Untried {
		return fmt.Sprintf("not tried: %v", e.Err)
	}
	return fmt.Sprintf("receiver unavailable: %v", e.Err)
}

// Unwrap returns why.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Unavailable says that the record was tried and that it seems to be the receiver that failed: nothing
// is delivered before after has passed, if that is longer than the back-off. A record that says so again
// and again, while others get through, is at fault all the same; [Pump] tells how that is found out.
func Unavailable(err error, after time.Duration) error {
	return &UnavailableError{Err: err, After: after}
}

// Untried says that a record was not sent, because the receiver failed before it came to it. Otherwise it
// is like Unavailable.
func Untried(err error, after time.Duration) error {
	return &UnavailableError{Err: err, After: after, Untried: true}
}
