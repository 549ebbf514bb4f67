package accesslog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

func ExampleWriter() {
	c := clock.NewVirtual(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	log := accesslog.NewWriter(os.Stdout, accesslog.Options{Clock: c})
	log.Log(&accesslog.Record{
		Client: netip.MustParseAddr("192.0.2.7"), Start: c.Now(),
		Method: "GET", URI: "/games/7", Proto: "HTTP/1.1", Status: 200, Bytes: 512,
	})
	fmt.Println("nothing is written yet")
	c.Advance(200 * time.Millisecond)
	if err := log.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(log.Stats().Lines, "line")
	// Output:
	// nothing is written yet
	// 192.0.2.7 - - [01/Jan/2026:12:00:00 +0000] "GET /games/7 HTTP/1.1" 200 512 "-" "-"
	// 1 line
}

// A disk is an output whose every write is decided by the test.
type disk struct {
	mu     sync.Mutex
	text   []byte
	writes [][]byte
	write  func(p []byte) (int, error) // nil takes everything
}

func (d *disk) Write(p []byte) (int, error) {
	n, err := len(p), error(nil)
	if d.write != nil {
		n, err = d.write(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes = append(d.writes, bytes.Clone(p))
	d.text = append(d.text, p[:min(max(n, 0), len(p))]...)
	return n, err
}

func (d *disk) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.SplitAfter(string(d.text), "\n")
}

func numbered(i int) *accesslog.Record {
	r := typical()
	r.URI = fmt.Sprintf("/%04d", i)
	return &r
}

// lineLen is the length of a numbered line, line break included.
var lineLen = len(combined(numbered(0))) + 1

func TestLinesWaitForOthersButNoLongerThanFlushEvery(t *testing.T) {
	c := clock.NewVirtual(typical().Start)
	var d disk
	w := accesslog.NewWriter(&d, accesslog.Options{Clock: c, FlushEvery: 50 * time.Millisecond})
	if c.Pending() != 0 {
		t.Error("a timer runs before the first line")
	}
	w.Log(numbered(1))
	c.Advance(49 * time.Millisecond)
	w.Log(numbered(2))
	if len(d.writes) != 0 || w.Stats().Buffered != 2 {
		t.Errorf("written after 49 ms: %q, stats %+v", d.writes, w.Stats())
	}
	c.Advance(time.Millisecond)
	if len(d.writes) != 1 || w.Stats() != (accesslog.Stats{Lines: 2, Bytes: uint64(2 * lineLen)}) {
		t.Errorf("after 50 ms: %d writes, stats %+v", len(d.writes), w.Stats())
	}
	if c.Pending() != 0 {
		t.Error("a timer runs while there is nothing to write")
	}
	w.Log(numbered(3))
	c.Advance(50 * time.Millisecond)
	if got := d.lines(); len(d.writes) != 2 || len(got) != 4 || got[3] != "" || !strings.Contains(got[2], "/0003") {
		t.Errorf("after the third line: %d writes, %q", len(d.writes), got)
	}
}

func TestFullBuffersAreWrittenAtOnceAndLinesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 1000
		var d disk
		w := accesslog.NewWriter(&d, accesslog.Options{Buffer: 10 * lineLen})
		start := time.Now()
		for i := range lines {
			w.Log(numbered(i))
		}
		synctest.Wait()
		if !time.Now().Equal(start) {
			t.Errorf("writing took %v of waiting", time.Since(start))
		}
		// How many lines share a write depends on how the goroutines run, but never
		// less than a buffer of them.
		if len(d.writes) > lines/10 {
			t.Errorf("%d writes for %d lines", len(d.writes), lines)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, text := range d.writes {
			if !bytes.HasPrefix(text, []byte("192.0.2.7")) || !bytes.HasSuffix(text, []byte("\n")) || len(text) > 11*lineLen {
				t.Errorf("a write of %d bytes begins or ends inside a line", len(text))
			}
		}
		for i, line := range d.lines()[:lines] {
			if r, err := accesslog.Parse([]byte(line)); err != nil || r.URI != fmt.Sprintf("/%04d", i) {
				t.Fatalf("line %d: %v %q", i, err, line)
			}
		}
	})
}

func TestTimeStampsFollowSecondAndZone(t *testing.T) {
	var d disk
	w := accesslog.NewWriter(&d, accesslog.Options{})
	at := time.Unix(0, 0).UTC()
	times := []time.Time{at, at.Add(time.Second - 1), at.Add(time.Second), at.In(pacific), at}
	for _, at := range times {
		w.Log(&accesslog.Record{Start: at})
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, line := range d.lines()[:len(times)] {
		if want := string(combined(&accesslog.Record{Start: times[i]})); line != want+"\n" {
			t.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
}

// hung is a disk whose writes wait until release is closed.
func hung() (d *disk, release chan struct{}) {
	release = make(chan struct{})
	return &disk{write: func(p []byte) (int, error) { <-release; return len(p), nil }}, release
}

func TestLogWaitsWhileBothBuffersAreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, release := hung()
		w := accesslog.NewWriter(d, accesslog.Options{Buffer: 2 * lineLen, MaxWait: time.Minute})
		for i := range 4 {
			w.Log(numbered(i))
			synctest.Wait()
		}
		done := false
		go func() { w.Log(numbered(4)); done = true }()
		synctest.Wait()
		if done {
			t.Error("Log did not wait with both buffers full")
		}
		close(release)
		synctest.Wait()
		if !done {
			t.Error("Log still waits after the write ended")
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s := w.Stats(); s.Lines != 5 || s.Dropped != 0 || s.Buffered != 0 {
			t.Errorf("stats %+v, want five lines", s)
		}
	})
}

func TestAHungDiskCostsOneWaitAndHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, release := hung()
		w := accesslog.NewWriter(d, accesslog.Options{Buffer: 2 * lineLen})
		for i := range 4 {
			w.Log(numbered(i))
			synctest.Wait()
		}
		start := time.Now()
		w.Log(numbered(4))
		if d := time.Since(start); d != time.Second {
			t.Errorf("the first line without room took %v, want the default of 1s", d)
		}
		for i := range 100 {
			w.Log(numbered(5 + i))
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("the lines after it waited too, %v in all", d)
		}
		if s := w.Stats(); s.Dropped != 101 || s.Buffered != 4 || !s.Failing || s.Errors != 0 {
			t.Errorf("while hung: %+v", s)
		}
		close(release)
		synctest.Wait()
		w.Log(numbered(200))
		if err := w.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if s := w.Stats(); s.Lines != 5 || s.Dropped != 101 || s.Failing {
			t.Errorf("after it healed: %+v", s)
		}
	})
}

var errFull = errors.New("no space left on device")

func TestAFailedWriteCostsItsOwnLinesOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		taken int // bytes the failing write takes
		err   error
		lines int // lines that are whole nevertheless
		torn  bool
	}{
		{"nothing taken", 0, errFull, 0, false},
		{"half a line taken", 10, errFull, 0, true},
		{"one line taken", lineLen, errFull, 1, false},
		{"one line and a half taken", lineLen + 10, errFull, 1, true},
		{"all but the last line break taken", 3*lineLen - 1, errFull, 3, true},
		{"everything taken and yet an error", 3 * lineLen, errFull, 3, false},
		{"too little taken without an error", lineLen, nil, 1, false},
		{"an impossible count below zero", -5, errFull, 0, false},
		{"an impossible count above the length", 1 << 20, errFull, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &disk{write: func(p []byte) (int, error) { return c.taken, c.err }}
			w := accesslog.NewWriter(d, accesslog.Options{Clock: clock.NewVirtual(typical().Start)})
			for i := range 3 {
				w.Log(numbered(i))
			}
			want := c.err
			if want == nil {
				want = io.ErrShortWrite
			}
			if err := w.Flush(t.Context()); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "flush access log: ") {
				t.Errorf("Flush: %v, want %v", err, want)
			}
			taken := min(max(c.taken, 0), 3*lineLen)
			s := accesslog.Stats{Lines: uint64(c.lines), Dropped: uint64(3 - c.lines), Bytes: uint64(taken), Errors: 1, LastError: want, Failing: true}
			if got := w.Stats(); got != s {
				t.Errorf("after the failure:\n got %+v\nwant %+v", got, s)
			}

			d.write = nil
			w.Log(numbered(3))
			w.Log(numbered(4))
			if err := w.Close(t.Context()); err != nil {
				t.Errorf("Close after the disk healed: %v", err)
			}
			s.Lines, s.Bytes, s.Failing = s.Lines+2, s.Bytes+uint64(2*lineLen), false
			if c.torn {
				s.Bytes++
			}
			if got := w.Stats(); got != s {
				t.Errorf("after the disk healed:\n got %+v\nwant %+v", got, s)
			}
			var read []string
			for _, line := range d.lines() {
				if r, err := accesslog.Parse([]byte(line)); err == nil && strings.HasSuffix(line, "\n") {
					read = append(read, r.URI)
				}
			}
			expect := append([]string{"/0000", "/0001", "/0002"}[:c.lines:c.lines], "/0003", "/0004")
			if !slices.Equal(read, expect) {
				t.Errorf("lines in the log: %q, want %q", read, expect)
			}
		})
	}
}

func TestATornLineIsEndedHoweverOftenWritesFail(t *testing.T) {
	var taken int
	d := &disk{write: func(p []byte) (int, error) { return min(taken, len(p)), errFull }}
	w := accesslog.NewWriter(d, accesslog.Options{Clock: clock.NewVirtual(typical().Start)})
	// half a line; nothing; the break alone; a break is not repeated, half a line; break and
	// a whole line
	for i, n := range []int{10, 0, 1, 10, 1 + lineLen} {
		taken = n
		w.Log(numbered(i))
		if err := w.Flush(t.Context()); !errors.Is(err, errFull) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if s := w.Stats(); s.Lines != 1 || s.Dropped != 4 || s.Errors != 5 || s.Bytes != uint64(22+lineLen) {
		t.Errorf("stats %+v", s)
	}
	if got := d.lines(); len(got) != 4 || got[0] != "192.0.2.7 \n" || got[1] != got[0] || !strings.Contains(got[2], "/0004 HTTP") {
		t.Errorf("the log reads %q", got)
	}
}

func TestFlushWaitsForTheWriteThatIsGoingOnAndItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, release := hung()
		w := accesslog.NewWriter(d, accesslog.Options{Buffer: 2 * lineLen})
		if err := w.Flush(t.Context()); err != nil {
			t.Errorf("Flush of nothing: %v", err)
		}
		for i := range 3 {
			w.Log(numbered(i))
			synctest.Wait()
		}
		done := make(chan error, 1)
		go func() { done <- w.Flush(context.Background()) }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("Flush did not wait")
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "flush access log: 3 lines not written yet: context deadline exceeded" {
			t.Errorf("Flush with a deadline: %v", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := w.Stats(); s.Lines != 3 || s.Buffered != 0 || len(d.writes) != 2 {
			t.Errorf("after Flush: %+v in %d writes", s, len(d.writes))
		}
	})
}

func TestADueLineIsWrittenAfterTheWriteThatIsGoingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, release := hung()
		w := accesslog.NewWriter(d, accesslog.Options{Buffer: 2 * lineLen, FlushEvery: time.Minute})
		for i := range 3 {
			w.Log(numbered(i))
			synctest.Wait()
		}
		time.AfterFunc(2*time.Minute, func() { close(release) })
		<-release
		synctest.Wait()
		if s := w.Stats(); s.Lines != 3 {
			t.Errorf("%+v: the third line was due after a minute", s)
		}
	})
}

func TestCloseWritesEverythingAndRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disk
		w := accesslog.NewWriter(&d, accesslog.Options{})
		w.Log(numbered(1))
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		w.Log(numbered(2))
		if err := w.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if s := w.Stats(); s.Lines != 1 || s.Dropped != 1 || s.Buffered != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseIsBoundedByItsContextAndFreesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, release := hung()
		w := accesslog.NewWriter(d, accesslog.Options{Buffer: 2 * lineLen, MaxWait: time.Hour})
		for i := range 4 {
			w.Log(numbered(i))
			synctest.Wait()
		}
		go w.Log(numbered(4))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "close access log: 4 lines") {
			t.Errorf("Close: %v", err)
		}
		close(release)
		synctest.Wait()
		if s := w.Stats(); s.Lines != 4 || s.Dropped != 1 || s.Buffered != 0 {
			t.Errorf("%+v, want what was gathered written and the waiting line dropped", s)
		}
	})
}

func TestConcurrentLinesAreAllAccountedForAndInOrder(t *testing.T) {
	const callers, each = 8, 500
	calls := 0
	d := &disk{write: func(p []byte) (int, error) {
		if calls++; calls%3 == 0 {
			return len(p) / 2, errFull
		}
		return len(p), nil
	}}
	w := accesslog.NewWriter(d, accesslog.Options{Buffer: 4 << 10, FlushEvery: time.Millisecond})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			r := typical()
			r.User = fmt.Sprint(caller)
			for i := range each {
				r.URI = fmt.Sprintf("/%04d", i)
				w.Log(&r)
				if i%100 == 0 {
					_ = w.Flush(t.Context())
				}
				_ = w.Stats()
			}
		})
	}
	wg.Wait()
	if err := w.Close(t.Context()); err != nil && !errors.Is(err, errFull) {
		t.Error(err)
	}
	s := w.Stats()
	if s.Lines+s.Dropped != callers*each || s.Buffered != 0 || s.Dropped == 0 {
		t.Errorf("%+v do not add up to %d", s, callers*each)
	}
	if s.Bytes != uint64(len(d.text)) {
		t.Errorf("%d bytes counted, %d written", s.Bytes, len(d.text))
	}
	whole, last := uint64(0), map[string]string{}
	for _, line := range d.lines() {
		r, err := accesslog.Parse([]byte(line))
		if err != nil || !strings.HasSuffix(line, "\n") {
			continue
		}
		whole++
		if r.URI <= last[r.User] {
			t.Errorf("caller %s: %s after %s", r.User, r.URI, last[r.User])
		}
		last[r.User] = r.URI
	}
	if whole != s.Lines {
		t.Errorf("%d whole lines in the log, %d counted", whole, s.Lines)
	}
}

func TestLoggingAllocatesNothing(t *testing.T) {
	r := typical()
	w := accesslog.NewWriter(io.Discard, accesslog.Options{Clock: clock.NewVirtual(r.Start), Buffer: 1 << 20})
	w.Log(&r)
	if n := testing.AllocsPerRun(1000, func() { w.Log(&r) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func BenchmarkLog(b *testing.B) {
	r := typical()
	w := accesslog.NewWriter(io.Discard, accesslog.Options{})
	b.ReportAllocs()
	for b.Loop() {
		w.Log(&r)
	}
	if err := w.Close(context.Background()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(w.Stats().Dropped), "dropped")
}
