package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// wholeCheck is up to which size a file is checked whole when it is opened.
const wholeCheck = 16 << 20

// openConn opens the file, or makes it, and looks for damage.
func openConn(ctx context.Context, path string) (sqlitefile.Conn, error) {
	size, err := kind.Inspect(path)
	if err != nil {
		return sqlitefile.Conn{}, err
	}
	c, err := kind.Connect(path, sqlite.OpenCreate)
	if err != nil {
		return c, err
	}
	err = kind.Prepare(ctx, c, "PRAGMA cache_size = -8192", "PRAGMA wal_autocheckpoint = 1000", "PRAGMA journal_size_limit = 8388608")
	if err == nil {
		err = kind.Migrate(ctx, c, func(c *sqlite.Conn) error { return kind.Create(c) })
	}
	if err == nil && size <= wholeCheck {
		err = kind.Check(c.Conn)
	}
	if err != nil {
		return c, errors.Join(kind.Explain(path, err), c.Close())
	}
	if err := sqlitefile.SyncDir(filepath.Dir(path)); err != nil {
		return c, errors.Join(kind.Explain(path, err), c.Close())
	}
	return c, nil
}

// wantsRoom reports whether an error of openConn may be for want of room on the disk. Files that cannot be made
// or grow for that give other errors than those that are written.
func wantsRoom(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultCantOpen:
		return true
	}
	return false
}

// setAside renames a damaged file, which nobody else may have open, and returns how many records it
// says it held, 0 when that cannot be read.
func setAside(path string, l *lock, at time.Time) (lost int64, err error) {
	if err := l.exclusive(); err != nil {
		return 0, fmt.Errorf("%s: cannot be set aside while another process has it open: %w", path, err)
	}
	if c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly); err == nil {
		lost, _ = sqlitefile.Number(c, `SELECT value FROM counters WHERE name = 'records'`)
		_ = c.Close()
	}
	to := fmt.Sprintf("%s.damaged-%s", path, at.UTC().Format("20060102T150405.000000000"))
	// The database first: a log without one is removed by SQLite, but one without its log would be
	// opened, and lack what was put last.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("set the damaged spool aside: %w", err)
		}
	}
	return max(0, lost), sqlitefile.SyncDir(filepath.Dir(path))
}
