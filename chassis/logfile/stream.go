package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// StreamOptions say where and how a [Stream] writes. A zero field means its default, but for Dir
// and Stream, which are needed.
type StreamOptions struct {
	// Dir is the directory of the segments; it is made if need be, one level of it, readable for
	// its owner and group.
	Dir string
	// Stream is the name of the log: see [ValidStream].
	Stream string
	// Generation is the number of the worker.
	Generation int
	// MaxSize is the number of bytes that a segment has at most, 64 MiB by default. A write that
	// is larger has a segment of its own.
	MaxSize int64
	// MaxAge is when a segment that has lines is ended, an hour after it was begun by default. It
	// may be up to as much older if the clock's timers are late.
	MaxAge time.Duration
	// Full, if not nil, is called after a write that has failed for want of space. It must not
	// block and must not use the stream.
	Full func()
	// Clock is the real one by default.
	Clock clock.Clock
}

// A Stream writes a log as segments. Make one with [Open]. It is safe for concurrent use.
//
// Each Write is of whole lines and goes into one segment, by one system call and without a
// buffer: what has been written survives a kill of the process. It is not synced to the disk, so
// a machine that loses power may lose the last seconds.
//
// When a write fails half-way, because the disk is full, what it left of a line is cut off again.
// A segment or directory that somebody renames or removes is left and another one begun, as with
// accesslog.File. When no other segment can be begun, because there are no inodes or descriptors,
// the one before goes on beyond its size and age.
type Stream struct {
	o StreamOptions

	mu     sync.Mutex
	file   *os.File // nil while there is none
	name   Name
	size   int64
	number int  // of the last segment
	shown  bool // the link leads here
	taken  bool // it has led here, so that from now on others may have taken over
	behind bool // it is to be moved, and another process was at it
	failed bool // the last write, for another reason than space
	closed bool
	timer  clock.Timer
	mode   fs.FileMode // of the directory
	stats  StreamStats
}

// StreamStats are the counts of a [Stream] since it was opened.
type StreamStats struct {
	// Segment is the name of the file that is written, without its directory.
	Segment string
	// Segments were begun, this one included.
	Segments uint64
	// Bytes were written.
	Bytes uint64
	// Errors counts writes that failed and segments that could not be begun.
	Errors uint64
	// LastError is the latest of them, nil if there was none.
	LastError error
}

var errHeld = errors.New("the file is locked by another process")

// ErrClosed is what a stream's methods return after Close.
var ErrClosed = errors.New("the log is closed")

// Open begins the first segment of a stream, so that a directory that cannot be written to is known
// at once. The link leads to it after [Stream.Show].
func Open(o StreamOptions) (*Stream, error) {
	if err := ValidStream(o.Stream); err != nil {
		return nil, err
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 20
	}
	if o.MaxAge <= 0 {
		o.MaxAge = time.Hour
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	s := &Stream{o: o, mode: 0o750}
	if err := os.Mkdir(o.Dir, s.mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("directory of the log %s: %w", o.Stream, err)
	}
	if info, err := os.Stat(o.Dir); err == nil {
		s.mode = info.Mode().Perm()
	}
	if err := checkLink(o.Dir, o.Stream); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.next(); err != nil {
		return nil, fmt.Errorf("begin a segment of the log %s: %w", o.Stream, err)
	}
	return s, nil
}

// Write appends p, which consists of whole lines. A line break at its beginning, with which an
// accesslog.Writer ends a line that was torn off, is left out of a segment that is empty. The
// number of bytes that it returns with an error is that of whole lines, which are kept.
func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.write(p)
	if noSpace(err) && s.o.Full != nil {
		s.o.Full()
	}
	return n, err
}

func (s *Stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	switch {
	case s.failed || s.moved():
		s.seal() // even if there can be no other: what was removed takes space while it is open
		if err := s.next(); err != nil {
			return 0, err
		}
	case s.size > 0 && s.size+int64(len(p)) > s.o.MaxSize:
		_ = s.next() // counted; the segment goes on when there can be no other
	}
	skipped := 0
	if s.size == 0 && len(p) > 0 && p[0] == '\n' {
		skipped = 1
	}
	n, err := s.file.Write(p[skipped:])
	if err != nil {
		n = s.cut(p[skipped:], n)
		s.count(err)
		s.failed = !noSpace(err) // which another segment would not have either
	}
	s.size += int64(n)
	s.stats.Bytes += uint64(n)
	if s.behind {
		_ = s.lead(s.name) // counted
	}
	return n + skipped, err
}

// cut takes the piece of a line that a failed write has left off the end of the segment, and
// returns how many of the n bytes are still there.
func (s *Stream) cut(p []byte, n int) int {
	whole := bytes.LastIndexByte(p[:n], '\n') + 1
	if whole < n && s.file.Truncate(s.size+int64(whole)) != nil {
		return n
	}
	return whole
}

func (s *Stream) count(err error) {
	s.stats.Errors++
	s.stats.LastError = err
}

// moved reports whether the name of the segment leads elsewhere. Where that cannot be told, it
// stays.
func (s *Stream) moved() bool {
	if s.file == nil {
		return true
	}
	there, err := os.Stat(s.path())
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	}
	here, err := s.file.Stat()
	return err == nil && !os.SameFile(there, here)
}

func (s *Stream) path() string { return filepath.Join(s.o.Dir, s.name.String()+suffix) }

// next begins a segment and seals the one before. On an error that one, if there is one, stays.
func (s *Stream) next() error {
	file, name, err := s.create()
	if err != nil {
		s.count(err)
		return err
	}
	if s.shown {
		// Before the other one is sealed: a link to one that nobody writes is anybody's.
		_ = s.lead(name) // counted; the log is written all the same
	}
	s.seal()
	s.file, s.name, s.size, s.failed = file, name, 0, false
	s.stats.Segments++
	s.stats.Segment = filepath.Base(s.path())
	s.arm()
	return nil
}

// create makes a file that no process has had and holds it.
func (s *Stream) create() (*os.File, Name, error) {
	const tries = 10 // whoever removes directories, or collects empty segments, may be quick to do it again
	for try := 1; ; try++ {
		s.number++
		name := Name{s.o.Stream, s.o.Clock.Now().UTC().Truncate(time.Microsecond), s.o.Generation, os.Getpid(), s.number}
		path := filepath.Join(s.o.Dir, name.String()+suffix)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
		if err == nil {
			if err = s.hold(f, path); err == nil {
				return f, name, nil
			}
			_ = f.Close() // nothing was written to it
		} else if errors.Is(err, fs.ErrNotExist) {
			if err := os.MkdirAll(s.o.Dir, s.mode); err != nil {
				return nil, name, err
			}
		}
		again := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, errHeld)
		if !again || try == tries {
			return nil, name, err
		}
	}
}

// hold locks a new segment. A collector that came before has found it empty and removed it.
func (s *Stream) hold(f *os.File, path string) error {
	if err := lock(f); err != nil {
		if !errors.Is(err, errHeld) {
			_ = os.Remove(path)
		}
		return err
	}
	there, err := os.Stat(path)
	if err != nil {
		return err
	}
	if here, err := f.Stat(); err != nil || !os.SameFile(there, here) {
		return errors.Join(err, fs.ErrNotExist)
	}
	return nil
}

// seal lets go of the segment, if there is one. One without a line is removed.
func (s *Stream) seal() {
	if s.file == nil {
		return
	}
	if s.size == 0 && !s.moved() {
		_ = os.Remove(s.path()) // if it stays, a collector removes it
	}
	_ = s.file.Close() // every write to it has told of its own errors
	s.file = nil
}

// arm has the segment end when it is old enough.
func (s *Stream) arm() {
	if s.timer != nil {
		s.timer.Stop()
	}
	begun := s.name.Number
	s.timer = s.o.Clock.AfterFunc(s.o.MaxAge, func() { s.due(begun) })
}

// due ends the segment with that number if it has lines.
func (s *Stream) due(begun int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.name.Number != begun {
		return
	}
	if s.size == 0 || s.next() != nil {
		s.arm()
	}
}

// Rotate seals the segment if it has lines, and begins another one.
func (s *Stream) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.size == 0 && !s.moved() {
		return nil
	}
	return s.next()
}

// Show has the link of the stream lead to this process's segments from now on, until another
// process calls Show. It is for the moment at which a worker is ready. Where another process moves
// the link at that very moment, it leads here with the next line.
func (s *Stream) Show() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.shown, s.taken = true, false
	return s.lead(s.name)
}

// lead has the link lead to a segment of this process, unless another process has taken over since this one did.
// To find that out and to move the link must be one step, or the worker that goes could move it
// after the one that comes. The directory is locked for it, and nobody waits for that lock, since a
// process may be stopped while it has it: the next write tries again.
func (s *Stream) lead(to Name) error {
	busy, err := s.tryLead(to)
	s.behind = busy
	if err != nil {
		err = fmt.Errorf("link to the current segment of the log %s: %w", s.o.Stream, err)
		s.count(err)
	}
	return err
}

func (s *Stream) tryLead(to Name) (busy bool, err error) {
	dir, err := os.Open(s.o.Dir)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	if err := lock(dir); err != nil {
		if errors.Is(err, errHeld) {
			return true, nil
		}
		return false, err
	}
	if s.taken && !mayPoint(s.o.Dir, to) {
		return false, nil
	}
	if err := point(s.o.Dir, to); err != nil {
		return false, err
	}
	s.taken = true
	return false, nil
}

// Sync has the disk take what was written.
func (s *Stream) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.file == nil {
		return nil // writes have told why
	}
	return s.file.Sync()
}

// Close seals the segment. Writes fail from then on; further calls do nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.timer.Stop()
	s.seal()
	return nil
}

// Stats returns the counts so far.
func (s *Stream) Stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
