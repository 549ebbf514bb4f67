// Package sqlite is the embedded engine of chassis/journal: a journal in one file, or in memory.
//
//	mem:            a new, empty journal in memory; every opening makes another one
//	file:PATH       a journal in a SQLite database, made when PATH does not exist
//
// The directory of PATH must exist and be writable, on a local disk: SQLite shares memory between
// the processes that have the file open, which network file systems cannot. Beside PATH live
// PATH-wal and PATH-shm; to copy a journal that may be in use, call [journal.Backup].
//
// # Durability and speed
//
// The database is in WAL mode with synchronous=FULL: an append is on the disk before it is
// acknowledged. One goroutine writes. It folds the appends that wait, at most 512, into one
// transaction and one fsync, so that alone an append costs about one fsync and 64 callers together
// reach many times that rate. A conflict fails only its own append. At most 1,024 appends wait;
// more callers wait for a place until their context ends.
//
// Appends to several streams, snapshots, checkpoints and leases are changes of the same file and go the
// same way; each is one row with a checksum, or none.
//
// In memory the same code runs on one connection without that goroutine. There is room for 1 GiB; an append
// that finds none is refused with [journal.ErrFull].
//
// # Two processes
//
// Several processes may have the file open and append to it, as two do during a reload. SQLite
// alone would let the busier one starve the other, so the writer lets go of the file for a
// millisecond after each commit while there are signs of another writer (it found the file locked,
// or events it did not write), and every 100 ms in any case. Subscribers see what other processes
// append within about 20 ms.
//
// # Damage
//
// Positions are dense, each event names the one before it in its stream, and each row has a
// CRC-32C over all of this and its data. Every event is checked when it is read, and one that is
// damaged, or the place of one that is missing, yields an error that wraps [journal.ErrCorrupt]
// instead of an event. Opening checks the whole of a file of up to 16 MiB, which takes about a tenth
// of a second, and the schema and the newest 4,096 events of a larger one.
//
// When the storage fails (an error of write or fsync, not a full disk) the journal stops taking
// appends for good with [journal.ErrFailed], because after a failed fsync nobody knows what the
// disk has; the process should exit and open the journal anew.
package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Engine opens mem: and file: URLs for [journal.Open]. It must not be changed.
var Engine = journal.Engine{Schemes: []string{"file", "mem"}, Open: open}

func open(ctx context.Context, r journal.Request) (journal.Journal, error) {
	if r.Scheme == "mem" {
		if r.Rest != "" {
			return nil, fmt.Errorf("%w: mem: takes nothing after the colon", journal.ErrInvalid)
		}
		return openMemory(r)
	}
	path, err := parsePath(r.Rest)
	if err != nil {
		return nil, err
	}
	if r.Dry {
		return openMemory(r)
	}
	return openFile(ctx, r, path)
}

// parsePath returns the absolute path that the rest of a file: URL names. The path stands as it
// is, without escapes; ? and # are kept free for options.
func parsePath(rest string) (string, error) {
	path := rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(after, "/") {
			return "", fmt.Errorf("%w: file:%s names a host; write file:PATH or file:///PATH", journal.ErrInvalid, rest)
		}
		path = after
	}
	switch {
	case path == "":
		return "", fmt.Errorf("%w: file: names no file; write file:PATH, such as file:games.db", journal.ErrInvalid)
	case path == ":memory:":
		return "", fmt.Errorf("%w: file::memory: is no file; use the URL mem: instead", journal.ErrInvalid)
	case strings.HasSuffix(path, "/"):
		return "", fmt.Errorf("%w: file:%s names a directory; write file:%sNAME.db", journal.ErrInvalid, rest, rest)
	}
	if i := strings.IndexAny(path, "?#\x00"); i >= 0 {
		return "", fmt.Errorf("%w: file:%s: a path cannot contain %q", journal.ErrInvalid, rest, path[i])
	}
	return filepath.Abs(path)
}
