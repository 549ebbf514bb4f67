package fake

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// FaultHeader is the field of an HTTP header, or of gRPC's metadata, by which a call asks for a fault
// of its own; see [ParseFault]. Only fakes heed it. Tests that share a fake and run side by side
// do not disturb each other so.
const FaultHeader = "X-Fault"

// maxFaultHeader bounds the field, in bytes.
const maxFaultHeader = 1 << 10

// ParseFault reads what a call says in its [FaultHeader]: names with values, in any order, with
// semicolons between them, such as "code=1042;phase=after-commit" or
// "action=rst;phase=during-response;at=100". The names are
//
//	code, status, retry-after        the failure that is answered (a number; a duration)
//	latency                          how long it waits (a duration such as 150ms)
//	action, rate                     rst, fin, half-open, slow, truncate, goaway, garbage
//	phase, at                        before, after-commit, during-response; the byte
//
// as in [Rule]. There is no barrier: a call cannot release itself. A connection that is half-open, or one
// of HTTP/2 that is slow, stays so until it is closed. The error says what is wrong
// and where; a fake answers it with the chassis's code 400, as it does a GOAWAY for a call of HTTP/1.
func ParseFault(text string) (Rule, error) {
	if len(text) > maxFaultHeader {
		return Rule{}, fmt.Errorf("it has %d bytes, want %d at most", len(text), maxFaultHeader)
	}
	var d ruleDocument
	var seen []string
	for field := range strings.SplitSeq(text, ";") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if slices.Contains(seen, name) {
			return Rule{}, fmt.Errorf("%.40q is given twice", name)
		}
		seen = append(seen, name)
		if err := d.set(name, value); err != nil {
			return Rule{}, fmt.Errorf("%.40q: %w", field, err)
		}
	}
	r, err := d.rule()
	if err != nil {
		return Rule{}, err
	}
	if r.Action == Hold || r.Phase == Connect {
		return Rule{}, errors.New("a call has no hold of itself, and no hand in how it connects: install a fault")
	}
	return r, nil
}

// set reads one field of a fault's header.
func (d *ruleDocument) set(name, value string) error {
	switch name {
	case "code":
		return number(value, &d.Code)
	case "status":
		return number(value, &d.Status)
	case "at":
		return number(value, &d.At)
	case "rate":
		return number(value, &d.Rate)
	case "retry-after":
		d.RetryAfter = new(duration)
		return d.RetryAfter.UnmarshalText([]byte(value))
	case "latency":
		return d.Latency.UnmarshalText([]byte(value))
	case "phase":
		return d.Phase.UnmarshalText([]byte(value))
	case "action":
		return d.Action.UnmarshalText([]byte(value))
	}
	return errors.New("want code, status, retry-after, latency, action, rate, phase or at")
}

func number[T int | int64](text string, into *T) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || int64(T(n)) != n || n < 0 {
		return errors.New("want a number, 0 or more")
	}
	*into = T(n)
	return nil
}

// ownFault is what a call asks for in its header, nil if it asks for nothing.
func (f *Fake) ownFault(call *chassis.Call) (*Fault, error) {
	text := call.Header(FaultHeader)
	if text == "" {
		return nil, nil
	}
	rule, err := ParseFault(text)
	var answer *failure.Error
	if err == nil {
		answer, err = rule.resolve(f.sets)
	}
	if err == nil && rule.Action == GoAway && !http2(call) {
		err = errors.New("action goaway: the call has come over HTTP/1, which has no GOAWAY")
	}
	if err != nil {
		return nil, failure.Malformed.With("header", failure.Safe(FaultHeader)).With("reason", failure.Safe(err))
	}
	if rule.onWire() {
		f.ports.troubled.Store(true)
	}
	return f.faults.prepare(rule, answer), nil
}
