package sqlite

import (
	"errors"
	"fmt"
	"sync"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// openMemory makes an empty journal that lives as long as its one connection.
func openMemory(r journal.Request) (journal.Journal, error) {
	c, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open database in memory: %w", err)
	}
	s := &store{name: "mem:", closed: make(chan struct{})}
	only := newConn(sqlitefile.Conn{Conn: c})
	if only.salt, err = prepareMemory(c, r); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s.memory = &committer{conn: only, clock: r.Clock, patience: sqlitefile.LockWait, onPeer: func() {}, maxKnown: maxKnown}
	s.pool = newPool(1, only, nil, s.closed)
	s.hub = newHub(0)
	return s, nil
}

// prepareMemory copies the schema rather than have SQLite make it, which takes several times as long.
func prepareMemory(c *sqlite.Conn, r journal.Request) (salt, error) {
	empty, err := emptyDatabase()
	if err != nil {
		return "", err
	}
	if err := c.Deserialize("main", empty); err != nil {
		return "", err
	}
	s, err := newSalt(r.Rand)
	if err != nil {
		return "", err
	}
	return s, sqlitefile.Exec(c, insertSalt(s))
}

// emptyDatabase is a database with the schema and nothing else. Its pages are of a quarter of the usual size: it has
// a dozen of them, few of which are ever full in the many small journals of tests.
var emptyDatabase = sync.OnceValues(func() (_ []byte, err error) {
	c, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open database in memory: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := sqlitefile.Exec(c, "PRAGMA page_size = 1024", "BEGIN"); err != nil {
		return nil, err
	}
	if err := errors.Join(kind.Create(c), sqlitefile.Exec(c, "COMMIT")); err != nil {
		return nil, err
	}
	return c.Serialize("main")
})
