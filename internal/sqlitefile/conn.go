package sqlitefile

import (
	"fmt"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A Conn is one connection. It is used by one goroutine at a time.
type Conn struct {
	*sqlite.Conn
}

// A Query is a prepared statement that is being given values and run. An error of preparing it
// waits for the end, so that callers have one error to look at.
type Query struct {
	Stmt *sqlite.Stmt
	err  error
}

// Query prepares a statement, or takes it as it was prepared before. At most one Query of a statement
// is under way at a time.
func (c Conn) Query(sql string) Query {
	stmt, err := c.Prepare(sql)
	return Query{stmt, err}
}

// Number gives the parameter, counted from 1, a number.
func (q Query) Number(param int, n int64) Query {
	if q.err == nil {
		q.Stmt.BindInt64(param, n)
	}
	return q
}

// Text gives the parameter a text.
func (q Query) Text(param int, s string) Query {
	if q.err == nil {
		q.Stmt.BindText(param, s)
	}
	return q
}

// Blob gives the parameter bytes.
func (q Query) Blob(param int, b []byte) Query {
	if q.err == nil {
		q.Stmt.BindBytes(param, b)
	}
	return q
}

// Next moves to the next row and reports whether there is one.
func (q Query) Next() (bool, error) {
	if q.err != nil {
		return false, q.err
	}
	return q.Stmt.Step()
}

// End makes the statement ready to be used again and lets go of what it has locked. An error of
// running it was returned by Next already.
func (q Query) End() {
	if q.err == nil {
		_ = q.Stmt.Reset()
	}
}

// Run runs a query that returns nothing.
func (q Query) Run() error {
	_, err := q.Next()
	q.End()
	return err
}

// One runs a query of at most one row with one number in it; no row is 0.
func (q Query) One() (n int64, err error) {
	row, err := q.Next()
	if row {
		n = q.Stmt.ColumnInt64(0)
	}
	q.End()
	return n, err
}

// Number is the only number that a query returns, 0 when it returns none.
func Number(c *sqlite.Conn, query string) (n int64, err error) {
	err = sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { n = stmt.ColumnInt64(0); return nil },
	})
	return n, err
}

// Text is the only text that a query returns, empty when it returns none.
func Text(c *sqlite.Conn, query string) (s string, err error) {
	err = sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { s = stmt.ColumnText(0); return nil },
	})
	return s, err
}

// Exec runs statements that return nothing, one after another.
func Exec(c *sqlite.Conn, statements ...string) error {
	for _, sql := range statements {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
