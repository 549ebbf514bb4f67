package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// MaxRows bounds what one [Query] returns.
const MaxRows = 10_000

// ErrNotBuilt says that no version of the projection has been complete yet.
var ErrNotBuilt = errors.New("projection is not built yet")

// A Tx is the transaction in which an event is applied. It is good only during the call of Apply,
// in its goroutine.
//
// In the SQL of [Tx.Exec], [First] and [Query], {table} stands for the name of the projection's
// table. Arguments, for each ? in turn, are nil, bool, int, int64, float64, string, []byte and
// journal.Position. SQL is compiled once and kept, so it should be constant text.
type Tx struct {
	conn  sqlitefile.Conn
	table string
}

// Exec runs a statement that returns nothing.
func (t *Tx) Exec(sql string, args ...any) error {
	q, err := prepare(t.conn, t.table, sql, args)
	if err != nil {
		return err
	}
	return q.Run()
}

// First returns what scan makes of the first row that a query finds, and whether there is one.
func First[T any](t *Tx, scan func(Row) T, sql string, args ...any) (found T, ok bool, err error) {
	q, err := prepare(t.conn, t.table, sql, args)
	if err != nil {
		return found, false, err
	}
	defer q.End()
	if ok, err = q.Next(); ok {
		found = scan(Row{q.Stmt})
	}
	return found, ok, err
}

// Query returns what scan makes of each row that a query finds in the complete version of the
// projection: this process's, or, while that is being built, the one before. It fails with
// [ErrNotBuilt] when there is none, with journal.ErrInvalid when there are more than [MaxRows]
// rows, and with journal.ErrClosed when the projection is closed.
//
// The rows are of one moment, which may be a little behind the journal; see [Projection.Wait].
// scan must not call the projection.
func Query[T any](ctx context.Context, p *Projection, scan func(Row) T, sql string, args ...any) (rows []T, err error) {
	err = p.read(ctx, func(c sqlitefile.Conn, table string) error {
		q, err := prepare(c, table, sql, args)
		if err != nil {
			return err
		}
		defer q.End()
		for {
			row, err := q.Next()
			if err != nil || !row {
				return err
			}
			if len(rows) == MaxRows {
				return fmt.Errorf("%w: the query finds more than %d rows; give it a LIMIT", journal.ErrInvalid, MaxRows)
			}
			rows = append(rows, scan(Row{q.Stmt}))
		}
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// A Row is one row of a result. It is good only during the call that it is an argument of. Columns
// are counted from 0; NULL is the zero value.
type Row struct{ stmt *sqlite.Stmt }

// Int returns an integer.
func (r Row) Int(column int) int64 { return r.stmt.ColumnInt64(column) }

// Float returns a number.
func (r Row) Float(column int) float64 { return r.stmt.ColumnFloat(column) }

// Text returns a text.
func (r Row) Text(column int) string { return r.stmt.ColumnText(column) }

// Bytes returns a copy of a blob.
func (r Row) Bytes(column int) []byte {
	b := make([]byte, r.stmt.ColumnLen(column))
	r.stmt.ColumnBytes(column, b)
	return b
}

// Null reports whether the value is NULL.
func (r Row) Null(column int) bool { return r.stmt.ColumnIsNull(column) }

// prepare makes a query of SQL and its arguments.
func prepare(c sqlitefile.Conn, table, sql string, args []any) (sqlitefile.Query, error) {
	q := c.Query(strings.ReplaceAll(sql, "{table}", table))
	if q.Stmt == nil {
		return q, q.Run() // which says why
	}
	if n := q.Stmt.BindParamCount(); n != len(args) {
		return q, fmt.Errorf("%w: %d arguments for %d parameters of %s", journal.ErrInvalid, len(args), n, sql)
	}
	for i, arg := range args {
		if err := bind(q.Stmt, i+1, arg); err != nil {
			return q, fmt.Errorf("%w: argument %d of %s", err, i+1, sql)
		}
	}
	return q, nil
}

func bind(stmt *sqlite.Stmt, param int, arg any) error {
	switch v := arg.(type) {
	case nil:
		stmt.BindNull(param)
	case bool:
		stmt.BindBool(param, v)
	case int:
		stmt.BindInt64(param, int64(v))
	case int64:
		stmt.BindInt64(param, v)
	case journal.Position:
		stmt.BindInt64(param, int64(v))
	case float64:
		stmt.BindFloat(param, v)
	case string:
		stmt.BindText(param, v)
	case []byte:
		stmt.BindBytes(param, v)
	default:
		return fmt.Errorf("%w: no value of a column: %T", journal.ErrInvalid, arg)
	}
	return nil
}
