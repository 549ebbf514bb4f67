package report

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// A Hit is what a line tells of a request. Its texts are parts of the line, with the escapes that stand
// there; they are nil for what the line does not tell. Numbers are -1 then.
type Hit struct {
	Client    []byte
	Method    []byte
	Target    []byte // path, with the query if there is one; all of a request line that is none
	Route     []byte // the pattern that matched
	RequestID []byte
	ErrorID   []byte
	Time      int64 // µs since 1970, valid if the layout is dated
	Taken     int64 // µs
	Bytes     int64
	Status    int
	Failure   int
	GRPC      int
}

// A LineError says why a line was not understood.
type LineError struct {
	Column int // in bytes from 1
	Reason string
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// A LineReader reads lines of one layout. It is not safe for concurrent use: it keeps the latest time, which
// under load thousands of lines share.
type LineReader struct {
	layout *Layout
	said   []byte // the latest time as it was written
	time   int64
}

// NewLineReader returns a reader of l's lines.
func NewLineReader(l *Layout) *LineReader { return &LineReader{layout: l} }

// maxYear bounds times: after it, plots would have no other use.
const maxYear = 9999

// Read reads a line without its line break into h. The error is a *LineError, and h is not to be used then.
func (r *LineReader) Read(line []byte, h *Hit) error {
	*h = Hit{Time: -1, Taken: -1, Bytes: -1, Failure: -1, GRPC: -1}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	at := 0
	var sent int64 = -1
	for i := range r.layout.fields {
		f := &r.layout.fields[i]
		if !startsWith(line[at:], f.text) {
			return wrong(at, "want %q and %s", f.text, f.name)
		}
		at += len(f.text)
		end := f.end(line, at)
		if end < 0 {
			if f.closing == "" {
				return wrong(at, "%s is not followed by the end of the line", f.name)
			}
			return wrong(at, "%s is not followed by %q", f.name, f.closing)
		}
		if f.kind != kindOther {
			if err := r.note(h, f, line[at:end], at, &sent); err != nil {
				return err
			}
		}
		at = end
	}
	if rest := line[at:]; string(rest) != r.layout.tail {
		if r.layout.tail != "" {
			return wrong(at, "want %q and the end of the line, got %s", r.layout.tail, quote(rest))
		}
		return wrong(at, "want the end of the line, got %s: is that all of the format?", quote(rest))
	}
	if h.Bytes < 0 {
		h.Bytes = sent
	}
	return nil
}

func startsWith(line []byte, text string) bool {
	return len(line) >= len(text) && string(line[:len(text)]) == text
}

func wrong(at int, format string, args ...any) error {
	return &LineError{Column: at + 1, Reason: fmt.Sprintf(format, args...)}
}

// end is where the field ends that begins at a place of a line, -1 if it does not.
func (f *field) end(line []byte, at int) int {
	switch {
	case f.bracketed():
		if at == len(line) || line[at] != '[' {
			if at < len(line) && line[at] == '-' {
				return at + 1
			}
			return -1
		}
		if n := bytes.IndexByte(line[at:], ']'); n >= 0 {
			return at + n + 1
		}
		return -1
	case f.closing == "":
		return len(line)
	case f.closing[0] == '"':
		return quoted(line, at)
	}
	if f.kind == kindRoute {
		at += methodBefore(line[at:])
	}
	for skip := f.skip; ; skip-- {
		n := index(line[at:], f.closing)
		if n < 0 {
			return -1
		}
		at += n
		if skip == 0 {
			return at
		}
		at += len(f.closing)
	}
}

// methodBefore is the length of the method and the space in front of a pattern of net/http (GET /games/{id}),
// which formats may have without quotes, 0 if there is none.
func methodBefore(text []byte) int {
	n := 0
	for n < len(text) && n < maxMethod && 'A' <= text[n] && text[n] <= 'Z' {
		n++
	}
	if n > 0 && bytes.HasPrefix(text[n:], []byte(" /")) {
		return n + 1
	}
	return 0
}

// index is where text begins in line, -1 if nowhere.
func index(line []byte, text string) int {
	for from := 0; ; from++ {
		n := bytes.IndexByte(line[from:], text[0])
		if n < 0 {
			return -1
		}
		if from += n; startsWith(line[from:], text) {
			return from
		}
	}
}

// quoted is where the next quote without a backslash before it stands, -1 if nowhere.
func quoted(line []byte, at int) int {
	n := bytes.IndexByte(line[at:], '"')
	if n < 0 {
		return -1
	}
	if bytes.IndexByte(line[at:at+n], '\\') < 0 {
		return at + n
	}
	for ; at < len(line); at++ {
		switch line[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return -1
}

// note notes what a field tells. It stands at a place of the line.
func (r *LineReader) note(h *Hit, f *field, text []byte, at int, sent *int64) error {
	if len(text) == 0 || len(text) == 1 && text[0] == '-' {
		if f.kind == kindTime {
			return wrong(at, "%s: want a time, got %s", f.name, quote(text))
		}
		if f.kind == kindBytes {
			h.Bytes = 0 // %b has no other way to write it
		}
		return nil
	}
	switch f.kind {
	case kindClient:
		h.Client = text
	case kindTime:
		return r.when(h, f, text, at)
	case kindLine:
		h.line(text)
	case kindMethod:
		h.Method = text
	case kindTarget:
		if h.Target == nil {
			h.Target = text
		}
	case kindRoute:
		h.Route = text
	case kindRequest:
		h.RequestID = text
	case kindError:
		h.ErrorID = text
	case kindTaken:
		us, ok := parseDecimal(text, places(f.unit))
		if !ok || us > 1<<62 {
			return wrong(at, "%s: want how long it took in %s, or -, got %s", f.name, unitName(f.unit), quote(text))
		}
		h.Taken = int64(us)
	default:
		return h.number(f, text, at, sent)
	}
	return nil
}

// number notes a whole number.
func (h *Hit) number(f *field, text []byte, at int, sent *int64) error {
	var most int64 = 1 << 31
	switch f.kind {
	case kindStatus:
		most = 999
	case kindBytes, kindSent:
		most = 1 << 60
	}
	var n int64
	for _, c := range text {
		if !isDigit(c) {
			return wrong(at, "%s: want a number or -, got %s", f.name, quote(text))
		}
		if n = n*10 + int64(c-'0'); n > most {
			return wrong(at, "%s: want at most %d, got %s", f.name, most, quote(text))
		}
	}
	switch f.kind {
	case kindStatus:
		h.Status = int(n)
	case kindBytes:
		h.Bytes = n
	case kindSent:
		*sent = n
	case kindFailure:
		h.Failure = int(n)
	case kindGRPC:
		h.GRPC = int(n)
	}
	return nil
}

// line takes a request line apart. A target has no spaces; where there is no method before it, and one
// behind, all of the text is the target.
func (h *Hit) line(text []byte) {
	method := bytes.IndexByte(text, ' ')
	if method <= 0 {
		h.Target = text
		return
	}
	rest := text[method+1:]
	if end := bytes.LastIndexByte(rest, ' '); end > 0 {
		rest = rest[:end]
	}
	h.Method, h.Target = text[:method], rest
}

// when reads a time.
func (r *LineReader) when(h *Hit, f *field, text []byte, at int) error {
	if bytes.Equal(text, r.said) {
		h.Time = r.time
		return nil
	}
	t, err := f.clock(string(text))
	if err == nil && (t.Year() < 0 || t.Year() > maxYear) {
		err = fmt.Errorf("the year %d is none of a log", t.Year())
	}
	if err != nil {
		return wrong(at, "%s: %s is no time that it shows: %s", f.name, quote(text), reason(err))
	}
	r.said, r.time = append(r.said[:0], text...), t.UnixMicro()
	h.Time = r.time
	return nil
}

// reason is what went wrong, without what was read, which stands before it.
func reason(err error) string {
	text := err.Error()
	if e, ok := err.(*time.ParseError); ok {
		text = strings.TrimPrefix(e.Message, ": ")
		if text == "" {
			text = fmt.Sprintf("%q is not like %q", e.ValueElem, e.LayoutElem)
		}
	}
	return strings.TrimPrefix(text, "parse access line: ")
}

// places are the decimal places that make µs of a unit.
func places(unit time.Duration) int {
	switch unit {
	case time.Second:
		return 6
	case time.Millisecond:
		return 3
	}
	return 0
}

func unitName(unit time.Duration) string {
	return map[time.Duration]string{time.Second: "seconds", time.Millisecond: "milliseconds", time.Microsecond: "microseconds"}[unit]
}
