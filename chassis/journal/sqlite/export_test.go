package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// SetMaxPages makes the disk of a file as small as n pages. No append may be going on.
func SetMaxPages(j journal.Journal, n int) error {
	return sqlitefile.Exec(j.(*store).writer.Conn.Conn, fmt.Sprintf("PRAGMA max_page_count = %d", n))
}

// SetPatience is how long appends wait for other writers. No append may be going on.
func SetPatience(j journal.Journal, d time.Duration) { j.(*store).writer.patience = d }

// Forgetful has a journal in a file remember the places of n streams. No append may be going on.
func Forgetful(j journal.Journal, n int) { j.(*store).writer.maxKnown = n }

// Borrow takes a connection from readers until release is called.
func Borrow(ctx context.Context, j journal.Journal) (release func(), err error) {
	p := j.(*store).pool
	c, err := p.acquire(ctx)
	return func() { p.release(c) }, err
}

// Crowd has the connection of a journal in memory remember as many stream names as it can, all of no
// stream. No call may be going on.
func Crowd(j journal.Journal) {
	names := &j.(*store).memory.names
	for i := range int64(manyNames) {
		names.put(-1-i, "of no stream")
	}
}

// FailLook says that the last look at what other processes append failed with err.
func FailLook(j journal.Journal, err error) { j.(*store).hub.fail(err) }

// Queued is how many appends wait to be taken.
func Queued(j journal.Journal) int { return j.(*store).writer.Queued() }

// Watchers is how many subscriptions there are.
func Watchers(j journal.Journal) int {
	h := j.(*store).hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watchers
}

const (
	WholeCheck  = wholeCheck
	NewestCheck = newestCheck
	MaxWaiting  = sqlitefile.MaxWaiting
)
