package spool

import (
	"fmt"
	"time"
)

const (
	// MaxIDBytes and MaxKindBytes bound the text of a record.
	MaxIDBytes   = 255
	MaxKindBytes = 255
	// overhead is what a record is reckoned to take of [Limit].Bytes besides its ID, kind and body:
	// its row and its places in three indexes.
	overhead = 128
)

// A Record is something to be delivered.
type Record struct {
	// ID names the record: 1 to 255 bytes, unique among the records that are in the spool. It is the
	// same each time the record is delivered, so that receivers can tell a repetition.
	ID string
	// Kind is for the receiver, such as the type of an event or the path of a webhook: up to 255
	// bytes, and may be empty.
	Kind string
	// Body is what is delivered, up to [Config].MaxRecord bytes. The spool does not look at it.
	Body []byte
}

// Size is what the record takes of [Limit].Bytes.
func (r Record) Size() int64 {
	return int64(overhead + len(r.ID) + len(r.Kind) + len(r.Body))
}

func (r Record) validate(maxBody int) error {
	switch {
	case r.ID == "":
		return fmt.Errorf("%w: the record has no ID; give it one that is the same when it is put again", ErrInvalid)
	case len(r.ID) > MaxIDBytes:
		return fmt.Errorf("%w: the record's ID has %d bytes, want at most %d", ErrInvalid, len(r.ID), MaxIDBytes)
	case len(r.Kind) > MaxKindBytes:
		return fmt.Errorf("%w: record %q: its kind has %d bytes, want at most %d", ErrInvalid, r.ID, len(r.Kind), MaxKindBytes)
	case len(r.Body) > maxBody:
		return fmt.Errorf("%w: record %q: its body has %d bytes, want at most %d (Config.MaxRecord)", ErrInvalid, r.ID, len(r.Body), maxBody)
	}
	return nil
}

// A Leased is a record that is handed out, and to nobody else before Until.
type Leased struct {
	Record
	Put   time.Time // when it was first put
	Tries int       // how often it has been handed out, this time included and releases apart
	Until time.Time // when the lease ends

	seq   int64
	lease int64
}

// A Parked is a record that is not handed out any more.
type Parked struct {
	Record
	Put    time.Time // when it was first put
	Tries  int       // how often it was handed out
	Parked time.Time // when it was parked
	Reason string    // why, as far as it is known
}
