package request

import (
	"encoding/hex"
	"io"
)

// Trace is a place in a distributed trace: the trace, the span of this hop, the flags. The
// zero Trace is no trace.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte // bit 0: sampled
}

// NewTrace begins a trace with ids read from rand; it is not sampled.
func NewTrace(rand io.Reader) Trace {
	var random [24]byte // whole, because every request without a trace begins one
	read(rand, random[:])
	return newTrace(&random)
}

func newTrace(random *[24]byte) Trace {
	t := Trace{TraceID: [16]byte(random[:16]), SpanID: [8]byte(random[16:])}
	if t.TraceID == [16]byte{} {
		t.TraceID[15] = 1 // ids of zeros are invalid
	}
	t.SpanID[7] |= 1
	return t
}

// Child is the place one hop further on: the same trace and flags, a new span. No trace has no
// child: that of the zero Trace is zero.
func (t Trace) Child(rand io.Reader) Trace {
	if t.IsZero() {
		return t
	}
	var span [8]byte
	read(rand, span[:])
	return t.child(span)
}

func (t Trace) child(span [8]byte) Trace {
	if t.IsZero() {
		return t
	}
	span[7] |= 1
	t.SpanID = span
	return t
}

// IsZero reports whether t is no trace.
func (t Trace) IsZero() bool { return t == Trace{} }

// Sampled is the trace id when somebody keeps the trace, and zero otherwise: W3C Trace Context,
// section 3.2.2.5.1.
func (t Trace) Sampled() [16]byte {
	if t.Flags&1 == 0 {
		return [16]byte{}
	}
	return t.TraceID
}

// Header is t as a traceparent header of version 00, 55 characters.
func (t Trace) Header() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.SpanID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{t.Flags})
	return string(b)
}

// ParseTrace reads a traceparent header as the recommendation prescribes: lower-case
// hexadecimal, ids of zeros refused, versions above 00 read as far as they are known,
// version ff refused. It reports false when the header is to be ignored.
func ParseTrace(header string) (Trace, bool) {
	var t Trace
	var version [1]byte
	var flags [1]byte
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' ||
		!unhex(version[:], header[:2]) || !unhex(t.TraceID[:], header[3:35]) ||
		!unhex(t.SpanID[:], header[36:52]) || !unhex(flags[:], header[53:55]) {
		return Trace{}, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(header) != 55, len(header) > 55 && header[55] != '-':
		return Trace{}, false
	case t.TraceID == [16]byte{}, t.SpanID == [8]byte{}:
		return Trace{}, false
	}
	t.Flags = flags[0] & 1 // the other bits are reserved and must be sent as 0
	return t, true
}

func unhex(dst []byte, src string) bool {
	for i := range dst {
		high, low := digit(src[2*i]), digit(src[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digit is the value of a lower-case hexadecimal digit, above 15 when it is none.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 16
}
