package aggregate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"reflect"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// The bounds of a sample, in bytes of text. A failure itself is not kept: its causes may hold on to
// anything, a request's body say. Every group has two samples at most, and 64 more wait for a sink,
// which makes 13 MiB when all of them are as large as they can be.
const (
	maxSample  = 12 << 10 // all of it
	maxName    = 128      // an id, a listener, a protocol or a method
	maxPlace   = 512      // a place or a route
	maxMessage = 1 << 10
	maxArgs    = 2 << 10 // keys and values together; of more, the last are left out
	maxStack   = 6 << 10 // functions and files together; of more, the outermost are left out
)

// sampled is a failure as it may leave the process, and its code.
type sampled struct {
	Sample
	code *failure.Code
}

// sampleOf is what may be kept of a failure.
func (a *Aggregator) sampleOf(o *Occurrence) *sampled {
	f := o.Error
	trace := f.Stack()
	s := Sample{
		ID: clip(o.ID, maxName), RequestID: clip(o.RequestID, maxName), Listener: clip(o.Listener, maxName), Protocol: clip(o.Protocol, maxName),
		Method: knownMethod(o.Method), Route: clip(o.Route, maxPlace), Time: o.Time, Panic: trace != "", Message: clip(message(f), maxMessage),
	}
	if o.User != "" {
		mac := hmac.New(sha256.New, a.cfg.Salt)
		_, _ = io.WriteString(mac, o.User)
		s.User = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	if o.TraceID != [16]byte{} {
		s.TraceID = hex.EncodeToString(o.TraceID[:])
	}
	if o.Protocol != "" {
		s.Status = f.HTTPStatus()
	}
	left := maxArgs
	for _, arg := range f.Args() {
		if !arg.Safe || quotes(f.Code()) {
			arg.Value = Redacted
		}
		if left -= len(arg.Key) + len(arg.Value); left < 0 {
			break
		}
		s.Args = append(s.Args, Arg{arg.Key, arg.Value})
	}
	if s.Panic {
		s.Stack = a.sites.parsed(trace)
	} else {
		s.Stack = a.sites.frames(f.Callers())
	}
	return &sampled{s, f.Code()}
}

// clip is the beginning of text, which does not hold on to the memory of the rest, or of what text was a
// part of.
func clip(text string, most int) string {
	if len(text) <= most {
		return strings.Clone(text)
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}

// quotes tells codes whose arguments are the caller's own words, a path or a method: safe to say to that
// caller, and nothing to keep.
func quotes(code *failure.Code) bool {
	return code == failure.UnknownRoute || code == failure.MethodNotAllowed
}

// maxChain bounds how far a chain of errors is followed.
const maxChain = 8

// message is what may be told of a failure: its code's words, its safe arguments, and the types of its
// causes. What a cause says may hold anything, but for what the runtime itself says of a panic.
func message(f *failure.Error) string {
	text := f.Detail()
	if quotes(f.Code()) {
		text = f.Code().Message()
	}
	cause := f.Unwrap()
	for n := 0; cause != nil && n < maxChain; n++ {
		if t := typeOf(cause); t != "" {
			text += ": " + t
		}
		cause = wary.Cause(cause)
	}
	return text
}

// typeOf names an error by its type, or by what it says if the runtime made it or its code is declared; it
// is empty for wrappers that everybody uses.
func typeOf(err error) string {
	if f, ok := err.(*failure.Error); ok && f != nil {
		return f.Code().Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if wary.Is(known, err) {
			return known.Error()
		}
	}
	t := reflect.TypeOf(err)
	elem := t
	if t.Kind() == reflect.Pointer {
		elem = t.Elem()
	}
	switch elem.PkgPath() {
	case "runtime":
		return wary.Text(err)
	case "errors", "fmt":
		return ""
	case reflect.TypeFor[failure.Error]().PkgPath():
		if elem.Name() != "panicked" {
			break
		}
		if text := wary.Text(err); strings.HasPrefix(text, "goroutine ended") {
			return text
		}
		return "panic"
	}
	return t.String()
}
