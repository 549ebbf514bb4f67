package journal

import "context"

// A Snapshot is the state of a stream at one of its versions, so that whoever needs the state can
// begin there instead of at the first event.
type Snapshot struct {
	// Version is the version of the stream that the state belongs to.
	Version Version
	// Schema is what version of the service's encoding Data has. A service counts it up whenever
	// the encoding, or what the events add up to, changes.
	Schema uint32
	// Data is the state in the service's encoding, at most [MaxDataBytes].
	Data []byte
}

// Snapshots keeps at most one snapshot for each stream. A snapshot can always be made again from
// the events, so a service works without any, only slower. Implementations are safe for concurrent
// use.
type Snapshots interface {
	// Load returns the snapshot of the stream, and whether there is one with the given schema. One
	// with another schema is as good as none. Its Data must not be modified.
	//
	// Go on with Read after the snapshot's version.
	Load(ctx context.Context, stream string, schema uint32) (Snapshot, bool, error)

	// Save keeps s for the stream, in place of the one that was there. If that has the same schema
	// and a higher version it stays, and Save returns nil: somebody else was faster.
	//
	// Errors: ErrInvalid, also when the stream has not reached the snapshot's version; those of the
	// journal. After ErrUnknownOutcome saving again is safe.
	Save(ctx context.Context, stream string, s Snapshot) error
}
