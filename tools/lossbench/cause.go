package lossbench

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"google.golang.org/grpc/status"
)

// stepError says in which step of a request something failed.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }

func (e *stepError) Unwrap() error { return e.err }

func at(step string, err error) error { return &stepError{step, err} }

// causeOf is a short text for why a request failed, the same for all failures of a kind.
func causeOf(err error) string {
	if e, ok := errors.AsType[*stepError](err); ok {
		return e.step + ": " + causeOf(e.err)
	}
	if s, ok := status.FromError(err); ok {
		return s.Code().String() + ": " + fromText(s.Message())
	}
	for _, known := range []struct {
		err  error
		text string
	}{
		{syscall.ECONNREFUSED, "refused"},
		{syscall.ECONNRESET, "reset"},
		{syscall.EPIPE, "broken pipe"},
		{io.ErrUnexpectedEOF, "cut off"},
		{os.ErrDeadlineExceeded, "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{net.ErrClosed, "closed"},
	} {
		if errors.Is(err, known.err) {
			return known.text
		}
	}
	return fromText(err.Error())
}

// maxCause bounds the length of a cause.
const maxCause = 60

// fromText is for libraries that tell an error's cause in its text only.
func fromText(text string) string {
	for _, known := range []struct{ part, text string }{
		{"sent twice", "sent twice"},
		{"cannot retry", "refused by GOAWAY, body cannot be sent again"},
		{"GOAWAY", "GOAWAY"},
		{"connection refused", "refused"},
		{"connection reset", "reset"},
		{"broken pipe", "broken pipe"},
		{"unexpected EOF", "cut off"},
		{"EOF", "EOF"},
		{"deadline", "timeout"},
		{"use of closed", "closed"},
	} {
		if strings.Contains(text, known.part) {
			return known.text
		}
	}
	if len(text) > maxCause {
		text = "…" + strings.ToValidUTF8(text[len(text)-maxCause:], "")
	}
	return text
}
