package sqlite

import (
	"fmt"
	"strconv"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	maxCachedNames = 1 << 14 // stream names a connection remembers, at most 4 MiB
	maxCachedTypes = 1 << 10 // event types it remembers
)

// A conn is one connection with what it remembers. It is used by one goroutine at a time.
type conn struct {
	*sqlite.Conn
	salt salt
	key  rowKey

	names    map[int64]string // by number; a stream's name never changes
	types    map[string]string
	lastType string // most events have the type of their neighbour
}

func newConn(c *sqlite.Conn) *conn {
	return &conn{Conn: c, names: map[int64]string{}, types: map[string]string{}}
}

// The limit is a literal because SQLite plans a statement with LIMIT ? anew each time a value is
// bound to it, which takes longer than reading a batch.
var batchLimit = ` ORDER BY pos LIMIT ` + strconv.Itoa(batchRows)

var (
	queryAll    = `SELECT pos, stream, record FROM events WHERE pos > ? AND pos <= ?` + batchLimit
	queryStream = `SELECT pos, stream, record FROM events INDEXED BY events_stream WHERE pos > ? AND pos <= ? AND stream = ?` + batchLimit
)

const (
	queryHead    = `SELECT max(pos) FROM events`
	queryFind    = `SELECT stream FROM streams WHERE name = ?`
	queryVersion = `SELECT max(pos) FROM events INDEXED BY events_stream WHERE stream = ?`
	queryName    = `SELECT name, sum FROM streams WHERE stream = ?`
	queryNumber  = `SELECT max(stream) FROM streams`
	queryID      = `SELECT pos FROM ids WHERE stream = ? AND id = ?`
	queryEvent   = `SELECT pos, stream, record FROM events WHERE pos = ?`

	insertStream = `INSERT INTO streams(stream, name, sum) VALUES(?, ?, ?)`
	insertEvent  = `INSERT INTO events(pos, stream, record) VALUES(?, ?, ?)`
	insertID     = `INSERT INTO ids(stream, id, pos) VALUES(?, ?, ?)`
)

// A query is a prepared statement that is being given values and run. An error of preparing it
// waits for the end, so that callers have one error to look at.
type query struct {
	stmt *sqlite.Stmt
	err  error
}

func (c *conn) query(sql string) query {
	stmt, err := c.Prepare(sql)
	return query{stmt, err}
}

func (q query) number(param int, n int64) query {
	if q.err == nil {
		q.stmt.BindInt64(param, n)
	}
	return q
}

func (q query) text(param int, s string) query {
	if q.err == nil {
		q.stmt.BindText(param, s)
	}
	return q
}

func (q query) blob(param int, b []byte) query {
	if q.err == nil {
		q.stmt.BindBytes(param, b)
	}
	return q
}

// next moves to the next row and reports whether there is one.
func (q query) next() (bool, error) {
	if q.err != nil {
		return false, q.err
	}
	return q.stmt.Step()
}

// end makes the statement ready to be used again and lets go of what it has locked. An error of
// running it was returned by next already.
func (q query) end() {
	if q.err == nil {
		_ = q.stmt.Reset()
	}
}

// run runs a query that returns nothing.
func (q query) run() error {
	_, err := q.next()
	q.end()
	return err
}

// one runs a query of at most one row with one number in it; no row is 0.
func (q query) one() (n int64, err error) {
	row, err := q.next()
	if row {
		n = q.stmt.ColumnInt64(0)
	}
	q.end()
	return n, err
}

func (c *conn) head() (journal.Position, error) {
	n, err := c.query(queryHead).one()
	return journal.Position(n), err
}

// find returns the number of a stream, 0 when there is no such stream.
func (c *conn) find(name string) (int64, error) { return c.query(queryFind).text(1, name).one() }

func (c *conn) version(stream int64) (journal.Version, error) {
	n, err := c.query(queryVersion).number(1, stream).one()
	return journal.Version(n), err
}

// name returns the name of a stream by its number.
func (c *conn) name(stream int64) (string, error) {
	if name, ok := c.names[stream]; ok {
		return name, nil
	}
	q := c.query(queryName).number(1, stream)
	defer q.end()
	row, err := q.next()
	if err != nil {
		return "", err
	}
	if !row {
		return "", fmt.Errorf("%w: stream number %d has no name", journal.ErrCorrupt, stream)
	}
	name := q.stmt.ColumnText(0)
	if int64(streamSum(stream, name)) != q.stmt.ColumnInt64(1) {
		return "", fmt.Errorf("%w: checksum of stream number %d, %q, is wrong", journal.ErrCorrupt, stream, name)
	}
	if len(c.names) >= maxCachedNames {
		clear(c.names)
	}
	c.names[stream] = name
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
