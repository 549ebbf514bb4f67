package projection

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// kind is what files of projections are among SQLite files: "rwpj".
var kind = sqlitefile.Kind{
	Noun:          "projection",
	ApplicationID: 0x7277706a,
	Version:       1,
	Schema: []sqlitefile.Object{
		{Name: "projections", SQL: `CREATE TABLE projections(name TEXT NOT NULL, version INTEGER NOT NULL, definition TEXT NOT NULL, pos INTEGER NOT NULL, events INTEGER NOT NULL, complete INTEGER NOT NULL, PRIMARY KEY(name, version)) STRICT, WITHOUT ROWID`},
		{Name: "pointers", SQL: `CREATE TABLE pointers(name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID`},
	},
	Remedy:  "remove it, and it is built again from the journal",
	Invalid: journal.ErrInvalid, Corrupt: journal.ErrCorrupt, Busy: journal.ErrBusy, Full: journal.ErrFull, Failed: journal.ErrFailed,
}

const (
	wholeCheck = 16 << 20 // bytes of a file that is checked whole when it is opened
	maxReaders = 4        // connections for queries

	queryState = `SELECT definition, pos, events, complete FROM projections WHERE name = ? AND version = ?`
	queryStale = `SELECT version FROM projections WHERE name = ?1 AND version <> ?2 AND version NOT IN (SELECT version FROM pointers WHERE name = ?1) LIMIT 1`
	// The process's own version if it is complete, else the one that was completed last.
	queryServed = `SELECT version FROM (
	SELECT version, 0 AS rank FROM projections WHERE name = ?1 AND version = ?2 AND complete
	UNION ALL SELECT version, 1 FROM pointers WHERE name = ?1) ORDER BY rank LIMIT 1`

	insertState = `INSERT INTO projections(name, version, definition, pos, events, complete) VALUES(?, ?, ?, 0, 0, 0)`
	deleteState = `DELETE FROM projections WHERE name = ? AND version = ?`
	updateState = `UPDATE projections SET pos = ?, events = ?, complete = ? WHERE name = ? AND version = ?`
	putPointer  = `INSERT OR REPLACE INTO pointers(name, version) VALUES(?, ?)`
)

// A state is how far a version has come.
type state struct {
	pos      journal.Position
	events   uint64 // applied
	complete bool   // it has been at the head
}

// parseURL returns the path that a URL names, empty for memory.
func parseURL(url string) (path string, err error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case url == "mem:":
		return "", nil
	case scheme != "file" || rest == "" || rest == ":memory:" || strings.ContainsAny(rest, "?#\x00") || strings.HasPrefix(rest, "//"):
		return "", fmt.Errorf("%w: %q is no place for a projection; write mem: or file:PATH, such as file:standings.db", journal.ErrInvalid, url)
	}
	return filepath.Abs(rest)
}

// connect opens a connection for queries, or the one and only in memory.
func connect(path string) (sqlitefile.Conn, error) {
	if path == "" {
		c, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite, sqlite.OpenCreate)
		if err != nil {
			return sqlitefile.Conn{}, fmt.Errorf("open database in memory: %w", err)
		}
		if err := kind.Create(c); err != nil {
			return sqlitefile.Conn{}, errors.Join(err, c.Close())
		}
		return sqlitefile.Conn{Conn: c}, nil
	}
	c, err := kind.Connect(path, 0)
	if err != nil {
		return c, err
	}
	if err := sqlitefile.Exec(c.Conn, "PRAGMA query_only = 1"); err != nil {
		return sqlitefile.Conn{}, errors.Join(kind.Explain(path, err), c.Close())
	}
	return c, nil
}

// connectWriter opens the connection that writes the file at path, and makes the file if need be.
func connectWriter(ctx context.Context, path string) (sqlitefile.Conn, error) {
	size, err := kind.Inspect(path)
	if err != nil {
		return sqlitefile.Conn{}, err
	}
	c, err := kind.Connect(path, sqlite.OpenCreate)
	if err != nil {
		return c, err
	}
	err = kind.Prepare(ctx, c, "PRAGMA synchronous = normal", "PRAGMA cache_size = -16384")
	if err == nil {
		err = kind.Migrate(ctx, c, func(c *sqlite.Conn) error { return kind.Create(c) })
	}
	if err == nil && size <= wholeCheck {
		err = kind.Check(c.Conn)
	}
	if err != nil {
		return sqlitefile.Conn{}, errors.Join(kind.Explain(path, err), c.Close())
	}
	return c, nil
}

// enter makes the spec's version known to the file, with its table, and drops versions that nobody
// needs.
func enter(ctx context.Context, c sqlitefile.Conn, s *Spec) (at state, err error) {
	err = transact(ctx, c, func() error {
		if at, err = load(c, s); !errors.Is(err, errDropped) {
			return err
		}
		err := sqlitefile.Exec(c.Conn, fmt.Sprintf("CREATE TABLE %s(%s) STRICT", table(s.Name, int64(s.Version)), s.Columns))
		if err != nil {
			return err
		}
		return c.Query(insertState).Text(1, s.Name).Number(2, int64(s.Version)).Text(3, s.definition()).Run()
	})
	for err == nil {
		var dropped bool
		if dropped, err = dropStale(ctx, c, s); !dropped {
			break
		}
	}
	return at, err
}

// errDropped says that the file does not know the version.
var errDropped = errors.New("a process with another version has dropped it")

// load returns how far the spec's version has come.
func load(c sqlitefile.Conn, s *Spec) (at state, err error) {
	q := c.Query(queryState).Text(1, s.Name).Number(2, int64(s.Version))
	defer q.End()
	row, err := q.Next()
	if err != nil {
		return at, err
	}
	if !row {
		return at, errDropped
	}
	if was := q.Stmt.ColumnText(0); was != s.definition() {
		return at, fmt.Errorf("%w: version %d was %s and is now %s; count up the version", journal.ErrInvalid, s.Version, was, s.definition())
	}
	return state{journal.Position(q.Stmt.ColumnInt64(1)), uint64(q.Stmt.ColumnInt64(2)), q.Stmt.ColumnInt64(3) != 0}, nil
}

// dropStale drops one version that is neither the spec's nor complete last, and reports whether
// there was one.
func dropStale(ctx context.Context, c sqlitefile.Conn, s *Spec) (dropped bool, err error) {
	err = transact(ctx, c, func() error {
		version, err := c.Query(queryStale).Text(1, s.Name).Number(2, int64(s.Version)).One()
		if err != nil || version == 0 {
			return err
		}
		dropped = true
		if err := sqlitefile.Exec(c.Conn, "DROP TABLE IF EXISTS "+table(s.Name, version)); err != nil {
			return err
		}
		return c.Query(deleteState).Text(1, s.Name).Number(2, version).Run()
	})
	return dropped && err == nil, err
}

// transact runs f in a write transaction, which is undone when f fails or panics.
func transact(ctx context.Context, c sqlitefile.Conn, f func() error) error {
	defer sqlitefile.Rollback(c.Conn) // of nothing, after a commit
	if err := sqlitefile.Begin(ctx, c, sqlitefile.LockWait, nil); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.Query("COMMIT").Run()
}
