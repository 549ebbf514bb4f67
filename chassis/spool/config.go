package spool

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// OnFull says what becomes of a record for which there is no room.
type OnFull int

const (
	// Block has Put wait for room until its context ends: for what must not be lost, such as metering.
	// Raise an alarm when the spool fills, because its callers stand still when it is full.
	Block OnFull = iota
	// DropOldest removes the oldest records that nobody holds a lease on and counts them: for what is
	// worth less the older it is, such as error reports.
	DropOldest
	// Reject has Put fail at once with [ErrFull]: for callers who know what else to do.
	Reject
)

var onFullNames = []string{"block", "drop-oldest", "reject"}

// String is the name as it stands in configuration: block, drop-oldest or reject.
func (o OnFull) String() string {
	if o < Block || o > Reject {
		return fmt.Sprintf("OnFull(%d)", int(o))
	}
	return onFullNames[o]
}

// MarshalText implements [encoding.TextMarshaler].
func (o OnFull) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (o *OnFull) UnmarshalText(text []byte) error {
	for i, name := range onFullNames {
		if string(text) == name {
			*o = OnFull(i)
			return nil
		}
	}
	return fmt.Errorf("want block, drop-oldest or reject, got %q", text)
}

// A Limit bounds what a spool holds.
type Limit struct {
	// Bytes bounds the records, parked ones included, each reckoned as [Record.Size] says; 256 MiB by
	// default. The file is larger by a part that docs/spool.md tells how to reckon.
	Bytes config.Size `config:"bytes" doc:"size of all records in the spool together"`
	// Age is how old a record becomes before it is dropped and counted, reckoned from when it was
	// first put; none by default. A record under a lease is not dropped before the lease ends.
	Age time.Duration `config:"age" doc:"age at which a record is dropped; 0: none"`
	// OnFull says what becomes of a record that does not fit: Block by default.
	OnFull OnFull `config:"on_full" doc:"what becomes of a record that does not fit: block, drop-oldest or reject"`
}

// Config is how a spool works. A zero field means its default. Processes that share a file should
// share the configuration too; each goes by its own.
type Config struct {
	Limit Limit `config:"limit"`
	// MaxRecord bounds the body of one record, 1 MiB by default and 16 MiB at most.
	MaxRecord config.Size `config:"max_record" doc:"size of one record's body at most"`
	// MaxTries is how often a record is handed out before it is parked, 10 by default and 1,000 at
	// most. Times that it was released ([Spool.Release]) do not count; leases that ended without an
	// answer do, because the record may have killed its process.
	MaxTries int `config:"max_tries" doc:"how often delivery of a record is tried before it is parked"`
	// SetAside has [Open] rename a damaged file to PATH.damaged-TIME and begin a new spool, with the
	// loss counted under [Damaged]. Otherwise a damaged file is an error.
	SetAside bool `config:"set_aside" doc:"begin a new spool when the file is damaged, and keep the damaged one under another name"`

	// Clock is what leases, ages and waits go by; nil means the machine's.
	Clock clock.Clock `config:"-"`
}

const (
	defaultBytes   = 256 << 20
	minBytes       = 64 << 10
	defaultRecord  = 1 << 20
	maxRecord      = 16 << 20
	defaultTries   = 10
	maxTries       = 1000
	maxLeaseRows   = 1000
	maxLeaseBytes  = 16 << 20
	maxListed      = 1000
	maxLease       = 24 * time.Hour
	maxReasonBytes = 1000
)

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Limit.Bytes == 0 {
		c.Limit.Bytes = defaultBytes
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = min(defaultRecord, c.Limit.Bytes/2)
	}
	if c.MaxTries == 0 {
		c.MaxTries = defaultTries
	}
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
}

// Validate refuses bounds that are none. Defaults must have been set.
func (c *Config) Validate() error {
	var errs []error
	if c.Limit.Bytes < minBytes || c.Limit.Bytes > math.MaxInt64/2 {
		errs = append(errs, config.Invalid("limit.bytes", "want %d or more, got %d", minBytes, int64(c.Limit.Bytes)))
	}
	if c.Limit.Age < 0 {
		errs = append(errs, config.Invalid("limit.age", "want 0 for none, or more, got %v", c.Limit.Age))
	}
	if c.Limit.OnFull < Block || c.Limit.OnFull > Reject {
		errs = append(errs, config.Invalid("limit.on_full", "want block, drop-oldest or reject, got %v", c.Limit.OnFull))
	}
	if c.MaxRecord < 1 || c.MaxRecord > maxRecord || c.MaxRecord > c.Limit.Bytes/2 {
		errs = append(errs, config.Invalid("max_record", "want from 1 byte to %d and at most half of limit.bytes, got %d", maxRecord, int64(c.MaxRecord)))
	}
	if c.MaxTries < 1 || c.MaxTries > maxTries {
		errs = append(errs, config.Invalid("max_tries", "want from 1 to %d, got %d", maxTries, c.MaxTries))
	}
	return errors.Join(errs...)
}
