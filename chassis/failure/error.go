package failure

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

const (
	maxArguments = 16
	maxValue     = 256 // bytes
)

// An Error is one occurrence of a [Code], with arguments and a cause. Errors never change: the
// methods that add something return a copy, so one may be kept and shared between goroutines.
//
// errors.Is(err, code) matches an Error by its code, and errors.Is and errors.As look on in its
// cause. Make Errors with the methods of Code, or from any error with [From]; the zero Error has no
// code and must not be used.
type Error struct {
	code    *Code
	args    []Argument
	omitted int // arguments beyond maxArguments
	cause   error
	retry   *time.Duration // set by After
	status  int            // set by WithStatus
	callers []uintptr      // where it was made; nil if that is not kept

	// inner is what From found inside cause and made this Error of, if cause says more around it.
	inner *Error
}

// An Arg is a value for [Error.With] that is marked as [Safe] or [Private].
type Arg struct {
	text string
	safe bool
}

// Safe marks a value that may leave the process: clients see it. Like every argument it is turned
// into text here and now, and cut after 256 bytes.
func Safe(v any) Arg { return Arg{text: textOf(v), safe: true} }

// Private marks a value that only the log may show. A plain value means the same; Private says it
// aloud.
func Private(v any) Arg { return Arg{text: textOf(v)} }

// An Argument is what an Error keeps of one call of With.
type Argument struct {
	Key   string // bounded like Value
	Value string // valid UTF-8, at most 256 bytes and an ellipsis
	Safe  bool   // whether clients may see it
}

// With is a copy of e with one more argument: an [Arg], or a plain value, which is taken as
// [Private]. The value is turned into text at once, so later changes of it do not matter. An Error
// keeps 16 arguments; of further ones it tells in the log how many there were.
func (e *Error) With(key string, value any) *Error {
	with := *e
	if len(e.args) == maxArguments {
		with.omitted++
		return &with
	}
	arg, ok := value.(Arg)
	if !ok {
		arg = Private(value)
	}
	with.args = append(slices.Clip(e.args), Argument{Key: cut(key), Value: arg.text, Safe: arg.safe})
	return &with
}

// Wrap is a copy of e with err as its cause, for the log and for errors.Is and errors.As; clients
// never see it. An earlier cause is kept beside it. Wrapping nil adds nothing.
func (e *Error) Wrap(err error) *Error {
	if err == nil {
		return e
	}
	with := *e
	with.cause = err
	if e.cause != nil {
		with.cause = fmt.Errorf("%w; %w", e.cause, err)
	}
	return &with
}

// After is a copy of e that tells callers to try again after d, also if its code is not declared
// retryable: a limiter knows better than a declaration how long it will take. A negative d is 0,
// which leaves the wait to the caller.
func (e *Error) After(d time.Duration) *Error {
	with := *e
	d = max(d, 0)
	with.retry = &d
	return &with
}

// WithStatus is a copy of e that is answered with another HTTP status than its code declares, 400
// to 599, and with the gRPC code that belongs to that status. Everything else stays as the code says.
// It is for [Injected], whose faults have the status that a test asks for; a status out of bounds
// is 500.
func (e *Error) WithStatus(status int) *Error {
	with := *e
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	with.status = status
	return &with
}

// HTTPStatus is what an HTTP answer has: that of the code, unless WithStatus gave another.
func (e *Error) HTTPStatus() int {
	if e.status != 0 {
		return e.status
	}
	return e.code.status
}

// GRPCCode is what a gRPC answer has: that of the code, unless WithStatus gave another.
func (e *Error) GRPCCode() GRPC {
	if e.status != 0 {
		return grpcOf(e.status)
	}
	return e.code.grpc
}

// Code is what e is an occurrence of.
func (e *Error) Code() *Code { return e.code }

// Failure is e itself; it makes an Error a [Failer].
func (e *Error) Failure() *Error { return e }

// Args are the arguments in the order in which they were added. The slice is the caller's own.
func (e *Error) Args() []Argument { return slices.Clone(e.args) }

// Retryable reports whether the same request may be sent again; see [Code.Retryable] and
// [Error.After].
func (e *Error) Retryable() bool { return e.retry != nil || e.code.retryable }

// RetryAfter is how long a caller should wait before it tries again; 0 leaves that to the caller.
func (e *Error) RetryAfter() time.Duration {
	if e.retry != nil {
		return *e.retry
	}
	return e.code.retryAfter
}

// Unwrap is the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is e's code; errors.Is calls it.
func (e *Error) Is(target error) bool {
	c, ok := target.(*Code)
	return ok && e != nil && c == e.code
}

// Error is everything about e, for the log: set, number, message, all arguments, cause. It must not
// be sent to clients; [Error.Detail] is for them. Of a cause whose Error method panics it says so.
func (e *Error) Error() string {
	var b strings.Builder
	if e.inner != nil {
		// Most wrappers say what they wrap; it need not be said twice.
		if text := wary.Text(e.cause); strings.Contains(text, e.inner.Error()) {
			b.WriteString(text)
			writeArgs(&b, e.args[len(e.inner.args):], e.omitted-e.inner.omitted)
			return b.String()
		}
	}
	b.WriteString(e.code.Error())
	writeArgs(&b, e.args, e.omitted)
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(wary.Text(e.cause))
	}
	return b.String()
}

// Detail is e in the words that clients may read: the declared message and the safe arguments.
func (e *Error) Detail() string {
	var b strings.Builder
	b.WriteString(e.code.message)
	writeArgs(&b, slices.DeleteFunc(e.Args(), func(a Argument) bool { return !a.Safe }), 0)
	return b.String()
}

// Stack is the stack of the panic that e was made from by [Recovered], and empty for others.
func (e *Error) Stack() string {
	if p, ok := wary.As[*panicked](e.cause); ok {
		return p.stack
	}
	return ""
}

func writeArgs(b *strings.Builder, args []Argument, omitted int) {
	before, after := " (", ""
	for _, a := range args {
		b.WriteString(before)
		b.WriteString(quoted(a.Key))
		b.WriteByte('=')
		b.WriteString(quoted(a.Value))
		before, after = ", ", ")"
	}
	if omitted > 0 {
		fmt.Fprintf(b, "%s%d more", before, omitted)
		after = ")"
	}
	b.WriteString(after)
}

// textOf is v as text. The common types avoid fmt; []byte is text rather than numbers.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return cut(v)
	case []byte:
		return cut(string(v[:min(len(v), maxValue+1)]))
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return cut(fmt.Sprint(v))
}

// cut is s in valid UTF-8 (a question mark, because that never makes it longer) and, if it is longer than maxValue, its beginning and an ellipsis, which
// does not hold on to the memory of the rest.
func cut(s string) string {
	if len(s) <= maxValue {
		return strings.ToValidUTF8(s, "?")
	}
	end := maxValue
	for end > maxValue-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.ToValidUTF8(s[:end], "?") + "…"
}

// quoted is s, in quotation marks unless it reads unmistakably without.
func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return strings.ContainsRune(` "'=,;()`, r) || !unicode.IsPrint(r)
	}) {
		return strconv.Quote(s)
	}
	return s
}

// printable is s on one line: what is not printable becomes a space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}
