package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	readBusy       = 5 * time.Second // how long readers wait for another process that recovers the WAL
	maxReaders     = 8               // connections for reading, fewer on small machines
	wholeCheck     = 16 << 20        // bytes of a file that is checked whole when it is opened
	newestCheck    = 4096            // events that are checked of a larger one
	checkpointWhen = 2000            // pages in the WAL
)

// openMemory makes an empty journal that lives as long as its one connection.
func openMemory(r journal.Request) (journal.Journal, error) {
	c, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open database in memory: %w", err)
	}
	s := &store{name: "mem:", closed: make(chan struct{})}
	only := newConn(c)
	if only.salt, err = prepareMemory(c, r); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s.memory = &committer{conn: only, clock: r.Clock, patience: lockWait, onPeer: func() {}}
	s.pool = newPool(1, only, nil, s.closed)
	s.hub = newHub(0)
	return s, nil
}

func prepareMemory(c *sqlite.Conn, r journal.Request) (salt, error) {
	if err := exec(c, "BEGIN"); err != nil {
		return "", err
	}
	if err := errors.Join(create(c, r.Rand), exec(c, "COMMIT")); err != nil {
		return "", err
	}
	return readSalt(c)
}

func readSalt(c *sqlite.Conn) (salt, error) {
	s, err := text(c, `SELECT value FROM meta WHERE name = 'salt'`)
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
	size, err := inspect(path)
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
		return nil, errors.Join(explain(path, err), w.Close())
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(explain(path, err), w.Close())
	}
	first, err := s.reader(w.salt)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	s.pool = newPool(min(maxReaders, 2*runtime.GOMAXPROCS(0)), first, func() (*conn, error) { return s.reader(w.salt) }, s.closed)
	s.hub = newHub(head)
	s.hub.poll = s.pollPeers
	s.writer = newWriter(committer{conn: w, clock: r.Clock, patience: lockWait, head: head}, s.hub, s.closed)
	return s, nil
}

// inspect looks at path without opening it, because closing a database file by other means than
// SQLite's drops the locks that this process holds on it, and returns the size of the file.
func inspect(path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); err != nil {
			return 0, fmt.Errorf("%s: directory %s cannot be used, make it first: %w", path, dir, err)
		}
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look at journal file: %w", err)
	case info.IsDir():
		return 0, fmt.Errorf("%s: %w: it is a directory; name a file in it, such as %s", path, journal.ErrInvalid, filepath.Join(path, "journal.db"))
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s: %w: it is no regular file (%v)", path, journal.ErrInvalid, info.Mode().Type())
	}
	return info.Size(), nil
}

// connect opens a connection to the file.
func (s *store) connect(flags sqlite.OpenFlags) (*conn, error) {
	c, err := sqlite.OpenConn(s.name, sqlite.OpenReadWrite, flags)
	if err != nil {
		return nil, explain(s.name, err)
	}
	c.SetBusyTimeout(readBusy)
	return newConn(c), nil
}

// reader opens a connection that cannot write.
func (s *store) reader(ids salt) (*conn, error) {
	c, err := s.connect(0)
	if err != nil {
		return nil, err
	}
	if err = exec(c.Conn, "PRAGMA query_only = 1", "PRAGMA cache_size = -4096"); err == nil {
		c.salt, err = readSalt(c.Conn)
	}
	if err == nil && c.salt != ids {
		err = fmt.Errorf("%w: the file was replaced by another journal while it was open", journal.ErrFailed)
	}
	if err != nil {
		return nil, errors.Join(explain(s.name, err), c.Close())
	}
	return c, nil
}

// prepare makes the connection the writer's, with the schema in place, and returns the head.
// Nothing is written before the file is known to be a journal, or empty.
func prepare(ctx context.Context, w *conn, r journal.Request) (journal.Position, error) {
	var mode string
	// SQLite does not wait for who switches to write-ahead logging at the same time.
	err := untilFree(ctx, lockWait, nil, func() (err error) {
		if _, err = identify(w.Conn); err == nil {
			mode, err = text(w.Conn, "PRAGMA journal_mode = wal")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if mode != "wal" {
		return 0, fmt.Errorf("%w: the file system cannot do write-ahead logging (journal mode is %q); put the file on a local disk", journal.ErrInvalid, mode)
	}
	err = exec(w.Conn,
		"PRAGMA synchronous = full",
		"PRAGMA cache_size = -16384",
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpointWhen),
		fmt.Sprintf("PRAGMA journal_size_limit = %d", 64<<20))
	if err != nil {
		return 0, err
	}
	w.SetBusyTimeout(0) // begin has its own way of waiting
	if err := migrate(ctx, w, r.Rand); err != nil {
		return 0, err
	}
	if w.salt, err = readSalt(w.Conn); err != nil {
		return 0, err
	}
	return w.head()
}

// verify looks for damage: in the whole of a small file, in the newest events of a large one.
func verify(ctx context.Context, c *conn, head journal.Position, size int64) error {
	s := span{until: head}
	if size <= wholeCheck {
		verdict, err := text(c.Conn, "PRAGMA integrity_check(1)")
		if err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("%w: %s; restore it from a backup", journal.ErrCorrupt, verdict)
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

// syncDir makes the names of new files in dir durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it keeps names durable itself, and cannot sync a directory
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
