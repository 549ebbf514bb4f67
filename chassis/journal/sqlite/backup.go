package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// backupPages is how much is copied between two looks at ctx: 4 MiB.
const backupPages = 1024

// Backup implements [journal.Backuper] with SQLite's backup API. The copy is a journal in a single
// file that a file: URL opens. It is made under another name in the same directory, synced, and
// only then given its name.
func (s *store) Backup(ctx context.Context, path string) (err error) {
	if err := vacant(path); err != nil {
		return err
	}
	part := fmt.Sprintf("%s.%s.part", path, rand.Text()[:8])
	defer os.Remove(part) // fails when it was never made, or was renamed
	if err := s.copyTo(ctx, part); err != nil {
		return err
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := name(part, path); err != nil {
		return err
	}
	if err := sqlitefile.SyncDir(filepath.Dir(path)); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// name gives the file part the name path as well. Unlike a rename, a link never replaces what
// somebody put there meanwhile, but some file systems (FAT, SMB) have no links.
func name(part, path string) error {
	err := os.Link(part, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		if err = vacant(path); err == nil {
			err = os.Rename(part, path)
		}
	}
	return err
}

// vacant refuses a path that exists.
func vacant(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fmt.Errorf("%w; name a file that does not exist yet", fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("directory cannot be used, make it first: %w", err)
	}
	return nil
}

// copyTo copies the database to a new file. The source's connection stays in one read transaction
// all the while, so that the copy is of one moment however much is appended.
func (s *store) copyTo(ctx context.Context, path string) (err error) {
	return s.with(ctx, func(src *conn) error {
		defer sqlitefile.Rollback(src.Conn.Conn)
		// BEGIN alone does not look at the database yet, and it is the look that holds the moment.
		if err := sqlitefile.Exec(src.Conn.Conn, "BEGIN", queryHead); err != nil {
			return kind.Explain(s.name, err)
		}
		dst, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
		if err != nil {
			return kind.Explain(path, err)
		}
		if err := s.copyPages(ctx, dst, src.Conn.Conn); err != nil {
			return errors.Join(kind.Explain(path, err), dst.Close())
		}
		return dst.Close()
	})
}

// copyPages copies until ctx ends or the journal is closed, which waits for it.
func (s *store) copyPages(ctx context.Context, dst, src *sqlite.Conn) error {
	// The copy is worth nothing before it is complete, and is synced then.
	if err := sqlitefile.Exec(dst, "PRAGMA journal_mode = off", "PRAGMA synchronous = off"); err != nil {
		return err
	}
	b, err := sqlite.NewBackup(dst, "main", src, "main")
	if err != nil {
		return err
	}
	defer b.Close()
	for more := true; more; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closed:
			return journal.ErrClosed
		default:
		}
		if more, err = b.Step(backupPages); err != nil {
			return err
		}
	}
	return nil
}

// syncFile makes the contents of a closed file durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
