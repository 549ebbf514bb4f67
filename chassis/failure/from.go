package failure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// A Failer is an error that knows its failure code. Other rooms implement it for error types of
// their own, say a queue for its rejections, so that [From] needs no list of them. Failure
// must not return nil, and need not wrap the receiver: From does.
type Failer interface {
	error
	Failure() *Error
}

// From is err as a failure, whatever err is; nil for nil.
//
// The outermost [Failer] in err's chain decides: an *Error, a bare *Code, or another type. If err
// says more around it, as fmt.Errorf("join game %s: %w", id, errColumnFull) does, that stays in the
// log's text. Without one, these errors have codes of the chassis:
//
//	*http.MaxBytesError        TooLarge, with the limit as a safe argument
//	context.DeadlineExceeded   DeadlineExceeded
//	context.Canceled           CallerLeft
//
// and everything else is [Unclassified], with err as its cause. The code of an error that cancelled
// work inside the service, though nobody left, is for the service to say by wrapping it.
//
// An error whose own methods panic, such as a nil pointer in an error interface, is taken for what can be
// found out without them.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if found, ok := wary.As[Failer](err); ok {
		return fromFailer(err, found)
	}
	if large, ok := wary.As[*http.MaxBytesError](err); ok {
		return TooLarge.With("limit", Safe(large.Limit)).Wrap(err)
	}
	if wary.Is(err, context.DeadlineExceeded) {
		return DeadlineExceeded.Wrap(err)
	}
	if wary.Is(err, context.Canceled) {
		return CallerLeft.Wrap(err)
	}
	return unknown(err)
}

// unknown is err, which nobody gave a code.
func unknown(err error) *Error { return Unclassified.Failure().Wrap(err) }

// fromFailer is err as a failure, given the outermost Failer in its chain.
func fromFailer(err error, found Failer) *Error {
	switch f := found.(type) {
	case *Error:
		// A nil pointer in an error interface is not nil, a mistake that must not look like success.
		if f == nil {
			return unknown(errors.New("a nil *failure.Error was returned as an error"))
		}
		if err == found {
			return f
		}
		return f.around(err)
	case *Code:
		if f == nil {
			return unknown(errors.New("a nil *failure.Code was returned as an error"))
		}
		if err == found {
			return f.Failure()
		}
		return f.Failure().around(err)
	}
	e := failureOf(found)
	if e == nil {
		return unknown(err)
	}
	if wary.Is(e, err) {
		return e
	}
	return e.Wrap(err)
}

// failureOf is what f says, nil if it panics.
func failureOf(f Failer) (e *Error) {
	defer func() { _ = recover() }()
	return f.Failure()
}

// around is e with err, which wraps it, as the cause.
func (e *Error) around(err error) *Error {
	with := *e
	with.cause, with.inner = err, e
	return &with
}

const maxStack = 64 << 10

// panicked is the cause of a failure that was a panic.
type panicked struct {
	text  string
	err   error // the panic's value, if that was an error
	stack string
}

func (p *panicked) Error() string { return p.text }
func (p *panicked) Unwrap() error { return p.err }

// Recovered is a panic as a failure: [Unclassified], caused by v, what recover returned, whatever
// code v itself may carry. If v is an error, errors.Is and errors.As find it. The stack, of which
// the first 64 KiB are kept, is for the log ([Error.Stack]); runtime/debug.Stack gives it inside
// the deferred function that recovers.
//
// A nil v stands for a function that neither returned nor panicked: it called runtime.Goexit, as
// testing.T.FailNow does. (panic(nil) is recovered as a *runtime.PanicNilError.) A value that is
// http.ErrAbortHandler is not a failure but a request to cut the connection: the host panics with
// it again and does not come here.
func Recovered(v any, stack []byte) *Error {
	p := &panicked{stack: strings.ToValidUTF8(string(stack[:min(len(stack), maxStack)]), "?")}
	p.err, _ = v.(error)
	p.text = "goroutine ended by runtime.Goexit"
	if v != nil {
		p.text = "panic: " + cut(fmt.Sprint(v))
	}
	return unknown(p)
}
