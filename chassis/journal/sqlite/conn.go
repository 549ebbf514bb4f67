package sqlite

import (
	"fmt"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

const maxCachedTypes = 1 << 10 // event types a connection remembers

// A conn is one connection with what it remembers. It is used by one goroutine at a time.
type conn struct {
	sqlitefile.Conn
	salt salt

	names    names
	types    map[string]string
	lastType string // most events have the type of their neighbour
}

func newConn(c sqlitefile.Conn) *conn {
	return &conn{Conn: c, types: map[string]string{}}
}

// What a batch is read with has no upper bound and no limit, as whoever steps through it knows when to
// stop: SQLite would compare and count for each row, which costs a replay a tenth of its speed.
const (
	queryAll    = `SELECT record FROM events WHERE pos > ? ORDER BY pos`
	queryWhole  = `SELECT record, stream FROM events WHERE pos > ? ORDER BY pos`
	queryStream = `SELECT record, pos FROM events INDEXED BY events_stream WHERE pos > ? AND stream = ? ORDER BY pos`

	queryHead    = `SELECT max(pos) FROM events`
	queryFind    = `SELECT stream FROM streams WHERE name = ?`
	queryVersion = `SELECT max(pos) FROM events INDEXED BY events_stream WHERE stream = ?`
	queryName    = `SELECT name, sum FROM streams WHERE stream = ?`
	queryNumber  = `SELECT max(stream) FROM streams`
	queryID      = `SELECT pos FROM ids WHERE stream = ? AND id = ?`
	queryEvent   = `SELECT record FROM events WHERE pos = ?`

	insertStream = `INSERT INTO streams(stream, name, sum) VALUES(?, ?, ?)`
	insertEvent  = `INSERT INTO events(pos, stream, record) VALUES(?, ?, ?)`
	insertID     = `INSERT INTO ids(stream, id, pos) VALUES(?, ?, ?)`
)

func (c *conn) head() (journal.Position, error) {
	n, err := c.Query(queryHead).One()
	return journal.Position(n), err
}

// find returns the number of a stream, 0 when there is no such stream.
func (c *conn) find(name string) (int64, error) { return c.Query(queryFind).Text(1, name).One() }

func (c *conn) version(stream int64) (journal.Version, error) {
	n, err := c.Query(queryVersion).Number(1, stream).One()
	return journal.Version(n), err
}

// each calls f for every row of a query.
func each(q sqlitefile.Query, f func(*sqlite.Stmt) error) error {
	defer q.End()
	for {
		row, err := q.Next()
		if err != nil || !row {
			return err
		}
		if err := f(q.Stmt); err != nil {
			return err
		}
	}
}

// name returns the name of a stream by its number.
func (c *conn) name(stream int64) (string, error) {
	if name, ok := c.names.get(stream); ok {
		return name, nil
	}
	q := c.Query(queryName).Number(1, stream)
	defer q.End()
	row, err := q.Next()
	if err != nil {
		return "", err
	}
	if !row {
		return "", fmt.Errorf("%w: stream number %d has no name", journal.ErrCorrupt, stream)
	}
	name := q.Stmt.ColumnText(0)
	if int64(streamSum(stream, name)) != q.Stmt.ColumnInt64(1) {
		return "", fmt.Errorf("%w: checksum of stream number %d, %q, is wrong", journal.ErrCorrupt, stream, name)
	}
	c.names.put(stream, name)
	return name, nil
}

// typeOf returns the string of an event type without making a new one for each event.
func (c *conn) typeOf(b []byte) string {
	if string(b) == c.lastType {
		return c.lastType
	}
	t, ok := c.types[string(b)]
	if !ok {
		if len(c.types) >= maxCachedTypes {
			clear(c.types)
		}
		t = string(b)
		c.types[t] = t
	}
	c.lastType = t
	return t
}
