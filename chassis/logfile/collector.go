package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// CollectorOptions say what a [Collector] does with the segments of a directory. A zero field
// means its default, but for Dir, which is needed.
type CollectorOptions struct {
	// Dir is the directory of the segments.
	Dir string
	// Bucket takes compressed segments. Without one they are kept in Dir alone.
	Bucket Bucket
	// Prefix begins the keys in the bucket; behind it come stream, day and name:
	// PREFIX/access/2026/11/28/access-20261128T153351.123456Z-3-4711-1.log.gz. It should tell
	// services and machines apart. By default there is none.
	Prefix string
	// Every is how long it waits between two rounds, 5 s by default.
	Every time.Duration
	// Linger is how long a sealed segment is left as it is after its last line, none by default. It is
	// for programs that follow segments and look for new ones now and then: they must find one
	// before it is compressed. Want of space cuts it short.
	Linger time.Duration
	// Keep is how long compressed segments stay in Dir after their last line, a week by default.
	// One that the bucket is to have, and has not, is kept longer.
	Keep time.Duration
	// Budget is how many bytes the files of Dir may have, 1 GiB by default. Above it the oldest
	// segments are removed: first those that the bucket has, then others, whose lines are
	// counted as dropped. What is being written counts, but stays.
	Budget int64
	// Timeout bounds one upload, 5 min by default.
	Timeout time.Duration
	// Log, if not nil, is told of what went wrong, once for as long as it is the same, and with nil
	// when it is over. It is called by the goroutine that collects.
	Log func(err error)
	// Clock is the real one by default.
	Clock clock.Clock
}

// A Collector compresses, uploads and removes the segments of a directory. Make one with
// [NewCollector] and have [Collector.Run] run. It is safe for concurrent use.
//
//	sealed ──▶ .gz.part ──sync, rename──▶ .gz ──▶ packed* ──▶ bucket ──verified──▶ uploaded* ──▶ removed* ──▶ gone
//
// At each * a record is in the manifest (manifest.jsonl) before anything that follows from it is
// done. Each step can be done again, so a kill at any point loses and doubles none: what is left
// of a step that was not finished is never uploaded. A segment for whose compressed file the disk
// has no space is uploaded as it is compressed.
//
// One process at a time collects, by a lock on the file collector.lock; others wait for it.
type Collector struct {
	o    CollectorOptions
	wake chan struct{}

	work     sync.Mutex // held during a round, and for what follows
	lease    *os.File   // nil when another process has it
	manifest *manifest  // nil without the lease
	retries  map[Name]retry
	logged   string

	mu    sync.Mutex
	full  bool // somebody has told that the disk is
	stats CollectorStats
}

// retry is when a segment may be uploaded again.
type retry struct {
	failed int
	after  time.Time
}

// CollectorStats are the counts of a [Collector] since it was made. What is not a count tells of
// the end of the last round, and is zero where another process collects.
type CollectorStats struct {
	// Active reports that this process collects.
	Active bool
	// Waiting segments are sealed, and not where they are to be: in the bucket, or without one compressed.
	Waiting int
	// WaitingBytes is what they have on this disk.
	WaitingBytes int64
	// Lag is how long ago the oldest waiting segment was last written to.
	Lag time.Duration
	// Disk is what the files of the directory have, in bytes.
	Disk int64
	// Packed and Uploaded are segments that went through these steps, Bytes what was uploaded.
	Packed, Uploaded, Bytes uint64
	// Errors counts what went wrong.
	Errors uint64
	// LastError is what went wrong in the last round, nil when nothing did.
	LastError error
	// Streams has the lines of each stream.
	Streams map[string]Lines
}

// Lines are lines of a stream by what became of them.
type Lines struct {
	Uploaded uint64 // the bucket has them
	Expired  uint64 // removed when their time or space was up; with a bucket, those it has
	Dropped  uint64 // removed though the bucket does not have them
}

// ErrBusy is what Collect returns when another process collects.
var ErrBusy = errors.New("another process collects the segments")

// NewCollector returns a collector, which has done nothing yet.
func NewCollector(o CollectorOptions) (*Collector, error) {
	if o.Dir == "" {
		return nil, errors.New("collect log segments: want a directory")
	}
	if o.Prefix != "" && !fs.ValidPath(o.Prefix) {
		return nil, fmt.Errorf("collect log segments: prefix: want a slash-separated path without empty parts, . and .., got %q", o.Prefix)
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	if o.Budget <= 0 {
		o.Budget = 1 << 30
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.Log == nil {
		o.Log = func(error) {}
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	return &Collector{o: o, wake: make(chan struct{}, 1), retries: map[Name]retry{}, stats: CollectorStats{Streams: map[string]Lines{}}}, nil
}

// Run collects until ctx ends. Then it lets another process go on, and returns nil. What goes
// wrong is told by Log and Stats, and tried again.
func (c *Collector) Run(ctx context.Context) error {
	defer c.release()
	for ctx.Err() == nil {
		_ = c.Collect(ctx) // told
		due := make(chan struct{})
		timer := c.o.Clock.AfterFunc(c.o.Every, func() { close(due) })
		select {
		case <-due:
		case <-c.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// Collect does one round: everything that can be done now. It keeps the lease for the next one
// until [Collector.Close].
func (c *Collector) Collect(ctx context.Context) error {
	c.work.Lock()
	defer c.work.Unlock()
	err := c.acquire()
	if errors.Is(err, errHeld) {
		c.settle(nil, nil)
		return ErrBusy
	}
	var files *listing
	if err == nil {
		files, err = c.round(ctx)
	}
	if ctx.Err() != nil {
		return err // which is what came of that
	}
	c.settle(files, err)
	c.tell(err)
	return err
}

// Close lets another process collect. The collector may be used again.
func (c *Collector) Close() { c.release() }

// Full says that a write has failed because the disk is full. Segments that the bucket has are
// removed at once, an eighth of them and the oldest first.
func (c *Collector) Full() {
	c.mu.Lock()
	c.full = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // a round is about to begin
	}
}

// Stats returns the counts so far.
func (c *Collector) Stats() CollectorStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Streams = maps.Clone(s.Streams)
	return s
}

const leaseName = "collector.lock"

// acquire takes the lease and reads the manifest.
func (c *Collector) acquire() error {
	path := filepath.Join(c.o.Dir, leaseName)
	if c.lease != nil {
		there, err := os.Stat(path)
		here, err2 := c.lease.Stat()
		if err == nil && err2 == nil && os.SameFile(there, here) {
			return nil
		}
		c.letGo() // somebody has removed the directory
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("collect log segments: %w", err)
	}
	if err := lock(f); err != nil {
		return errors.Join(err, f.Close())
	}
	m, damaged, err := openManifest(c.o.Dir, c.o.Budget)
	if err != nil {
		return errors.Join(fmt.Errorf("collect log segments: %w", err), f.Close())
	}
	c.lease, c.manifest = f, m
	if damaged != nil {
		c.tell(damaged)
	}
	return nil
}

func (c *Collector) release() {
	c.work.Lock()
	defer c.work.Unlock()
	c.letGo()
	c.settle(nil, nil)
}

func (c *Collector) letGo() {
	if c.lease == nil {
		return
	}
	_ = c.manifest.close() // every write to it was synced
	_ = c.lease.Close()
	c.lease, c.manifest = nil, nil
	clear(c.retries)
}

// settle shows what is known after a round; files is nil when another process knows better.
func (c *Collector) settle(files *listing, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stats
	s.Active, s.Waiting, s.WaitingBytes, s.Lag, s.Disk, s.LastError = c.lease != nil, 0, 0, 0, 0, err
	if err != nil {
		s.Errors++
	}
	if files == nil {
		return
	}
	s.Disk = files.disk
	for _, w := range files.waiting(c) {
		s.Waiting++
		s.WaitingBytes += w.size
		s.Lag = max(s.Lag, c.o.Clock.Now().Sub(w.until))
	}
}

// tell logs what is new.
func (c *Collector) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != c.logged {
		c.logged = text
		c.o.Log(err)
	}
}

// count changes the counts of a stream.
func (c *Collector) count(change func(*CollectorStats, *Lines), stream string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.stats.Streams[stream]
	change(&c.stats, &lines)
	c.stats.Streams[stream] = lines
}
