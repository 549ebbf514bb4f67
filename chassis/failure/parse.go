package failure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// maxProblem bounds what is read of an answer, in bytes. Ours are below 20 KiB.
const maxProblem = 64 << 10

const blankType = "about:blank"

// ErrNoProblem is the error of [ReadProblem] for an answer that is not a problem document.
var ErrNoProblem = errors.New("not a problem document")

// ParseProblem reads a problem document of any maker, up to the end of r and at most 64 KiB.
//
// As RFC 9457 demands, unknown members and members of a wrong type are ignored, and an absent type
// is about:blank. So are a status that is not from 100 to 599, a code below 1 and a class that is not
// known. What is not a JSON object, or is larger, is an error.
func ParseProblem(r io.Reader) (*Problem, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxProblem+1))
	if err != nil {
		return nil, fmt.Errorf("read problem document: %w", err)
	}
	if len(body) > maxProblem {
		return nil, fmt.Errorf("read problem document: more than %d bytes", maxProblem)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, fmt.Errorf("parse problem document: %w", err)
	}
	if members == nil {
		return nil, errors.New("parse problem document: null is no JSON object")
	}
	p := &Problem{
		Type:      member[string](members, "type"),
		Title:     member[string](members, "title"),
		Status:    member[int](members, "status"),
		Detail:    member[string](members, "detail"),
		Instance:  member[string](members, "instance"),
		Set:       member[string](members, "set"),
		Code:      max(member[int](members, "code"), 0),
		Class:     member[Class](members, "class"),
		Retryable: member[bool](members, "retryable"),
		ID:        member[string](members, "id"),
		Args:      member[map[string]string](members, "args"),
	}
	if p.Type == "" {
		p.Type = blankType
	}
	if p.Status < 100 || p.Status > 599 {
		p.Status = 0
	}
	if len(p.Args) == 0 {
		p.Args = nil
	}
	return p, nil
}

// member is a member of a document, or the zero value if it is absent or of another type.
func member[T any](members map[string]json.RawMessage, name string) T {
	var value, zero T
	if err := json.Unmarshal(members[name], &value); err != nil {
		return zero
	}
	return value
}

// ReadProblem is a server's answer as a problem: its body if that is a problem document, with the
// status and Retry-After of the answer itself. It reads at most 64 KiB and leaves closing the body to
// the caller.
//
// The problem is never nil. When the answer is something else, such as the error page of a proxy, the
// error says so (errors.Is [ErrNoProblem] if its Content-Type is another), and the problem tells what
// the header does.
func ReadProblem(resp *http.Response) (*Problem, error) {
	p, err := readBody(resp)
	if err != nil {
		p = &Problem{Type: blankType, Title: http.StatusText(resp.StatusCode)}
	}
	p.Status = resp.StatusCode
	p.RetryAfter = retryAfter(resp.Header)
	return p, err
}

func readBody(resp *http.Response) (*Problem, error) {
	given := resp.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(given); err != nil || media != ContentType {
		return nil, fmt.Errorf("answer %d with content type %q: %w", resp.StatusCode, given, ErrNoProblem)
	}
	p, err := ParseProblem(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("answer %d: %w", resp.StatusCode, err)
	}
	return p, nil
}

// retryAfter reads the header of RFC 9110 in both its forms; a date counts from the answer's own
// Date, so that no clock of ours matters. What cannot be read, or lies in the past, is 0.
func retryAfter(h http.Header) time.Duration {
	given := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(given, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(given)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(until.Sub(from), 0)
}
