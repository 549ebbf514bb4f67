package journal

import (
	"context"
	"iter"
	"time"
)

// A Position is the place of an event in the journal's one order. Positions strictly increase in
// the order in which events become visible, may have holes, and stay below 2⁶³. 0 is the place
// before the first event.
type Position uint64

// A Version is the position of a stream's last event, 0 for a stream without events. It grows
// with every append but is not a count of events.
type Version = Position

// An Event is one fact to be appended. Its limits are checked by [ValidateAppend].
type Event struct {
	// ID tells a repeated append from a new one and is unique within its stream. In one append
	// either every event has an ID or none has; to those without, the engine gives IDs that are
	// unique in the journal, and such an append must not be repeated after [ErrUnknownOutcome].
	ID string
	// Type says what kind of fact it is, such as "disc-dropped". It is never empty.
	Type string
	// Data is the fact itself, in whatever encoding the service chose. It may be empty.
	Data []byte
}

// A Batch is an append to one stream, as a part of one to several.
type Batch struct {
	Stream string
	Expect Expect
	Events []Event
}

// Recorded is an event as the journal keeps it.
type Recorded struct {
	Event
	// Stream is the stream that the event was appended to.
	Stream string
	// Position is the event's place in the journal.
	Position Position
	// Time is when the journal took the event, in UTC, by the clock of the process that appended
	// it. Clocks jump: order events by Position, never by Time.
	Time time.Time
}

// A Filter selects events; one is selected when it satisfies every field that is set. The zero
// value selects all.
type Filter struct {
	// Stream is the one stream whose events are wanted. Engines find them without looking at the
	// events of other streams. It excludes StreamPrefix.
	Stream string
	// StreamPrefix is what names of wanted streams begin with. Engines may have to look at every
	// event to find them.
	StreamPrefix string
	// Types are the wanted event types, at most [MaxFilterTypes]; none means all types.
	Types []string
}

// A Journal keeps streams of events in one global order. Implementations are safe for concurrent
// use, and several processes may have the same journal open where the engine says so.
//
// Reads are linearizable: whatever an Append has acknowledged before a read began, the read sees,
// whichever process appended it.
//
// The sequences returned by Read, All and Subscribe do their work when ranged over, and start
// anew with each range. A pair with an error is the last one: when ctx ends its error is
// ctx.Err(), when the journal is closed ErrClosed. Events of a sequence may share memory, so
// whoever keeps the Data of few events for long copies it; Data must not be modified. No lock is
// held while the loop body runs, which may therefore call the journal.
type Journal interface {
	// Append stores events at the end of stream, all or none, if the stream is as expected, and
	// returns the stream's new version. When it returns nil the events are durable.
	//
	// Errors: a *ConflictError when the stream is not as expected; a *IDReusedError when an ID of
	// the append is taken by another event; ErrInvalid, ErrFull, ErrBusy, ErrUnavailable, ErrClosed
	// or ErrFailed. With each of these, and with ctx.Err() alone, nothing was stored. After ErrUnknownOutcome
	// the events may be stored, or yet become so, and the journal may still read their Data;
	// call again with the same events, including their IDs, to find out.
	//
	// An append whose events are all stored already, with the same IDs, types and data and one
	// after another, is a repetition: it stores nothing, whatever it expects, and returns the
	// version that the first one returned.
	Append(ctx context.Context, stream string, expect Expect, events ...Event) (Version, error)

	// AppendMany appends to several streams in one transaction: everything is stored, or nothing.
	// It returns the position of the last event of the last batch. Errors are those of Append,
	// about the first stream that is not as expected; an engine that cannot do this answers
	// ErrUnsupported and has stored nothing. Each stream occurs once, and either every event of
	// all batches has an ID or none has.
	//
	// It is a repetition when that is true of the events of all batches, one batch after another.
	AppendMany(ctx context.Context, batches ...Batch) (Position, error)

	// Read yields the events of one stream that come after the given position, up to the last
	// one at the time the range began. A stream that does not exist has none. It yields a
	// *FutureError when after lies beyond the journal's head.
	Read(ctx context.Context, stream string, after Version) iter.Seq2[Recorded, error]

	// Version returns the position of the stream's last event, 0 when it has none.
	Version(ctx context.Context, stream string) (Version, error)

	// All yields the selected events that come after the given position, up to the head at the
	// time the range began. It yields a *FutureError when after lies beyond the head.
	All(ctx context.Context, after Position, filter Filter) iter.Seq2[Recorded, error]

	// Subscribe yields what All yields and then waits for more, until ctx ends. A subscriber may
	// be as slow as it likes: it holds nothing up and skips nothing.
	Subscribe(ctx context.Context, after Position, filter Filter) iter.Seq2[Recorded, error]

	// Head returns the position of the last event, 0 for an empty journal.
	Head(ctx context.Context) (Position, error)

	// Snapshots keeps states of streams beside the journal.
	Snapshots() Snapshots
	// Checkpoints keeps how far readers have come.
	Checkpoints() Checkpoints
	// Leases keeps who may do what only one may do.
	Leases() Leases

	// Close lets appends that are being written finish, refuses the rest with ErrClosed, ends
	// all sequences and releases what the journal holds. What Snapshots, Checkpoints and Leases
	// returned answers ErrClosed from then on. Closing again does nothing.
	Close() error
}
