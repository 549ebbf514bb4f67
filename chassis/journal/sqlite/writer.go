package sqlite

import (
	"context"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A request is one append. It belongs to the caller before it is queued, to the committer until that is
// done with it, and then to the caller again.
type request struct {
	stream  string
	expect  journal.Expect
	events  []journal.Event
	version journal.Version
	err     error
}

func (r *request) bytes() (n int) {
	for i := range r.events {
		n += len(r.events[i].Data)
	}
	return n
}

// A writer commits the appends to a file in groups, and tells the hub.
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

// append queues the request and waits for the answer.
func (w *writer) append(ctx context.Context, r *request) (journal.Version, error) {
	switch w.Do(ctx, r) {
	case sqlitefile.Withdrawn:
		return 0, ctx.Err()
	case sqlitefile.Closed:
		return 0, journal.ErrClosed
	case sqlitefile.Unknown:
		return 0, fmt.Errorf("append to stream %q: %w: %w", r.stream, journal.ErrUnknownOutcome, ctx.Err())
	}
	return r.version, r.err
}
