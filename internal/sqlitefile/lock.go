package sqlitefile

import (
	"context"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
)

const (
	lockPoll = 250 * time.Microsecond // between attempts to get the write lock
	// LockWait is after which time an attempt to get it should fail.
	LockWait = 5 * time.Second
	// ReadWait is how long readers wait for another process that recovers the WAL.
	ReadWait = 5 * time.Second
)

// Begin opens a write transaction, waiting for the lock up to patience. onBusy, unless nil, is
// called when the lock was found taken.
func Begin(ctx context.Context, c Conn, patience time.Duration, onBusy func()) error {
	return UntilFree(ctx, patience, onBusy, func() error { return c.Query("BEGIN IMMEDIATE").Run() })
}

// UntilFree tries until no lock of another process is in the way, up to patience. SQLite's own way
// of waiting backs off to 100 ms and starves beside a busy process (worst append measured: 972 ms),
// so this one asks often.
func UntilFree(ctx context.Context, patience time.Duration, onBusy func(), try func() error) error {
	var deadline time.Time
	for {
		err := try()
		if err == nil || Diagnose(err) != Busy {
			return err
		}
		if onBusy != nil {
			onBusy()
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now.Add(patience)
		} else if now.After(deadline) {
			return fmt.Errorf("no lock within %v: %w", patience, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(lockPoll)
	}
}

// Rollback undoes the transaction if SQLite has not done so itself.
func Rollback(c *sqlite.Conn) {
	if !c.AutocommitEnabled() {
		// It can fail only where the transaction failed before, and that error is the one to tell.
		_ = Exec(c, "ROLLBACK")
	}
}
