package sqlitefile

import (
	"fmt"
	"path/filepath"

	"zombiezen.com/go/sqlite"
)

// A Fault says what an error of SQLite means for a transaction.
type Fault int

// The faults.
const (
	Request Fault = iota // only the call that met it is wrong
	Busy                 // another process holds the lock
	Full                 // no room
	Storage              // the storage cannot be trusted any more
)

// Diagnose sorts errors by SQLite's result codes (https://sqlite.org/rescode.html).
func Diagnose(err error) Fault {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultConstraint, sqlite.ResultTooBig, sqlite.ResultMismatch, sqlite.ResultRange:
		return Request
	case sqlite.ResultBusy:
		return Busy
	case sqlite.ResultFull:
		return Full
	}
	return Storage
}

// Mark wraps an error that is not about one request in the error of k that says the same.
func (k *Kind) Mark(err error) error {
	switch Diagnose(err) {
	case Busy:
		return fmt.Errorf("%w: %w", k.Busy, err)
	case Full:
		return fmt.Errorf("%w: %w", k.Full, err)
	}
	return fmt.Errorf("%w: %w", k.Failed, k.Damage(err))
}

// Damage adds k.Corrupt to SQLite's own findings of damage.
func (k *Kind) Damage(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return fmt.Errorf("%w: %w", k.Corrupt, err)
	}
	return err
}

// Explain says what an error while opening the file at path means to whoever runs the service.
func (k *Kind) Explain(path string, err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultNotADB:
		return fmt.Errorf("%s: %w: it is not a SQLite database; %s, or name a file that does not exist yet: %w", path, k.Corrupt, k.Remedy, err)
	case sqlite.ResultCorrupt:
		return fmt.Errorf("%s: %w: %s: %w", path, k.Corrupt, k.Remedy, err)
	case sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultPerm:
		return fmt.Errorf("%s: cannot be written; let this process write the file and its directory %s: %w", path, filepath.Dir(path), err)
	case sqlite.ResultBusy, sqlite.ResultFull:
		err = k.Mark(err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
