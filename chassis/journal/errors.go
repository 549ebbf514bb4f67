package journal

import (
	"errors"
	"fmt"
)

// Errors that engines wrap; test for them with errors.Is.
var (
	// ErrUnknownOutcome says that an append may or may not have been stored. Repeating it with
	// the same event IDs is safe and finds out.
	ErrUnknownOutcome = errors.New("outcome of the append is unknown")
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
	// ErrFailed says that the storage failed and the journal takes no more appends. What it has
	// acknowledged is as safe as the storage; only opening the journal anew tells what is there.
	ErrFailed = errors.New("journal storage failed")
	// ErrCorrupt says that stored data is damaged. Damaged events are never yielded.
	ErrCorrupt = errors.New("journal is damaged")
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
