package sqlitefile

import (
	"context"
	"fmt"
	"slices"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A Kind is what files of one room are, and the words of that room.
type Kind struct {
	Noun          string // what a file is, such as "journal"
	ApplicationID int64  // what marks a SQLite file as one
	// Version is the newest schema that this code knows. Later versions only add to it, because
	// during a reload a process with the older code works on the same file.
	Version int64
	Schema  []Object
	Later   []Object // tables and indexes that were added to a version; made in files that lack them
	Remedy  string   // what to do about a damaged file, such as "restore it from a backup"

	Invalid, Corrupt, Busy, Full, Failed error // what errors wrap
}

// An Object is a table or an index.
type Object struct{ Name, SQL string }

// Create writes the schema into an empty database, and runs further statements. It runs in the
// caller's transaction.
func (k *Kind) Create(c *sqlite.Conn, statements ...string) error {
	var script []string
	for _, o := range slices.Concat(k.Schema, k.Later) {
		script = append(script, o.SQL)
	}
	script = append(script, statements...)
	return Exec(c, append(script,
		fmt.Sprintf(`PRAGMA application_id = %d`, k.ApplicationID),
		fmt.Sprintf(`PRAGMA user_version = %d`, k.Version),
	)...)
}

// Identify looks at what is in the database, refuses what is not of this kind and version, and
// reports whether it is empty. It looks at one moment of it, as another process may be making it.
func (k *Kind) Identify(c *sqlite.Conn) (empty bool, err error) {
	// Not sqlitex.Save, which panics when it cannot go back, as in a file cut short.
	if c.AutocommitEnabled() {
		if err := Exec(c, "BEGIN"); err != nil {
			return false, err
		}
		defer Rollback(c)
	}
	app, err := Number(c, `PRAGMA application_id`)
	if err != nil {
		return false, err
	}
	version, err := Number(c, `PRAGMA user_version`)
	if err != nil {
		return false, err
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
		return false, err
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return true, nil
	case app != k.ApplicationID:
		return false, fmt.Errorf("%w: the file is a SQLite database of another application (application_id %#x, %d tables and indexes); name a file that does not exist yet", k.Invalid, app, tables)
	case version > k.Version:
		return false, fmt.Errorf("%w: the %s has schema version %d, made by a newer release; this one knows versions up to %d", k.Invalid, k.Noun, version, k.Version)
	case version < 1:
		return false, fmt.Errorf("%w: the %s has schema version %d; versions start at 1", k.Corrupt, k.Noun, version)
	}
	for _, o := range k.Schema {
		if found[o.Name] != o.SQL {
			return false, fmt.Errorf("%w: schema of %s is %q", k.Corrupt, o.Name, found[o.Name])
		}
	}
	for _, o := range k.Later {
		if sql, ok := found[o.Name]; ok && sql != o.SQL {
			return false, fmt.Errorf("%w: schema of %s is %q", k.Corrupt, o.Name, sql)
		}
	}
	return false, nil
}

// Prepare switches the connection to write-ahead logging and has each commit synced. Nothing is
// written before the file is known to be of the kind, or empty.
func (k *Kind) Prepare(ctx context.Context, c Conn, pragmas ...string) error {
	var mode string
	// SQLite does not wait for who switches to write-ahead logging at the same time.
	err := UntilFree(ctx, LockWait, nil, func() (err error) {
		if _, err = k.Identify(c.Conn); err == nil {
			mode, err = Text(c.Conn, "PRAGMA journal_mode = wal")
		}
		return err
	})
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: the file system cannot do write-ahead logging (journal mode is %q); put the file on a local disk", k.Invalid, mode)
	}
	if err := Exec(c.Conn, append([]string{"PRAGMA synchronous = full"}, pragmas...)...); err != nil {
		return err
	}
	c.SetBusyTimeout(0) // Begin has its own way of waiting
	return nil
}

// Migrate brings an empty database to the current schema with create, and one of an earlier release
// by adding what came later, in a transaction that looks again: another process may be at it too.
// Processes of the earlier release that have the file open do not mind.
func (k *Kind) Migrate(ctx context.Context, c Conn, create func(*sqlite.Conn) error) (err error) {
	if err := Begin(ctx, c, LockWait, nil); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			Rollback(c.Conn)
		}
	}()
	empty, err := k.Identify(c.Conn)
	if err != nil {
		return err
	}
	if empty {
		err = create(c.Conn)
	} else {
		// BEGIN IMMEDIATE succeeds on a file that cannot be written; this fails there.
		err = Exec(c.Conn, "DELETE FROM "+k.Schema[0].Name+" WHERE 0")
		for i := 0; i < len(k.Later) && err == nil; i++ {
			err = k.add(c, k.Later[i])
		}
	}
	if err != nil {
		return err
	}
	return Exec(c.Conn, "COMMIT")
}

// add makes a table or an index unless it is there.
func (k *Kind) add(c Conn, o Object) error {
	n, err := c.Query("SELECT count(*) FROM sqlite_schema WHERE name = ?").Text(1, o.Name).One()
	if err != nil || n > 0 {
		return err
	}
	return Exec(c.Conn, o.SQL)
}

// Check has SQLite look for damage in the whole file.
func (k *Kind) Check(c *sqlite.Conn) error {
	verdict, err := Text(c, "PRAGMA integrity_check(1)")
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("%w: %s; %s", k.Corrupt, verdict, k.Remedy)
	}
	return err
}
