package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

const (
	maxReaders     = 8        // connections for reading, fewer on small machines
	wholeCheck     = 16 << 20 // bytes of a file that is checked whole when it is opened
	newestCheck    = 4096     // events that are checked of a larger one
	checkpointWhen = 2000     // pages in the WAL
)

func readSalt(c *sqlite.Conn) (salt, error) {
	s, err := sqlitefile.Text(c, `SELECT value FROM meta WHERE name = 'salt'`)
	if err != nil {
		return "", err
	}
	if len(s) != 2*saltBytes {
		return "", fmt.Errorf("%w: salt of event IDs is %q", journal.ErrCorrupt, s)
	}
	return salt(s), nil
}

// openFile opens the journal in the file at path, or makes it.
func openFile(ctx context.Context, r journal.Request, path string) (journal.Journal, error) {
	size, err := kind.Inspect(path)
	if err != nil {
		return nil, err
	}
	s := &store{name: path, closed: make(chan struct{})}
	w, err := s.connect(sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	head, err := prepare(ctx, w, r)
	if err == nil {
		err = verify(ctx, w, head, size)
	}
	if err != nil {
		return nil, errors.Join(kind.Explain(path, err), w.Close())
	}
	if err := sqlitefile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(kind.Explain(path, err), w.Close())
	}
	first, err := s.reader(w.salt)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	s.pool = newPool(min(maxReaders, 2*runtime.GOMAXPROCS(0)), first, func() (*conn, error) { return s.reader(w.salt) }, s.closed)
	s.hub = newHub(head)
	s.hub.poll = s.pollPeers
	s.writer = newWriter(committer{conn: w, clock: r.Clock, patience: sqlitefile.LockWait, head: head, maxKnown: maxKnown}, s.hub, s.closed)
	return s, nil
}

// connect opens a connection to the file.
func (s *store) connect(flags sqlite.OpenFlags) (*conn, error) {
	c, err := kind.Connect(s.name, flags)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

// reader opens a connection that cannot write.
func (s *store) reader(ids salt) (*conn, error) {
	c, err := s.connect(0)
	if err != nil {
		return nil, err
	}
	if err = sqlitefile.Exec(c.Conn.Conn, "PRAGMA query_only = 1", "PRAGMA cache_size = -4096"); err == nil {
		c.salt, err = readSalt(c.Conn.Conn)
	}
	if err == nil && c.salt != ids {
		err = fmt.Errorf("%w: the file was replaced by another journal while it was open", journal.ErrFailed)
	}
	if err != nil {
		return nil, errors.Join(kind.Explain(s.name, err), c.Close())
	}
	return c, nil
}

// prepare makes the connection the writer's, with the schema in place, and returns the head.
func prepare(ctx context.Context, w *conn, r journal.Request) (journal.Position, error) {
	err := kind.Prepare(ctx, w.Conn,
		"PRAGMA cache_size = -16384",
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpointWhen),
		fmt.Sprintf("PRAGMA journal_size_limit = %d", 64<<20))
	if err != nil {
		return 0, err
	}
	if err := kind.Migrate(ctx, w.Conn, func(c *sqlite.Conn) error { return create(c, r.Rand) }); err != nil {
		return 0, err
	}
	if w.salt, err = readSalt(w.Conn.Conn); err != nil {
		return 0, err
	}
	return w.head()
}

// verify looks for damage: in the whole of a small file, in the newest events of a large one.
func verify(ctx context.Context, c *conn, head journal.Position, size int64) error {
	s := span{until: head, whole: true}
	if size <= wholeCheck {
		if err := kind.Check(c.Conn.Conn); err != nil {
			return err
		}
		if err := c.checkKept(); err != nil {
			return err
		}
	} else {
		s.after = head - min(head, newestCheck)
	}
	var b batch
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if done, err = c.read(&b, &s); err != nil {
			return err
		}
	}
	return nil
}

// checkKept looks for damage in what is kept beside the events.
func (c *conn) checkKept() error {
	for query, decode := range map[string]func(*sqlite.Stmt) error{
		querySnapshots:   func(row *sqlite.Stmt) error { _, err := decodeSnapshot(row); return err },
		queryCheckpoints: func(row *sqlite.Stmt) error { _, err := decodeCheckpoint(row); return err },
		queryLeases:      func(row *sqlite.Stmt) error { _, err := decodeLease(row); return err },
	} {
		if err := each(c.Query(query), decode); err != nil {
			return err
		}
	}
	return nil
}
