package sentryfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxItems bounds the items of an envelope. Sentry gives no bound besides those of some types.
const MaxItems = 1000

// An Envelope is what clients send: a header and items.
type Envelope struct {
	Header Header
	Items  []Item
}

// A Header is the first line of an envelope. Attributes that the documentation does not name are
// allowed and left out here.
type Header struct {
	// EventID is 32 lower-case hexadecimal digits, or empty when no item needs one.
	EventID string
	// DSN authenticates the envelope when the request does not; usually empty.
	DSN string
	// SentAt is when the client sent it, the zero time when it did not say.
	SentAt time.Time
}

// An Item is one part of an envelope.
type Item struct {
	Type        string
	Filename    string // of attachments
	ContentType string
	ItemCount   int // of log and trace_metric; 0 otherwise
	Payload     []byte
}

// Category is the data category that rate limits of the item go by, such as "error" for events;
// empty for types that are not limited.
func (i Item) Category() string { return kinds[i.Type].category }

// ErrTooLarge is wrapped by errors about what is larger than Sentry allows. It is answered with 413,
// other errors of [Parse] with 400.
var ErrTooLarge = errors.New("too large")

// Parse reads an envelope as strictly as Sentry's developer documentation defines it
// (https://develop.sentry.dev/sdk/foundations/transport/envelopes/): stricter than Sentry itself,
// which tolerates much that it does not promise to. The error says in which line or item what is
// wrong. The payloads are parts of data.
//
// Unlike what is asked of servers there, an unknown item type is an error: in a test it is a mistake.
func Parse(data []byte) (Envelope, error) {
	var e Envelope
	line, rest, ended := bytes.Cut(data, newline)
	if err := e.Header.parse(line); err != nil {
		return Envelope{}, fmt.Errorf("envelope header: %w", err)
	}
	for n := 1; ended && len(rest) > 0; n++ {
		if n > MaxItems {
			return Envelope{}, fmt.Errorf("%w: more than %d items", ErrTooLarge, MaxItems)
		}
		var item Item
		var err error
		if item, rest, err = parseItem(rest); err != nil {
			return Envelope{}, fmt.Errorf("item %d: %w", n, err)
		}
		e.Items = append(e.Items, item)
	}
	if err := e.check(); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

var newline = []byte{'\n'}

func (h *Header) parse(line []byte) error {
	fields, err := headerLine(line)
	if err != nil {
		return err
	}
	var sentAt string
	for name, into := range map[string]*string{"event_id": &h.EventID, "dsn": &h.DSN, "sent_at": &sentAt} {
		if err := text(fields, name, into); err != nil {
			return err
		}
	}
	if h.EventID != "" {
		if h.EventID, err = uuid(h.EventID); err != nil {
			return fmt.Errorf("event_id %w", err)
		}
	}
	for _, name := range []string{"sdk", "trace"} {
		if v, ok := fields[name]; ok && !bytes.HasPrefix(v, []byte("{")) {
			return fmt.Errorf("%s is %.40s; want an object", name, v)
		}
	}
	if _, ok := fields["sent_at"]; !ok {
		return nil
	}
	if h.SentAt, err = time.Parse(time.RFC3339Nano, sentAt); err != nil {
		return fmt.Errorf("sent_at %.40q is no time as RFC 3339 has it", sentAt)
	}
	if _, offset := h.SentAt.Zone(); offset != 0 {
		return fmt.Errorf("sent_at %.40q is not in UTC", sentAt)
	}
	return nil
}

// parseItem reads the first item of data, which is not empty, and returns what comes behind it.
func parseItem(data []byte) (Item, []byte, error) {
	line, rest, ended := bytes.Cut(data, newline)
	fields, err := headerLine(line)
	if err != nil {
		return Item{}, nil, fmt.Errorf("header: %w", err)
	}
	var i Item
	for name, into := range map[string]*string{"type": &i.Type, "filename": &i.Filename, "content_type": &i.ContentType} {
		if err := text(fields, name, into); err != nil {
			return Item{}, nil, fmt.Errorf("header: %w", err)
		}
	}
	if i.Type == "" {
		return Item{}, nil, errors.New("header: type is missing")
	}
	length := -1
	for name, into := range map[string]*int{"length": &length, "item_count": &i.ItemCount} {
		v, ok := fields[name]
		if !ok {
			continue
		}
		if json.Unmarshal(v, into) != nil || *into < 0 || bytes.Equal(v, []byte("null")) {
			return Item{}, nil, fmt.Errorf("header: %s is %.40s; want a whole number, 0 or more", name, v)
		}
	}
	if !ended {
		return Item{}, nil, fmt.Errorf("type %q: the envelope ends with the header; want a line break and the payload", i.Type)
	}
	if length < 0 {
		i.Payload, rest, _ = bytes.Cut(rest, newline)
		return i, rest, nil
	}
	if length > len(rest) {
		return Item{}, nil, fmt.Errorf("type %q: length is %d, and the envelope ends after %d bytes of payload", i.Type, length, len(rest))
	}
	i.Payload, rest = rest[:length], rest[length:]
	if len(rest) == 0 {
		return i, nil, nil
	}
	if rest[0] != '\n' {
		return Item{}, nil, fmt.Errorf("type %q: byte %q behind %d bytes of payload; want a line break or the end", i.Type, rest[0], length)
	}
	return i, rest[1:], nil
}

// headerLine reads a header: one line with a JSON object, no white space around it, no name twice.
func headerLine(line []byte) (map[string]json.RawMessage, error) {
	switch {
	case len(line) == 0:
		return nil, errors.New("an empty line; want a JSON object")
	case !utf8.Valid(line):
		return nil, errors.New("it is not UTF-8")
	case line[0] != '{' || line[len(line)-1] != '}':
		return nil, fmt.Errorf("%.60q: want a JSON object without anything around it", line)
	}
	return object(line)
}

// object reads a JSON object. A name that comes twice is an error: which of the two counts is not
// defined, and Sentry refuses a header with sent_at twice.
func object(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%.60q: want a JSON object", data)
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%.60q: %w", data, err)
		}
		name := t.(string) // the decoder gives an error when it is anything else
		if _, ok := fields[name]; ok {
			return nil, fmt.Errorf("%.40q is there twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("%.40q: %w", name, err)
		}
		fields[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%.60q: %w", data, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%.60q: something stands behind the JSON object", data)
	}
	return fields, nil
}

// text reads the string called name, if there is one.
func text(fields map[string]json.RawMessage, name string, into *string) error {
	v, ok := fields[name]
	if !ok {
		return nil
	}
	if v[0] != '"' || json.Unmarshal(v, into) != nil {
		return fmt.Errorf("%s is %.40s; want a string", name, v)
	}
	return nil
}

var uuids = regexp.MustCompile(`^(?i:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)

// uuid is a UUID in the form that events have.
func uuid(s string) (string, error) {
	if !uuids.MatchString(s) {
		return "", fmt.Errorf("%.60q is no UUID; want 32 hexadecimal digits", s)
	}
	return strings.ToLower(strings.ReplaceAll(s, "-", "")), nil
}

// check is what is asked of an envelope and its items beyond their form.
func (e *Envelope) check() error {
	count := map[string]int{}
	for n, i := range e.Items {
		k, known := kinds[i.Type]
		err := error(nil)
		switch {
		case slices.Contains(reserved, i.Type):
			err = errors.New("the type is reserved and must not be sent")
		case !known:
			err = errors.New("the type is unknown")
		case k.limit > 0 && len(i.Payload) > k.limit:
			err = fmt.Errorf("%w: %d bytes, more than %d", ErrTooLarge, len(i.Payload), k.limit)
		case k.once && count[i.Type] > 0:
			err = errors.New("it may be there once in an envelope, and is there twice")
		case k.event && e.Header.EventID == "":
			err = errors.New("the envelope header must have an event_id, and has none")
		default:
			err = i.check(k)
		}
		if err != nil {
			return fmt.Errorf("item %d: type %.40q: %w", n+1, i.Type, err)
		}
		count[i.Type]++
	}
	for _, rule := range together {
		if err := rule(count); err != nil {
			return err
		}
	}
	return nil
}
