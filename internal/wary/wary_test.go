package wary_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// nilError is an error whose methods cannot be called on nil.
type nilError struct{ err error }

func (e *nilError) Error() string        { return e.err.Error() }
func (e *nilError) Unwrap() error        { return e.err }
func (e *nilError) Is(target error) bool { return e.err == target }
func (e *nilError) As(any) bool          { panic(e) }

// several wraps many.
type several []error

func (s several) Error() string   { return s[0].Error() }
func (s several) Unwrap() []error { return s[:] }

func TestAnErrorThatPanicsSaysNothing(t *testing.T) {
	for _, err := range []error{(*nilError)(nil), errors.Join((*nilError)(nil), io.EOF), fmt.Errorf("read: %w", (*nilError)(nil))} {
		if wary.Is(err, context.Canceled) {
			t.Errorf("%T is something", err)
		}
		if _, ok := wary.As[several](err); ok {
			t.Errorf("%T has something", err)
		}
	}
	if cause := wary.Cause((*nilError)(nil)); cause != nil {
		t.Errorf("it wraps %v", cause)
	}
	if got := wary.Text((*nilError)(nil)); got != "*wary_test.nilError, whose Error method panicked: runtime error: invalid memory address or nil pointer dereference" {
		t.Errorf("it says %q", got)
	}
	if got := wary.Text(several{(*nilError)(nil)}); got != "wary_test.several, whose Error method panicked: runtime error: invalid memory address or nil pointer dereference" {
		t.Errorf("one around it says %q", got)
	}
}

func TestAnErrorThatDoesNotPanicIsAsItIs(t *testing.T) {
	err := fmt.Errorf("read: %w", &nilError{io.EOF})
	if !wary.Is(err, io.EOF) || wary.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v is %v, %v", err, wary.Is(err, io.EOF), wary.Is(err, io.ErrUnexpectedEOF))
	}
	if found, ok := wary.As[*nilError](err); !ok || found.err != io.EOF {
		t.Errorf("found %v, %v", found, ok)
	}
	if got := wary.Text(err); got != "read: EOF" {
		t.Errorf("it says %q", got)
	}
	if got := wary.Text(nil); got != "<nil>" {
		t.Errorf("none says %q", got)
	}
	for want, err := range map[error]error{io.EOF: several{nil, io.EOF, io.ErrNoProgress}, io.ErrNoProgress: &nilError{io.ErrNoProgress}, nil: io.EOF} {
		if got := wary.Cause(err); got != want {
			t.Errorf("%v wraps %v, want %v", err, got, want)
		}
	}
	if got := wary.Cause(several{nil}); got != nil {
		t.Errorf("nothing is %v", got)
	}
}
