package journal

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what every engine takes. They leave room for engines whose messages have a maximum
// size (1 MiB is the default of NATS) and bound the memory that waiting appends can hold.
const (
	MaxStreamBytes = 255     // of a stream name
	MaxTypeBytes   = 100     // of an event type
	MaxIDBytes     = 100     // of an event ID
	MaxDataBytes   = 1 << 20 // of one event's data
	MaxEvents      = 1000    // in one append, to one stream or to several
	MaxAppendBytes = 8 << 20 // of all data in one append
	MaxFilterTypes = 100     // in one filter

	MaxLease = 24 * time.Hour // of a grant or a renewal
)

// ValidateStream returns an error that wraps [ErrInvalid] unless name is 1 to [MaxStreamBytes]
// bytes of UTF-8 without control characters. Such names are kept exactly: case, spaces and
// composed letters matter.
func ValidateStream(name string) error { return validateName("stream name", name, MaxStreamBytes) }

// ValidateAppend returns an error that wraps [ErrInvalid] and says which argument is wrong and
// what would be right, unless the arguments of an append are within the limits of this package.
// Types and IDs follow the same rule as stream names.
func ValidateAppend(stream string, events []Event) error {
	if err := ValidateStream(stream); err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("append to stream %q: %w: no events; give at least one", stream, ErrInvalid)
	}
	if len(events) > MaxEvents {
		return fmt.Errorf("append to stream %q: %w: %d events; at most %d fit in one append", stream, ErrInvalid, len(events), MaxEvents)
	}
	bytes := 0
	for i := range events {
		e := &events[i]
		if err := validateEvent(e); err != nil {
			return fmt.Errorf("append to stream %q: event %d: %w", stream, i, err)
		}
		if (e.ID == "") != (events[0].ID == "") {
			return fmt.Errorf("append to stream %q: event %d: %w: give an ID to every event or to none", stream, i, ErrInvalid)
		}
		bytes += len(e.Data)
	}
	if bytes > MaxAppendBytes {
		return fmt.Errorf("append to stream %q: %w: %d bytes of data; at most %d fit in one append", stream, ErrInvalid, bytes, MaxAppendBytes)
	}
	return distinctIDs(stream, events)
}

// ValidateBatches does for an append to several streams what [ValidateAppend] does for one. The
// limits of an append hold for all batches together.
func ValidateBatches(batches []Batch) error {
	const what = "append to several streams"
	if len(batches) == 0 {
		return fmt.Errorf("%s: %w: no batches; give at least one", what, ErrInvalid)
	}
	if len(batches) > MaxEvents {
		return fmt.Errorf("%s: %w: %d batches; at most %d events fit in one append", what, ErrInvalid, len(batches), MaxEvents)
	}
	events, bytes := 0, 0
	seen := make(map[string]bool, len(batches))
	for _, b := range batches {
		if err := ValidateAppend(b.Stream, b.Events); err != nil {
			return err
		}
		if seen[b.Stream] {
			return fmt.Errorf("%s: %w: stream %q occurs twice; put its events into one batch", what, ErrInvalid, b.Stream)
		}
		seen[b.Stream] = true
		if (b.Events[0].ID == "") != (batches[0].Events[0].ID == "") {
			return fmt.Errorf("%s: %w: give an ID to every event or to none", what, ErrInvalid)
		}
		events += len(b.Events)
		for i := range b.Events {
			bytes += len(b.Events[i].Data)
		}
	}
	if events > MaxEvents {
		return fmt.Errorf("%s: %w: %d events; at most %d fit in one append", what, ErrInvalid, events, MaxEvents)
	}
	if bytes > MaxAppendBytes {
		return fmt.Errorf("%s: %w: %d bytes of data; at most %d fit in one append", what, ErrInvalid, bytes, MaxAppendBytes)
	}
	return nil
}

func validateEvent(e *Event) error {
	if err := validateName("type", e.Type, MaxTypeBytes); err != nil {
		return err
	}
	if e.ID != "" {
		if err := validateName("ID", e.ID, MaxIDBytes); err != nil {
			return err
		}
	}
	if len(e.Data) > MaxDataBytes {
		return fmt.Errorf("%w: %d bytes of data; an event has at most %d", ErrInvalid, len(e.Data), MaxDataBytes)
	}
	return nil
}

func distinctIDs(stream string, events []Event) error {
	if len(events) == 1 || events[0].ID == "" {
		return nil
	}
	seen := make(map[string]int, len(events))
	for i := range events {
		if first, taken := seen[events[i].ID]; taken {
			return fmt.Errorf("append to stream %q: %w: events %d and %d have the same ID %q", stream, ErrInvalid, first, i, events[i].ID)
		}
		seen[events[i].ID] = i
	}
	return nil
}

// ValidateFilter returns an error that wraps [ErrInvalid] unless the filter's names could be those
// of streams and types, at most one of Stream and StreamPrefix is set, and there are at most
// [MaxFilterTypes] types.
func ValidateFilter(f Filter) error {
	if f.Stream != "" && f.StreamPrefix != "" {
		return fmt.Errorf("filter: %w: Stream and StreamPrefix exclude each other", ErrInvalid)
	}
	for _, name := range []string{f.Stream, f.StreamPrefix} {
		if name == "" {
			continue
		}
		if err := validateName("stream name", name, MaxStreamBytes); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	if len(f.Types) > MaxFilterTypes {
		return fmt.Errorf("filter: %w: %d types; at most %d", ErrInvalid, len(f.Types), MaxFilterTypes)
	}
	for _, t := range f.Types {
		if err := validateName("type", t, MaxTypeBytes); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	return nil
}

// ValidateSnapshot returns an error that wraps [ErrInvalid] unless the stream could exist and s
// could be a snapshot of it.
func ValidateSnapshot(stream string, s Snapshot) error {
	if err := ValidateStream(stream); err != nil {
		return err
	}
	switch {
	case s.Version == 0 || s.Version > maxPosition:
		return fmt.Errorf("snapshot of stream %q: %w: version %d; give the position of the last event in it", stream, ErrInvalid, s.Version)
	case len(s.Data) > MaxDataBytes:
		return fmt.Errorf("snapshot of stream %q: %w: %d bytes of data; a snapshot has at most %d", stream, ErrInvalid, len(s.Data), MaxDataBytes)
	}
	return nil
}

// ValidateCheckpoint returns an error that wraps [ErrInvalid] unless name follows the rule of
// stream names.
func ValidateCheckpoint(name string) error {
	return validateName("checkpoint name", name, MaxStreamBytes)
}

// ValidateMove returns an error that wraps [ErrInvalid] unless the checkpoint, the fence and the
// positions of a move are possible.
func ValidateMove(name string, fence Fence, from, to Position) error {
	if err := ValidateCheckpoint(name); err != nil {
		return err
	}
	if uint64(fence) > maxPosition || from > maxPosition || to > maxPosition {
		return fmt.Errorf("checkpoint %q: %w: move from %d to %d under fence %d; all three are below 2⁶³", name, ErrInvalid, from, to, fence)
	}
	return nil
}

// ValidateLease returns an error that wraps [ErrInvalid] unless name and holder follow the rule of
// stream names and ttl is more than nothing and at most [MaxLease].
func ValidateLease(name, holder string, ttl time.Duration) error {
	if err := validateName("lease name", name, MaxStreamBytes); err != nil {
		return err
	}
	if err := validateName("holder", holder, MaxStreamBytes); err != nil {
		return fmt.Errorf("lease %q: %w", name, err)
	}
	if ttl <= 0 || ttl > MaxLease {
		return fmt.Errorf("lease %q: %w: for %v; a lease is granted for more than nothing and at most %v", name, ErrInvalid, ttl, MaxLease)
	}
	return nil
}

func validateName(what, name string, limit int) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty %s", ErrInvalid, what)
	case len(name) > limit:
		return fmt.Errorf("%w: %s of %d bytes; at most %d", ErrInvalid, what, len(name), limit)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %s %q is not valid UTF-8", ErrInvalid, what, name)
	}
	for i, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %s %q has a control character at byte %d", ErrInvalid, what, name, i)
		}
	}
	return nil
}
