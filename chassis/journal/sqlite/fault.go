package sqlite

import (
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// a fault says what an error of SQLite means for a transaction.
type fault int

const (
	faultRequest fault = iota // only the append that met it is wrong
	faultBusy                 // another process holds the lock
	faultFull                 // no room
	faultStorage              // the storage cannot be trusted any more
)

// diagnose sorts errors by SQLite's result codes (https://sqlite.org/rescode.html).
func diagnose(err error) fault {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultConstraint, sqlite.ResultTooBig, sqlite.ResultMismatch, sqlite.ResultRange:
		return faultRequest
	case sqlite.ResultBusy:
		return faultBusy
	case sqlite.ResultFull:
		return faultFull
	}
	return faultStorage
}

// mark wraps an error that is not about one request in the error of package journal that says the
// same.
func (f fault) mark(err error) error {
	switch f {
	case faultBusy:
		return fmt.Errorf("%w: %w", journal.ErrBusy, err)
	case faultFull:
		return fmt.Errorf("%w: %w", journal.ErrFull, err)
	}
	return fmt.Errorf("%w: %w", journal.ErrFailed, marked(err))
}

// marked adds ErrCorrupt to SQLite's own findings of damage.
func marked(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%w: %w", journal.ErrCorrupt, err)
	}
	return err
}

// explain says what an error while opening the file at path means to whoever runs the service.
func explain(path string, err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultNotADB:
		return fmt.Errorf("%s: %w: it is not a SQLite database; restore it from a backup, or name a file that does not exist yet: %w", path, journal.ErrCorrupt, err)
	case sqlite.ResultCorrupt:
		return fmt.Errorf("%s: %w: restore it from a backup: %w", path, journal.ErrCorrupt, err)
	case sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultPerm:
		return fmt.Errorf("%s: cannot be written; let this process write the file and its directory %s: %w", path, filepath.Dir(path), err)
	case sqlite.ResultBusy, sqlite.ResultFull:
		err = diagnose(err).mark(err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
