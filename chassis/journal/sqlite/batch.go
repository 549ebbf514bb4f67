package sqlite

import (
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

const (
	batchRows  = 256     // rows looked at before the connection is given back
	batchBytes = 1 << 20 // bytes of data after which a batch ends early
	firstChunk = 1 << 10
	maxChunk   = 64 << 10
)

// A span is a part of a journal that is being read, in batches.
type span struct {
	after, until journal.Position // after the former, up to and including the latter
	filter       journal.Filter
	whole        bool             // columns are compared with records too
	stream       int64            // of filter.Stream, 0 while it is not known to exist
	last         journal.Position // of that stream's event read last, 0 before the first
}

// A batch holds the selected events of up to batchRows rows. It is used again and again for one
// sequence; only the memory of the data is new each time, because callers may keep that.
type batch struct {
	events []journal.Recorded
	ids    []byte // of all events, one after another
	ends   []int  // where each ends
	chunk  []byte // data goes between its length and its capacity
	size   int    // capacity of the last chunk
}

// read fills the batch with what the span selects next, moves the span's start past what it
// looked at, and reports whether the span is read to its end. Events before an error are good.
func (c *conn) read(b *batch, s *span) (done bool, err error) {
	b.events, b.ids, b.ends = b.events[:0], b.ids[:0], b.ends[:0]
	defer b.setIDs()
	if s.after >= s.until {
		return true, nil
	}
	var q sqlitefile.Query
	switch {
	case s.whole:
		q = c.Query(queryWhole)
	case s.filter.Stream == "":
		q = c.Query(queryAll)
	default:
		if s.stream == 0 {
			if s.stream, err = c.find(s.filter.Stream); err != nil || s.stream == 0 {
				return true, err
			}
		}
		q = c.Query(queryStream).Number(2, s.stream)
	}
	q = q.Number(1, int64(s.after))
	defer q.End()
	bytes := 0
	for range batchRows {
		row, err := q.Next()
		if err != nil {
			return true, err
		}
		if !row {
			return s.end()
		}
		n, err := c.take(b, s, q.Stmt)
		if err != nil || s.after >= s.until {
			return true, err
		}
		if bytes += n; bytes > batchBytes {
			break
		}
	}
	return false, nil
}

// end ends a span for which there are no more rows.
func (s *span) end() (done bool, err error) {
	if s.filter.Stream == "" {
		return true, s.missing()
	}
	s.after = s.until
	return true, nil
}

func (s *span) missing() error {
	return fmt.Errorf("%w: the event at position %d is missing", journal.ErrCorrupt, s.after+1)
}

// take checks the row that stmt is at, adds it to the batch if the span selects it, and moves the
// span past it, or to its end. It returns how many bytes the row took.
func (c *conn) take(b *batch, s *span, stmt *sqlite.Stmt) (int, error) {
	pos := s.after + 1
	if s.filter.Stream != "" {
		if pos = journal.Position(stmt.ColumnInt64(1)); pos > s.until {
			s.after = s.until
			return 0, nil
		}
	}
	blob := b.blob(stmt)
	r, err := decodeRecord(pos, blob)
	if err != nil {
		return 0, err
	}
	name, err := c.check(s, &r, pos, stmt)
	if err != nil {
		return 0, err
	}
	s.after = pos
	eventType := c.typeOf(r.eventType)
	if !s.filter.Match(name, eventType) {
		b.chunk = b.chunk[:len(b.chunk)-len(blob)]
		return 0, nil
	}
	if len(r.id) > 0 {
		b.ids = append(b.ids, r.id...)
	} else {
		b.ids = c.salt.appendID(b.ids, pos)
	}
	b.ends = append(b.ends, len(b.ids))
	b.events = append(b.events, journal.Recorded{
		Event:    journal.Event{Type: eventType, Data: r.data},
		Stream:   name,
		Position: pos,
		Time:     time.Unix(0, r.at).UTC(),
	})
	return len(blob), nil
}

// check sees that the record of the row that stmt is at is the one that comes next, and returns the name of
// its stream.
func (c *conn) check(s *span, r *record, pos journal.Position, stmt *sqlite.Stmt) (name string, err error) {
	name = s.filter.Stream
	switch {
	case name == "" && r.pos != pos:
		return "", s.missing()
	case name == "":
		if name, err = c.name(r.stream); err == nil && s.whole && stmt.ColumnInt64(1) != r.stream {
			err = fmt.Errorf("%w: the event at position %d is listed for stream number %d, and is of %d, %q", journal.ErrCorrupt, pos, stmt.ColumnInt64(1), r.stream, name)
		}
		return name, err
	case r.pos != pos || r.stream != s.stream:
		return "", fmt.Errorf("%w: event %d of stream %q is that of position %d and of stream number %d", journal.ErrCorrupt, pos, name, r.pos, r.stream)
	case s.last == 0 && r.prev > s.after || s.last != 0 && r.prev != s.last:
		return "", fmt.Errorf("%w: event %d of stream %q says that event %d comes before it, which is missing", journal.ErrCorrupt, pos, name, r.prev)
	}
	s.last = pos
	return name, nil
}

// blob copies the record of the row into the batch's chunk, or a new one.
func (b *batch) blob(stmt *sqlite.Stmt) []byte {
	free := b.chunk[len(b.chunk):cap(b.chunk)]
	n := stmt.ColumnBytes(0, free)
	if n == len(free) {
		// It filled all the room there was, so there may be more of it.
		size := stmt.ColumnLen(0)
		b.size = min(max(b.size*4, firstChunk), maxChunk)
		b.chunk = make([]byte, 0, max(b.size, size))
		n = stmt.ColumnBytes(0, b.chunk[:size])
	}
	start := len(b.chunk)
	b.chunk = b.chunk[:start+n]
	return b.chunk[start : start+n : start+n]
}

// setIDs cuts the IDs of the batch out of one string.
func (b *batch) setIDs() {
	all, start := string(b.ids), 0
	for i, end := range b.ends {
		b.events[i].ID = all[start:end]
		start = end
	}
}
