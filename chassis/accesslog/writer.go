package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// Options say how a [Writer] gathers lines. The zero value is ready to use; a value that is
// not positive means its default.
type Options struct {
	// Format is how a request becomes a line, the Combined Log Format by default.
	Format *Format
	// Privacy is how much of addresses and query strings is written: all by default.
	Privacy Privacy
	// FlushEvery is how long a line may wait for others before it is written, 200 ms by
	// default.
	FlushEvery time.Duration
	// Buffer is the number of bytes at which gathered lines are written without waiting
	// any longer, 64 KiB by default. The writer keeps two such buffers, each of which may
	// exceed it by one line.
	Buffer int
	// MaxWait is how long Log waits for room when both buffers are full, 1 s by default.
	MaxWait time.Duration
	// Clock measures FlushEvery and MaxWait, the real clock by default. On a virtual clock
	// lines are written by the Advance that makes them due.
	Clock clock.Clock
}

// A Writer gathers lines and hands them on in large pieces, so that a request pays for a copy
// and not for a system call. While one buffer is being written the other one fills; nothing
// runs while there is nothing to write. Make one with [NewWriter]. It is safe for concurrent
// use.
//
// Lines are written in the order of Log calls and never split between two writes.
//
// A write that fails costs the lines it carried and no others: they are counted as dropped and
// the next write is tried afresh, so that a log on a full disk goes on when there is room. When
// the failed write left part of a line behind, the next one begins by ending that line.
//
// A write that does not return (a hung disk) fills both buffers; then Log waits up to MaxWait
// for room and drops its line. From the first line so dropped until the write returns, the
// others are dropped at once: one slow request tells as much as a thousand.
type Writer struct {
	out     io.Writer
	format  *Format
	clock   clock.Clock
	every   time.Duration
	maxWait time.Duration
	full    int

	mu      sync.Mutex
	mask    *mask         // nil when nothing is hidden
	record  Record        // the latest: a copy, so that callers' records stay on their stacks
	fill    []byte        // gathers lines; its first byte is a line break, see next
	spare   []byte        // the other buffer; nil until needed and while it is being written
	lines   uint64        // in fill
	pending uint64        // in fill and being written
	writing bool          // somebody is in run
	again   bool          // fill must be written as soon as nobody is writing
	timer   clock.Timer   // runs due; nil when not armed
	torn    bool          // the output ends inside a line
	stalled bool          // a line was given up because of the write that is going on
	closed  bool          // Close was called
	changed chan struct{} // closed after each write; nil while nobody waits
	stats   Stats
}

// Stats are the counts of a [Writer] since it was made. Every Log call is in exactly one of
// Lines, Dropped and Buffered.
type Stats struct {
	// Lines were written whole.
	Lines uint64
	// Dropped lines are lost: their write failed, there was no room, or the writer was closed.
	Dropped uint64
	// Buffered lines wait to be written or are being written.
	Buffered uint64
	// Bytes is what the output took, parts of dropped lines included.
	Bytes uint64
	// Errors counts failed writes.
	Errors uint64
	// LastError is the error of the latest failed write, nil if there was none.
	LastError error
	// Failing reports that the latest write failed, or has been going on for so long that
	// lines are being dropped.
	Failing bool
}

// NewWriter returns a writer that writes to out, which must not be nil and stays the caller's
// to close, after Close.
func NewWriter(out io.Writer, o Options) *Writer {
	w := &Writer{out: out, format: o.Format, clock: o.Clock, every: o.FlushEvery, maxWait: o.MaxWait, full: o.Buffer, mask: newMask(o.Privacy)}
	if w.format == nil {
		w.format, _ = Compile("combined") // it has no errors
	}
	if w.clock == nil {
		w.clock = clock.Real()
	}
	if w.every <= 0 {
		w.every = 200 * time.Millisecond
	}
	if w.maxWait <= 0 {
		w.maxWait = time.Second
	}
	if w.full <= 0 {
		w.full = 64 << 10
	}
	return w
}

// Log adds the line of one finished request. It waits only when both buffers are full, at most
// MaxWait. It does not keep r, but until the next line what r refers to. After Close it counts the line as dropped.
func (w *Writer) Log(r *Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fill) > w.full {
		w.awaitRoom()
	}
	if w.closed || len(w.fill) > w.full {
		w.stats.Dropped++
		return
	}
	if w.fill == nil {
		w.fill = append(make([]byte, 0, w.full+1024), '\n')
	}
	w.record = *r
	if w.mask != nil {
		w.mask.cover(&w.record)
	}
	w.fill = append(w.format.Append(w.fill, &w.record), '\n')
	w.lines++
	w.pending++
	if len(w.fill) > w.full {
		w.start()
	} else if w.timer == nil {
		w.timer = w.clock.AfterFunc(w.every, w.due)
	}
}

// awaitRoom waits until the buffer has room again, the writer is closed, or patience is spent.
func (w *Writer) awaitRoom() {
	if w.stalled || w.closed {
		return
	}
	expired := make(chan struct{})
	timer := w.clock.AfterFunc(w.maxWait, func() { close(expired) })
	defer timer.Stop()
	for len(w.fill) > w.full && !w.closed {
		if !w.await(expired) {
			w.stalled = len(w.fill) > w.full
			return
		}
	}
}

// await releases the lock until the next write has ended and reports true, or until stop is
// closed and reports false.
func (w *Writer) await(stop <-chan struct{}) bool {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	changed := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-changed:
		return true
	case <-stop:
		return false
	}
}

// start has the gathered lines written by a goroutine that ends with them.
func (w *Writer) start() {
	w.again = true
	if !w.writing {
		w.writing = true
		go w.run()
	}
}

// due is what the timer calls. It writes in its caller's goroutine, so that on a virtual clock
// the lines have been written when Advance returns.
func (w *Writer) due() {
	w.mu.Lock()
	w.timer = nil
	w.again = true
	idle := !w.writing
	w.writing = true
	w.mu.Unlock()
	if idle {
		w.run()
	}
}

// run writes what has been gathered until nobody asks for more. Whoever sets writing calls it.
func (w *Writer) run() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.again && w.lines > 0 {
		buffer, lines := w.fill, w.lines
		w.fill, w.spare, w.lines, w.again = w.spare, nil, 0, false
		if w.timer != nil {
			w.timer.Stop()
			w.timer = nil
		}
		text := buffer[1:]
		if w.torn {
			text = buffer
		}
		w.mu.Unlock()
		n, err := w.out.Write(text)
		w.mu.Lock()
		w.settle(text, lines, n, err)
		w.spare = buffer[:1]
		w.stalled = false
		if w.changed != nil {
			close(w.changed)
			w.changed = nil
		}
	}
	w.again, w.writing = false, false
}

// settle counts what became of text, which held so many lines, when n bytes of it were taken.
func (w *Writer) settle(text []byte, lines uint64, n int, err error) {
	n = min(max(n, 0), len(text))
	whole := lines
	if n < len(text) {
		if err == nil {
			err = io.ErrShortWrite
		}
		// A line that lacks nothing but its break is whole: the next write supplies it.
		whole = uint64(bytes.Count(text[:n+1], []byte{'\n'}))
		if w.torn {
			whole-- // the break that ends the torn line
		}
		whole /= uint64(1 + w.format.breaks)
	}
	if n > 0 {
		w.torn = text[n-1] != '\n'
	}
	w.pending -= lines
	w.stats.Lines += whole
	w.stats.Dropped += lines - whole
	w.stats.Bytes += uint64(n)
	w.stats.Failing = err != nil
	if err != nil {
		w.stats.Errors++
		w.stats.LastError = err
	}
}

// Flush writes the lines gathered so far and waits until they are written or dropped. It
// returns the last write error of that time, or ctx's error when it ends first; the writing
// then goes on without the caller.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush(ctx, "flush")
}

func (w *Writer) flush(ctx context.Context, verb string) error {
	failed := w.stats.Errors
	// One write may be going on and a second one takes what is gathered now: after two
	// the caller's lines are settled, however many others arrive.
	for range 2 {
		if w.pending == 0 {
			break
		}
		if w.lines > 0 {
			w.start()
		}
		if !w.await(ctx.Done()) {
			return fmt.Errorf("%s access log: %d lines not written yet: %w", verb, w.pending, ctx.Err())
		}
	}
	if w.stats.Errors > failed {
		return fmt.Errorf("%s access log: %w", verb, w.stats.LastError)
	}
	return nil
}

// Close writes what is gathered and refuses lines from then on. It waits and returns errors as
// Flush does, and may be called again. It does not close the output; a caller whose ctx ended
// must expect a write to be still going on there.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.flush(ctx, "close")
}

// Stats returns the counts so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Buffered = w.pending
	s.Failing = s.Failing || w.stalled
	return s
}
