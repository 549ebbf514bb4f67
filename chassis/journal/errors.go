package journal

import (
	"errors"
	"fmt"
	"time"
)

// Errors that engines wrap; test for them with errors.Is.
var (
	// ErrUnknownOutcome says that an append, or another change, may or may not have been stored.
	// Repeating an append with the same event IDs is safe and finds out; of other changes, see
	// their own comments.
	ErrUnknownOutcome = errors.New("outcome is unknown")
	// ErrClosed says that the journal was closed.
	ErrClosed = errors.New("journal is closed")
	// ErrInvalid says that an argument is outside the limits of this package.
	ErrInvalid = errors.New("invalid argument")
	// ErrFull says that the storage has no room. Nothing was stored; appends succeed again when
	// there is room.
	ErrFull = errors.New("journal storage is full")
	// ErrBusy says that another process kept the journal locked for too long. Nothing was
	// stored; trying again later is safe.
	ErrBusy = errors.New("journal is locked by another process")
	// ErrUnavailable says that no server of the journal answered in time. Nothing was stored; trying
	// again later is safe.
	ErrUnavailable = errors.New("journal is unavailable")
	// ErrFailed says that the storage failed and the journal takes no more appends. What it has
	// acknowledged is as safe as the storage; only opening the journal anew tells what is there.
	ErrFailed = errors.New("journal storage failed")
	// ErrCorrupt says that stored data is damaged. Damaged events are never yielded.
	ErrCorrupt = errors.New("journal is damaged")
	// ErrLeaseLost says that a lease is not, or no longer, its holder's: it expired, was released,
	// or was granted again.
	ErrLeaseLost = errors.New("lease is lost")
	// ErrUnsupported says that the engine cannot do what was asked.
	ErrUnsupported = errors.New("not supported by this journal engine")
)

// A ConflictError says that a stream was not as an append expected; nothing was stored.
type ConflictError struct {
	Stream   string
	Expected Expect
	Actual   Version // 0: the stream has no events
}

// Error names the stream, what was expected and what was found.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("stream %q: expected %v, found %v", e.Stream, e.Expected, At(e.Actual))
}

// An IDReusedError says that an append used the ID of an event that is stored already and that
// the append as a whole is not a repetition of a stored one; nothing was stored.
type IDReusedError struct {
	Stream   string
	ID       string
	Position Position // where the event with this ID is stored
}

// Error names the stream, the ID and the position of its first use.
func (e *IDReusedError) Error() string {
	return fmt.Sprintf("stream %q: event ID %q is taken by the event at position %d, and this append does not repeat that one", e.Stream, e.ID, e.Position)
}

// A FutureError says that a reader asked for events after a position that the journal has not
// reached: it was made up, or comes from another journal.
type FutureError struct {
	After, Head Position
}

// Error names both positions.
func (e *FutureError) Error() string {
	return fmt.Sprintf("position %d is in the future: the journal ends at %d", e.After, e.Head)
}

// A CheckpointError says that a checkpoint was not where a move was to begin; it was not moved.
type CheckpointError struct {
	Name         string
	From, Actual Position
}

// Error names the checkpoint, where it was expected and where it is.
func (e *CheckpointError) Error() string {
	return fmt.Sprintf("checkpoint %q: expected at position %d, found at %d", e.Name, e.From, e.Actual)
}

// A FencedError says that a checkpoint was moved under a higher fence before: whoever holds the
// lower one has been replaced. The checkpoint was not moved.
type FencedError struct {
	Name           string
	Fence, Current Fence
}

// Error names the checkpoint and both fences.
func (e *FencedError) Error() string {
	return fmt.Sprintf("checkpoint %q: fence %d is stale, the checkpoint was moved under fence %d", e.Name, e.Fence, e.Current)
}

// A HeldError says that a lease is somebody else's.
type HeldError struct {
	Name, Holder string
	Expires      time.Time // unless it is renewed or released before
}

// Error names the lease, its holder and when it ends.
func (e *HeldError) Error() string {
	return fmt.Sprintf("lease %q: held by %q until %s", e.Name, e.Holder, e.Expires.UTC().Format(time.RFC3339Nano))
}
