package sentryfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// A kind is what the documentation says of an item type.
type kind struct {
	category string // of rate limits
	limit    int    // bytes of payload; 0 when only the envelope's limit counts
	json     bool   // the payload is a JSON object
	once     bool   // at most one in an envelope
	event    bool   // the envelope header needs an event_id
	content  string // the content type it must have, with the number of its parts; or empty
}

const (
	kib = 1 << 10
	mib = 1 << 20
	// MaxEnvelope is the most that an envelope may have after decompression.
	MaxEnvelope = 200 * mib
)

// kinds are the types of
// https://develop.sentry.dev/sdk/foundations/transport/envelope-items/ and those older ones that
// Relay still takes, with the limits of the page about envelopes.
var kinds = map[string]kind{
	"event":            {category: "error", limit: mib, json: true, once: true, event: true},
	"transaction":      {category: "transaction", limit: mib, json: true, once: true, event: true},
	"attachment":       {category: "attachment", event: true},
	"session":          {category: "session", json: true},
	"sessions":         {category: "session", json: true},
	"feedback":         {category: "feedback", limit: mib, json: true, once: true, event: true},
	"user_report":      {category: "feedback", json: true, once: true, event: true},
	"client_report":    {limit: 4 * kib, json: true},
	"replay_event":     {category: "replay", limit: mib, json: true, once: true},
	"replay_recording": {category: "replay", limit: 10 * mib, once: true},
	"replay_video":     {category: "replay", once: true},
	"profile":          {category: "profile", limit: 50 * mib, json: true, once: true},
	"profile_chunk":    {category: "profile_chunk", limit: 50 * mib, json: true},
	"check_in":         {category: "monitor", limit: 100 * kib, json: true, once: true},
	"log":              {category: "log_item", limit: mib, json: true, once: true, content: "application/vnd.sentry.items.log+json"},
	"otel_log":         {category: "log_item", limit: mib, json: true},
	"span":             {category: "span", limit: mib, json: true},
	"trace_metric":     {category: "trace_metric", limit: mib, json: true, once: true, content: "application/vnd.sentry.items.trace-metric+json"},
	"statsd":           {category: "metric_bucket", limit: mib},
	"metric_buckets":   {category: "metric_bucket", limit: mib},
}

// reserved are types that no client may send.
var reserved = []string{"security", "unreal_report", "form_data"}

// together are rules about which types may and must be in one envelope.
var together = []func(count map[string]int) error{
	func(n map[string]int) error {
		if n["transaction"] > 0 && n["event"]+n["feedback"] > 0 {
			return errors.New("a transaction is in the envelope beside an event or feedback: they exclude each other")
		}
		return nil
	},
	func(n map[string]int) error {
		if n["replay_event"] != n["replay_recording"] {
			return errors.New("replay_event and replay_recording must come together, and only one of them is there")
		}
		return nil
	},
	func(n map[string]int) error {
		if n["profile"] > 0 && n["transaction"] == 0 {
			return errors.New("a profile is in the envelope without its transaction")
		}
		return nil
	},
	func(n map[string]int) error {
		if n["session"] > maxSessions {
			return fmt.Errorf("%w: %d session items, more than %d", ErrTooLarge, n["session"], maxSessions)
		}
		return nil
	},
}

const maxSessions = 100

// check is what is asked of the item alone, besides its size.
func (i Item) check(k kind) error {
	if i.Type == "attachment" && i.Filename == "" {
		return errors.New("header: an attachment must have a filename")
	}
	if !k.json {
		return nil
	}
	if !utf8.Valid(i.Payload) {
		return errors.New("the payload is not UTF-8")
	}
	fields, err := object(i.Payload)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	switch i.Type {
	case "event":
		_, err = parseEvent(fields)
	case "client_report":
		err = checkClientReport(fields)
	}
	if err == nil && k.content != "" {
		err = i.checkParts(k, fields)
	}
	return err
}

// checkParts is for items that hold many: their header must say how many.
func (i Item) checkParts(k kind, fields map[string]json.RawMessage) error {
	if i.ContentType != k.content {
		return fmt.Errorf("header: content_type is %.60q; want %q", i.ContentType, k.content)
	}
	var parts []json.RawMessage
	if json.Unmarshal(fields["items"], &parts) != nil {
		return errors.New("payload: want an array called items")
	}
	if i.ItemCount != len(parts) {
		return fmt.Errorf("header: item_count is %d, and the payload has %d items", i.ItemCount, len(parts))
	}
	return nil
}

// checkClientReport is for what clients say that they have dropped themselves.
func checkClientReport(fields map[string]json.RawMessage) error {
	var dropped []struct {
		Reason   string `json:"reason"`
		Category string `json:"category"`
		Quantity int64  `json:"quantity"`
	}
	if json.Unmarshal(fields["discarded_events"], &dropped) != nil {
		return errors.New("payload: want an array of objects called discarded_events")
	}
	for _, d := range dropped {
		if d.Reason == "" || d.Category == "" || d.Quantity < 1 {
			return fmt.Errorf("payload: discarded_events has reason %q, category %q, quantity %d; want all of them", d.Reason, d.Category, d.Quantity)
		}
	}
	return nil
}
