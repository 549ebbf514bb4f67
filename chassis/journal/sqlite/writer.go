package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A request is one append, or another change. It belongs to the caller before it is queued, to the
// committer until that is done with it, and then to the caller again.
type request struct {
	batches []journal.Batch // of an append
	change  *change         // nil: it is an append
	version journal.Version // of the last batch's stream after the append
	err     error
}

// A change is what a request does that is no append.
type change struct {
	what string // in errors, such as `save a snapshot of stream "a"`
	size int    // bytes of data
	// do reads and writes in the transaction that now is the time of. A refusal says why nothing
	// was written; err is an error of SQLite. It may be called again after it was undone.
	do func(c *conn, now time.Time) (wrote bool, refusal, err error)
}

// what says what the request is for.
func (r *request) what() string {
	switch {
	case r.change != nil:
		return r.change.what
	case len(r.batches) == 1:
		return fmt.Sprintf("append to stream %q", r.batches[0].Stream)
	}
	return fmt.Sprintf("append to %d streams, the first being %q", len(r.batches), r.batches[0].Stream)
}

func (r *request) bytes() (n int) {
	if r.change != nil {
		return r.change.size
	}
	for _, b := range r.batches {
		for i := range b.Events {
			n += len(b.Events[i].Data)
		}
	}
	return n
}

// A writer commits the requests to a file in groups, and tells the hub.
type writer struct {
	committer
	*sqlitefile.Writer[*request]
	hub *hub
}

func newWriter(t committer, h *hub, closing <-chan struct{}) *writer {
	w := &writer{committer: t, hub: h}
	w.Writer = sqlitefile.NewWriter(func(group []*request) {
		if w.commit(group) {
			w.hub.advance(w.head)
		}
	}, (*request).bytes, closing)
	w.onBusy = w.NotePeer
	w.onPeer = w.NotePeer
	return w
}

// do queues the request and waits for the answer.
func (w *writer) do(ctx context.Context, r *request) error {
	switch w.Do(ctx, r) {
	case sqlitefile.Withdrawn:
		return ctx.Err()
	case sqlitefile.Closed:
		return journal.ErrClosed
	case sqlitefile.Unknown:
		return fmt.Errorf("%s: %w: %w", r.what(), journal.ErrUnknownOutcome, ctx.Err())
	}
	return r.err
}
