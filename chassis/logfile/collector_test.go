//go:build unix

package logfile_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

func ExampleCollector() {
	root, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(root)
	dir := filepath.Join(root, "log")
	log, err := logfile.Open(logfile.StreamOptions{Dir: dir, Stream: "access"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprintln(log, "a line")
	_ = log.Close()
	c, err := logfile.NewCollector(logfile.CollectorOptions{Dir: dir, Bucket: logfile.NewDir(filepath.Join(root, "bucket")), Prefix: "games/host1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	err = c.Collect(context.Background()) // Run does this again and again
	st := c.Stats()
	fmt.Println(st.Uploaded, "segment,", st.Streams["access"].Uploaded, "line,", st.Waiting, "waiting", err)
	// Output: 1 segment, 1 line, 0 waiting <nil>
}

// room is a directory of segments with its bucket and collector.
type room struct {
	t           *testing.T
	dir, bucket string
	clock       *clock.Virtual
	options     logfile.CollectorOptions
	c           *logfile.Collector
	number      int
}

func newRoom(t *testing.T, change func(*logfile.CollectorOptions)) *room {
	t.Helper()
	root := t.TempDir()
	r := &room{t: t, dir: root + "/log", bucket: root + "/bucket", clock: clock.NewVirtual(time.Now())}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.options = logfile.CollectorOptions{Dir: r.dir, Bucket: logfile.NewDir(r.bucket), Clock: r.clock}
	if change != nil {
		change(&r.options)
	}
	r.restart()
	return r
}

// restart goes on with another collector, as another process would.
func (r *room) restart() {
	r.t.Helper()
	if r.c != nil {
		r.c.Close()
	}
	c, err := logfile.NewCollector(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.c = c
	r.t.Cleanup(c.Close)
}

// segment leaves a sealed segment and returns its name.
func (r *room) segment(text string) string {
	r.t.Helper()
	r.number++
	n := logfile.Name{Stream: "access", Begun: start.Add(time.Duration(r.number) * time.Second), Generation: 1, PID: 4711, Number: r.number}
	if err := os.WriteFile(filepath.Join(r.dir, n.String()+".log"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return n.String()
}

func (r *room) collect() error {
	r.t.Helper()
	return r.c.Collect(r.t.Context())
}

func (r *room) collected() {
	r.t.Helper()
	if err := r.collect(); err != nil {
		r.t.Fatal(err)
	}
}

// files are the segments of the directory by suffix, in order, without the times in their names.
func (r *room) files() string {
	r.t.Helper()
	names, err := filepath.Glob(r.dir + "/access-*")
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		base, suffix, _ := strings.Cut(filepath.Base(name), ".")
		_, suffix, _ = strings.Cut(suffix, ".")
		_ = base
		_, number, _ := strings.Cut(filepath.Base(name), "-4711-")
		number, _, _ = strings.Cut(number, ".")
		all = append(all, number+"."+suffix)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// stored is all text in the bucket, in order.
func (r *room) stored() string {
	r.t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(r.bucket, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err != nil || d.IsDir() {
			return nil
		}
		if !strings.HasSuffix(path, ".log.gz") {
			r.t.Errorf("the bucket has %s", path)
			return nil
		}
		if strings.Contains(path, "/access/") {
			all.WriteString(unzip(r.t, path))
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all.String()
}

func unzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(path, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(path, err)
	}
	return string(text)
}

// steps are those in the manifest, as number:step.
func (r *room) steps() string {
	r.t.Helper()
	f, err := os.Open(r.dir + "/manifest.jsonl")
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	records, err := logfile.ReadManifest(f)
	if err != nil {
		r.t.Error(err)
	}
	var all []string
	for _, x := range records {
		n, err := logfile.ParseName(x.Segment)
		if err != nil {
			r.t.Error(err)
		}
		all = append(all, fmt.Sprintf("%d:%s", n.Number, strings.TrimSpace(string(x.Step)+" "+x.Why)))
	}
	return strings.Join(all, ", ")
}

func (r *room) is(files, stored, steps string) {
	r.t.Helper()
	if got := r.files(); got != files {
		r.t.Errorf("files %s, want %s", got, files)
	}
	if got := r.stored(); got != stored {
		r.t.Errorf("stored %q, want %q", got, stored)
	}
	if got := r.steps(); got != steps {
		r.t.Errorf("manifest %s, want %s", got, steps)
	}
}

func TestASegmentIsCompressedUploadedAndRemovedInTheEnd(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Keep, o.Prefix = time.Hour, "games/one" })
	name := r.segment("a\nb\n")
	r.segment("c\ntorn")
	r.collected()
	r.is("1.log.gz 2.log.gz", "a\nb\nc\ntorn\n", "1:packed, 2:packed, 1:uploaded, 2:uploaded")
	if got := unzip(t, r.bucket+"/games/one/access/2026/11/28/"+name+".log.gz"); got != "a\nb\n" {
		t.Errorf("text %q", got)
	}
	st := r.c.Stats()
	if st.Packed != 2 || st.Uploaded != 2 || st.Bytes == 0 || st.Waiting != 0 || !st.Active || st.Disk == 0 || st.Streams["access"] != (logfile.Lines{Uploaded: 3}) {
		t.Errorf("stats %+v", st)
	}
	r.clock.Advance(time.Hour + time.Minute)
	r.collected()
	r.is("", "a\nb\nc\ntorn\n", "1:packed, 2:packed, 1:uploaded, 2:uploaded, 1:removed age, 2:removed age")
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Uploaded: 3, Expired: 3}) {
		t.Errorf("lines %+v", got)
	}
	r.restart()
	r.collected()
	r.is("", "a\nb\nc\ntorn\n", "1:packed, 2:packed, 1:uploaded, 2:uploaded, 1:removed age, 2:removed age")
}

func TestWithoutABucketSegmentsAreKeptForATime(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Keep, o.Bucket = time.Hour, nil })
	r.segment("a\n")
	r.collected()
	r.is("1.log.gz", "", "1:packed")
	if st := r.c.Stats(); st.Waiting != 0 || st.Lag != 0 {
		t.Errorf("stats %+v", st)
	}
	r.clock.Advance(2 * time.Hour)
	r.collected()
	r.is("", "", "1:packed, 1:removed age")
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Expired: 1}) {
		t.Errorf("lines %+v", got)
	}
}

func TestWhatIsWrittenIsLeftAlone(t *testing.T) {
	r := newRoom(t, nil)
	s := open(t, logfile.StreamOptions{Dir: r.dir, Clock: r.clock})
	if err := s.Show(); err != nil {
		t.Fatal(err)
	}
	r.collected()
	write(t, s, "a\n")
	r.collected()
	want(t, r.dir, "a\n")
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	r.collected()
	want(t, r.dir, "")
	if got := r.stored(); got != "a\n" {
		t.Errorf("stored %q", got)
	}
	// One that is empty and nobody's is removed.
	if err := os.WriteFile(filepath.Join(r.dir, segmentName+".log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.collected()
	want(t, r.dir, "")
}

// flaky is a bucket with something before it.
type flaky struct {
	logfile.Bucket
	put  func(key string, next func() error) error
	stat func(key string, next func() (logfile.Object, error)) (logfile.Object, error)
}

func (f *flaky) Put(ctx context.Context, key string, body io.Reader, o logfile.Object) error {
	next := func() error { return f.Bucket.Put(ctx, key, body, o) }
	if f.put == nil {
		return next()
	}
	return f.put(key, next)
}

func (f *flaky) Stat(ctx context.Context, key string) (logfile.Object, error) {
	next := func() (logfile.Object, error) { return f.Bucket.Stat(ctx, key) }
	if f.stat == nil {
		return next()
	}
	return f.stat(key, next)
}

var errDown = errors.New("the bucket is down")

func TestSegmentsWaitWhileTheBucketIsDown(t *testing.T) {
	down, puts := true, 0
	var told []error
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error {
			if puts++; down {
				return errDown
			}
			return next()
		}}
		o.Log = func(err error) { told = append(told, err) }
	})
	for i := range 5 {
		r.segment(fmt.Sprintln(i))
	}
	if err := r.collect(); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "upload access/2026/11/28/access-") || puts != 2 {
		t.Errorf("%v after %d tries, want two", err, puts)
	}
	r.clock.Advance(time.Minute)
	st := r.c.Stats()
	if st.Waiting != 5 || st.WaitingBytes == 0 || st.Errors != 1 || !errors.Is(st.LastError, errDown) {
		t.Errorf("stats %+v", st)
	}
	for range 20 {
		r.clock.Advance(5 * time.Second)
		_ = r.collect()
	}
	if lag := r.c.Stats().Lag; lag < time.Minute || lag > 4*time.Minute {
		t.Errorf("lag %v", lag)
	}
	if puts > 30 {
		t.Errorf("%d tries in 100 s", puts)
	}
	down = false
	for range 15 {
		r.clock.Advance(5 * time.Second)
		r.collected()
	}
	if got := r.stored(); got != "0\n1\n2\n3\n4\n" {
		t.Errorf("stored %q", got)
	}
	if st := r.c.Stats(); st.Waiting != 0 || st.Lag != 0 || st.LastError != nil || st.Uploaded != 5 {
		t.Errorf("stats %+v", st)
	}
	if len(told) < 2 || told[len(told)-1] != nil || !errors.Is(told[0], errDown) {
		t.Errorf("told %v", told)
	}
}

func TestOneSegmentThatCannotBeUploadedHoldsUpNoOther(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(key string, next func() error) error {
			if strings.Contains(key, "-4711-2.") {
				return errDown
			}
			return next()
		}}
	})
	for _, text := range []string{"a\n", "b\n", "c\n", "d\n"} {
		r.segment(text)
	}
	if err := r.collect(); !errors.Is(err, errDown) {
		t.Error(err)
	}
	if got := r.stored(); got != "a\nc\nd\n" {
		t.Errorf("stored %q", got)
	}
}

func TestABucketIsNotBelieved(t *testing.T) {
	lies := true
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, stat: func(_ string, next func() (logfile.Object, error)) (logfile.Object, error) {
			have, err := next()
			if err == nil && lies {
				have.Size--
			}
			return have, err
		}}
	})
	r.segment("a\n")
	if err := r.collect(); err == nil || !strings.Contains(err.Error(), "the bucket has") {
		t.Error(err)
	}
	r.is("1.log.gz", "a\n", "1:packed")
	lies = false
	r.clock.Advance(time.Minute)
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
}

func TestABucketThatCannotBeAskedIsAnError(t *testing.T) {
	asked := 0
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, stat: func(_ string, next func() (logfile.Object, error)) (logfile.Object, error) {
			if asked++; asked < 4 && asked != 2 {
				return logfile.Object{}, errDown
			}
			return next()
		}}
	})
	r.segment("a\n")
	for _, part := range []string{"", "after it was put: "} {
		if err := r.collect(); !errors.Is(err, errDown) || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %s", err, part)
		}
		r.clock.Advance(time.Minute)
	}
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
}

// noise is a text that cannot be compressed by more than a quarter.
func noise(size int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = '0' + byte(r.IntN(64))
	}
	return string(b)
}

func TestTheBudgetIsKept(t *testing.T) {
	down := false
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error {
			if down {
				return errDown
			}
			return next()
		}}
		o.Budget = 40_000
	})
	for range 3 {
		r.segment("x\n")
	}
	r.collected()
	down = true
	for range 40 {
		r.segment(noise(2000) + "\n")
		r.clock.Advance(5 * time.Second)
		_ = r.collect()
		if lines := r.c.Stats().Streams["access"]; lines.Dropped > 0 && lines.Expired < 3 {
			t.Fatalf("lines %+v: one that the bucket has not was removed before one that it has", lines)
		}
	}
	st := r.c.Stats()
	if st.Disk > 40_000 {
		t.Errorf("%d bytes on the disk", st.Disk)
	}
	lines := st.Streams["access"]
	kept := uint64(strings.Count(r.files(), ".gz"))
	if lines.Uploaded != 3 || lines.Expired != 3 || lines.Dropped == 0 || lines.Dropped+kept != 40 {
		t.Errorf("lines %+v, %d kept", lines, kept)
	}
}

func TestAFullDiskCostsWhatTheBucketHas(t *testing.T) {
	r := newRoom(t, nil)
	for range 9 {
		r.segment("x\n")
	}
	r.collected()
	r.c.Full()
	r.c.Full() // which says no more
	r.collected()
	if got := r.files(); got != "3.log.gz 4.log.gz 5.log.gz 6.log.gz 7.log.gz 8.log.gz 9.log.gz" {
		t.Errorf("files %s", got)
	}
	r.collected()
	if got := r.c.Stats().Streams["access"].Expired; got != 2 {
		t.Errorf("%d lines expired", got)
	}
}

func TestASegmentLingersForWhoFollowsIt(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Linger = time.Minute })
	r.segment("a\n")
	r.collected()
	r.clock.Advance(50 * time.Second)
	r.collected()
	r.is("1.log", "", "")
	r.clock.Advance(20 * time.Second)
	r.segment("b\n")
	r.collected()
	if got := r.stored(); !strings.HasPrefix(got, "a\n") {
		t.Errorf("stored %q", got)
	}
	r.c.Full()
	r.segment("c\n")
	r.collected()
	if got := r.stored(); got != "a\nb\nc\n" {
		t.Errorf("stored %q when the disk is full", got)
	}
}

func TestOneProcessCollects(t *testing.T) {
	r := newRoom(t, nil)
	r.collected()
	other, err := logfile.NewCollector(r.options)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	r.segment("a\n")
	if err := other.Collect(t.Context()); !errors.Is(err, logfile.ErrBusy) {
		t.Errorf("the other: %v", err)
	}
	if st := other.Stats(); st.Active || st.Waiting != 0 {
		t.Errorf("stats of the other %+v", st)
	}
	r.c.Close()
	if r.c.Stats().Active {
		t.Error("it collects after its end")
	}
	if err := other.Collect(t.Context()); err != nil || !other.Stats().Active {
		t.Errorf("the other: %v", err)
	}
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
}

func TestADirectoryThatWasRemovedIsCollectedAnew(t *testing.T) {
	r := newRoom(t, nil)
	r.segment("a\n")
	r.collected()
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	if err := r.collect(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without it: %v", err)
	}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.segment("b\n")
	r.collected()
	r.is("2.log.gz", "a\nb\n", "2:packed, 2:uploaded")
}

func TestWhatOthersDoInTheDirectoryIsFoundOut(t *testing.T) {
	var told []error
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Log = func(err error) { told = append(told, err) } })
	names := []string{r.segment("a\n"), r.segment("b\n"), r.segment("c\n")}
	r.collected()
	// One is removed, and the manifest as well.
	if err := errors.Join(os.Remove(filepath.Join(r.dir, names[0]+".log.gz")), os.WriteFile(r.dir+"/foreign.log", []byte("x"), 0o600), os.Mkdir(r.dir+"/sub.log", 0o700)); err != nil {
		t.Fatal(err)
	}
	r.collected()
	r.is("2.log.gz 3.log.gz", "a\nb\nc\n", "1:packed, 2:packed, 3:packed, 1:uploaded, 2:uploaded, 3:uploaded, 1:removed missing")
	if err := errors.Join(os.Remove(r.dir+"/manifest.jsonl"), os.Truncate(filepath.Join(r.dir, names[2]+".log.gz"), 20)); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if err := r.collect(); err == nil || !strings.Contains(err.Error(), names[2]+", of which the manifest does not know: EOF") {
		t.Errorf("with a damaged file: %v", err)
	}
	r.collected()
	r.is("2.log.gz 3.log.gz.damaged", "a\nb\nc\n", "2:packed, 2:uploaded")
	if err := os.WriteFile(r.dir+"/manifest.jsonl", []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told = nil
	r.restart()
	r.collected()
	if len(told) == 0 || told[0] == nil || !strings.Contains(told[0].Error(), "manifest, line 1: ") {
		t.Errorf("told %v", told)
	}
	if got := r.stored(); got != "a\nb\nc\n" {
		t.Errorf("stored %q", got)
	}
}

func TestRunCollectsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, func(o *logfile.CollectorOptions) { o.Clock = nil })
		ctx, cancel := context.WithCancel(t.Context())
		var ended atomic.Bool
		go func() {
			if err := r.c.Run(ctx); err != nil {
				t.Error(err)
			}
			ended.Store(true)
		}()
		synctest.Wait()
		r.segment("a\n")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := r.stored(); got != "a\n" {
			t.Errorf("stored %q", got)
		}
		r.c.Full()
		synctest.Wait()
		if got := r.files(); got != "" {
			t.Errorf("files %s", got)
		}
		cancel()
		synctest.Wait()
		if !ended.Load() || r.c.Stats().Active {
			t.Errorf("ended %v, stats %+v", ended.Load(), r.c.Stats())
		}
	})
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, o := range map[string]logfile.CollectorOptions{
		"collect log segments: want a directory": {},
		"collect log segments: prefix: want a ":  {Dir: "x", Prefix: "/a"},
	} {
		if _, err := logfile.NewCollector(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, key := range []string{"", "/a", "a/../b", ".", "a//b"} {
		d := logfile.NewDir(t.TempDir())
		_, err := d.Stat(t.Context(), key)
		if err2 := d.Put(t.Context(), key, strings.NewReader(""), logfile.Object{}); err == nil || err2 == nil {
			t.Errorf("key %q: %v, %v", key, err, err2)
		}
	}
}
