package sqlite

import (
	"context"
	"fmt"
	"io"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	// applicationID marks a SQLite file as a journal: "rwjl".
	applicationID = 0x72776a6c
	// schemaVersion is the newest schema this code knows. Later versions only add to it, because
	// during a reload a process with the older code works on the same file.
	schemaVersion = 1
)

// Streams have numbers, so that an event's row need not repeat the name. What a record is, says
// record.go; events that came with an ID are listed in ids too.
var schema = []struct{ name, sql string }{
	{"meta", `CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`},
	{"streams", `CREATE TABLE streams(stream INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sum INTEGER NOT NULL) STRICT`},
	{"events", `CREATE TABLE events(pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, record BLOB NOT NULL) STRICT`},
	{"events_stream", `CREATE INDEX events_stream ON events(stream)`},
	{"ids", `CREATE TABLE ids(stream INTEGER NOT NULL, id TEXT NOT NULL, pos INTEGER NOT NULL, PRIMARY KEY(stream, id)) STRICT, WITHOUT ROWID`},
}

// create writes the schema into an empty database. It runs in the caller's transaction.
func create(c *sqlite.Conn, random io.Reader) error {
	salt, err := newSalt(random)
	if err != nil {
		return err
	}
	var script []string
	for _, s := range schema {
		script = append(script, s.sql)
	}
	return exec(c, append(script,
		fmt.Sprintf(`INSERT INTO meta(name, value) VALUES('salt', '%s')`, salt),
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion),
	)...)
}

// a kind is what a database turned out to be.
type kind int

const (
	empty   kind = iota // no tables at all
	current             // a journal with the schema above
)

// identify looks at what is in the database and refuses what is no journal of this version. It
// looks at one moment of it, as another process may be making the journal.
func identify(c *sqlite.Conn) (k kind, err error) {
	defer sqlitex.Save(c)(&err)
	app, err := number(c, `PRAGMA application_id`)
	if err != nil {
		return 0, err
	}
	version, err := number(c, `PRAGMA user_version`)
	if err != nil {
		return 0, err
	}
	found, tables := map[string]string{}, 0
	err = sqlitex.ExecuteTransient(c, `SELECT name, sql FROM sqlite_schema LIMIT 1000`, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			found[stmt.ColumnText(0)] = stmt.ColumnText(1)
			tables++
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return empty, nil
	case app != applicationID:
		return 0, fmt.Errorf("%w: the file is a SQLite database of another application (application_id %#x, %d tables and indexes); name a file that does not exist yet", journal.ErrInvalid, app, tables)
	case version > schemaVersion:
		return 0, fmt.Errorf("%w: the journal has schema version %d, made by a newer release; this one knows versions up to %d", journal.ErrInvalid, version, schemaVersion)
	case version < 1:
		return 0, fmt.Errorf("%w: the journal has schema version %d; versions start at 1", journal.ErrCorrupt, version)
	}
	for _, s := range schema {
		if found[s.name] != s.sql {
			return 0, fmt.Errorf("%w: schema of %s is %q", journal.ErrCorrupt, s.name, found[s.name])
		}
	}
	return current, nil
}

func number(c *sqlite.Conn, query string) (n int64, err error) {
	err = sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { n = stmt.ColumnInt64(0); return nil },
	})
	return n, err
}

func text(c *sqlite.Conn, query string) (s string, err error) {
	err = sqlitex.ExecuteTransient(c, query, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error { s = stmt.ColumnText(0); return nil },
	})
	return s, err
}

// exec runs statements that return nothing, one after another.
func exec(c *sqlite.Conn, statements ...string) error {
	for _, sql := range statements {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// migrate brings an empty database to the current schema, in a transaction that looks again:
// another process may be at it too.
func migrate(ctx context.Context, c *conn, random io.Reader) (err error) {
	if err := begin(ctx, c, lockWait, nil); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			rollback(c.Conn)
		}
	}()
	k, err := identify(c.Conn)
	if err != nil {
		return err
	}
	if k == empty {
		err = create(c.Conn, random)
	} else {
		// BEGIN IMMEDIATE succeeds on a file that cannot be written; this fails there.
		err = exec(c.Conn, "DELETE FROM meta WHERE 0")
	}
	if err != nil {
		return err
	}
	return exec(c.Conn, "COMMIT")
}
