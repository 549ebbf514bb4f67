package sqlite

import (
	"fmt"
	"io"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// kind is what journals are among SQLite files: "rwjl".
//
// Streams have numbers, so that an event's row need not repeat the name. What a record is, says
// record.go; events that came with an ID are listed in ids too.
var kind = sqlitefile.Kind{
	Noun:          "journal",
	ApplicationID: 0x72776a6c,
	Version:       1,
	Schema: []sqlitefile.Object{
		{Name: "meta", SQL: `CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`},
		{Name: "streams", SQL: `CREATE TABLE streams(stream INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sum INTEGER NOT NULL) STRICT`},
		{Name: "events", SQL: `CREATE TABLE events(pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, record BLOB NOT NULL) STRICT`},
		{Name: "events_stream", SQL: `CREATE INDEX events_stream ON events(stream)`},
		{Name: "ids", SQL: `CREATE TABLE ids(stream INTEGER NOT NULL, id TEXT NOT NULL, pos INTEGER NOT NULL, PRIMARY KEY(stream, id)) STRICT, WITHOUT ROWID`},
	},
	Later: []sqlitefile.Object{
		{Name: "snapshots", SQL: `CREATE TABLE snapshots(stream INTEGER PRIMARY KEY, version INTEGER NOT NULL, schema INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`},
		{Name: "checkpoints", SQL: `CREATE TABLE checkpoints(name TEXT PRIMARY KEY, pos INTEGER NOT NULL, fence INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID`},
		{Name: "leases", SQL: `CREATE TABLE leases(name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, ttl INTEGER NOT NULL, expires INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID`},
	},
	Remedy:  "restore it from a backup",
	Invalid: journal.ErrInvalid, Corrupt: journal.ErrCorrupt, Busy: journal.ErrBusy, Full: journal.ErrFull, Failed: journal.ErrFailed,
}

// create writes the schema into an empty database. It runs in the caller's transaction.
func create(c *sqlite.Conn, random io.Reader) error {
	salt, err := newSalt(random)
	if err != nil {
		return err
	}
	return kind.Create(c, insertSalt(salt))
}

func insertSalt(s salt) string {
	return fmt.Sprintf(`INSERT INTO meta(name, value) VALUES('salt', '%s')`, s)
}
