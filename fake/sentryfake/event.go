package sentryfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Event is one that was accepted. The fields are those of
// https://develop.sentry.dev/sdk/foundations/transport/event-payloads/.
type Event struct {
	ID          string
	Time        time.Time // when it happened, as the client says
	Platform    string
	Level       string // "error" when the client does not say
	Logger      string
	Message     string
	Transaction string
	Release     string
	Environment string
	ServerName  string
	Fingerprint []string
	Tags        map[string]string
	UserID      string
	Exceptions  []Exception // oldest first
	// Contexts are as they were sent; numbers in them are [json.Number].
	Contexts map[string]map[string]any

	Received time.Time // on the fake's clock
	Sent     int       // how often it came, repetitions included: 1 or more
	JSON     []byte    // as it was first sent
}

// An Exception is an error with where it was made.
type Exception struct {
	Type, Value string
	Mechanism   string // its type, or empty
	Handled     bool   // false only when the client says so
	Frames      []Frame
}

// A Frame is a call on a stack; the last of an exception's frames made it.
type Frame struct {
	Function, Module, File string
	Line                   int
	InApp                  bool
}

// Code is the number of the failure code that the event tells of, as the tag "code" has it; 0 when
// there is none.
func (e *Event) Code() int {
	n, _ := strconv.Atoi(e.Tags["code"])
	return n
}

// Count is how many failures the event stands for: what the context "failure" says under "count", and
// 1 without.
func (e *Event) Count() uint64 {
	if n, ok := e.Contexts["failure"]["count"].(json.Number); ok {
		if count, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
			return count
		}
	}
	return 1
}

var (
	eventIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tagKeys  = regexp.MustCompile(`^[a-zA-Z0-9_.:-]{1,32}$`)
	levels   = []string{"fatal", "error", "warning", "info", "debug"}
)

const (
	maxTag    = 200
	maxFrames = 1000 // Relay keeps 250 of what is more than that; clients should not send it
)

// parseEvent reads the payload of an event and checks what the documentation requires.
func parseEvent(fields map[string]json.RawMessage) (*Event, error) {
	e := &Event{Level: "error"}
	for name, into := range map[string]*string{
		"event_id": &e.ID, "platform": &e.Platform, "level": &e.Level, "logger": &e.Logger,
		"transaction": &e.Transaction, "release": &e.Release, "environment": &e.Environment, "server_name": &e.ServerName,
	} {
		if err := text(fields, name, into); err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
	}
	for name, read := range map[string]func(json.RawMessage) error{
		"timestamp": e.readTime, "message": e.readMessage, "tags": e.readTags, "fingerprint": e.readFingerprint,
		"user": e.readUser, "exception": e.readExceptions, "contexts": e.readContexts,
	} {
		if v, ok := fields[name]; ok {
			if err := read(v); err != nil {
				return nil, fmt.Errorf("event: %s: %w", name, err)
			}
		}
	}
	switch {
	case !eventIDs.MatchString(e.ID):
		return nil, fmt.Errorf("event: event_id %.60q: want 32 lower-case hexadecimal digits", e.ID)
	case e.Time.IsZero():
		return nil, errors.New("event: timestamp is missing")
	case e.Platform == "":
		return nil, errors.New("event: platform is missing")
	case !slices.Contains(levels, e.Level):
		return nil, fmt.Errorf("event: level %.40q: want one of %s", e.Level, strings.Join(levels, ", "))
	}
	return e, nil
}

func (e *Event) readTime(v json.RawMessage) error {
	var seconds float64
	if json.Unmarshal(v, &seconds) == nil && v[0] != 'n' {
		if seconds <= 0 || seconds > math.MaxInt32*100 {
			return fmt.Errorf("%.40s seconds since 1970 is no time to be taken seriously", v)
		}
		whole, part := math.Modf(seconds)
		e.Time = time.Unix(int64(whole), int64(part*1e9)).UTC()
		return nil
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			e.Time = t
			return nil
		}
	}
	return fmt.Errorf("%.60s: want a time as RFC 3339 has it, or seconds since 1970", v)
}

func (e *Event) readMessage(v json.RawMessage) error {
	if json.Unmarshal(v, &e.Message) == nil {
		return nil
	}
	var m struct {
		Message   string `json:"message"`
		Formatted string `json:"formatted"`
	}
	if json.Unmarshal(v, &m) != nil {
		return fmt.Errorf("%.60s: want a string, or an object with one called formatted", v)
	}
	if e.Message = m.Formatted; e.Message == "" {
		e.Message = m.Message
	}
	return nil
}

func (e *Event) readTags(v json.RawMessage) error {
	var pairs [][2]string
	if json.Unmarshal(v, &e.Tags) != nil {
		e.Tags = map[string]string{}
		if json.Unmarshal(v, &pairs) != nil {
			return fmt.Errorf("%.60s: want an object of strings", v)
		}
	}
	for _, p := range pairs {
		e.Tags[p[0]] = p[1]
	}
	for _, key := range slices.Sorted(maps.Keys(e.Tags)) {
		value := e.Tags[key]
		if !tagKeys.MatchString(key) {
			return fmt.Errorf("key %.60q: want 1 to 32 letters, digits, and _ . : -", key)
		}
		if len([]rune(value)) > maxTag || strings.Contains(value, "\n") {
			return fmt.Errorf("%s is %.40q…, %d bytes: want one line of at most %d characters", key, value, len(value), maxTag)
		}
	}
	return nil
}

func (e *Event) readFingerprint(v json.RawMessage) error {
	if json.Unmarshal(v, &e.Fingerprint) != nil {
		return fmt.Errorf("%.60s: want an array of strings", v)
	}
	return nil
}

func (e *Event) readUser(v json.RawMessage) error {
	var u struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(v, &u) != nil {
		return fmt.Errorf("%.60s: want an object", v)
	}
	e.UserID = strings.Trim(string(u.ID), `"`)
	return nil
}

func (e *Event) readContexts(v json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	if d.Decode(&e.Contexts) != nil {
		return fmt.Errorf("%.60s: want an object of objects", v)
	}
	return nil
}

// exception is one as it is sent.
type exception struct {
	Type       string `json:"type"`
	Value      string `json:"value"`
	Stacktrace *struct {
		Frames []frame `json:"frames"`
	} `json:"stacktrace"`
	Mechanism *struct {
		Type    string `json:"type"`
		Handled *bool  `json:"handled"`
	} `json:"mechanism"`
}

type frame struct {
	Function string `json:"function"`
	Module   string `json:"module"`
	Filename string `json:"filename"`
	Address  string `json:"instruction_addr"`
	Line     int    `json:"lineno"`
	InApp    bool   `json:"in_app"`
}

func (e *Event) readExceptions(v json.RawMessage) error {
	var list []exception
	if json.Unmarshal(v, &list) != nil {
		var object struct {
			Values []exception `json:"values"`
		}
		if json.Unmarshal(v, &object) != nil {
			return fmt.Errorf("%.60s: want an array of exceptions, or an object with one called values", v)
		}
		list = object.Values
	}
	for n, sent := range list {
		x, err := sent.read()
		if err != nil {
			return fmt.Errorf("%d: %w", n+1, err)
		}
		e.Exceptions = append(e.Exceptions, x)
	}
	return nil
}

func (sent *exception) read() (Exception, error) {
	x := Exception{Type: sent.Type, Value: sent.Value, Handled: true}
	if x.Type == "" && x.Value == "" {
		return x, errors.New("neither type nor value; want one of them at least")
	}
	if m := sent.Mechanism; m != nil {
		if x.Mechanism = m.Type; m.Type == "" {
			return x, errors.New("its mechanism has no type")
		}
		x.Handled = m.Handled == nil || *m.Handled
	}
	if sent.Stacktrace == nil {
		return x, nil
	}
	frames := sent.Stacktrace.Frames
	if len(frames) == 0 || len(frames) > maxFrames {
		return x, fmt.Errorf("a stack of %d frames; want 1 to %d, or no stack", len(frames), maxFrames)
	}
	for n, f := range frames {
		if f.Function == "" && f.Filename == "" && f.Address == "" {
			return x, fmt.Errorf("frame %d: want a function, a filename or an instruction_addr", n+1)
		}
		x.Frames = append(x.Frames, Frame{Function: f.Function, Module: f.Module, File: f.Filename, Line: f.Line, InApp: f.InApp})
	}
	return x, nil
}
