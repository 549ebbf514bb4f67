package logfile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/internal/disk"
)

// incompressible is a text of so many lines of 64 bytes.
func incompressible(lines int) string {
	r := rand.New(rand.NewPCG(1, uint64(lines)))
	var b strings.Builder
	for range lines {
		for range 3 {
			fmt.Fprintf(&b, "%021x", r.Uint64())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// fill takes what is left of the disk but for some bytes, which is more than a page.
func fill(t *testing.T, dir string, left int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(dir, "other")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, int64(fs.Bavail)*fs.Bsize-left)); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutSpaceTheOldestThatTheBucketHasMakesRoom(t *testing.T) {
	dir := disk.Mount(t, "size=1m")
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Dir = dir })
	r.dir = dir
	for range 3 {
		r.segment(incompressible(100))
	}
	r.collected()
	r.segment(incompressible(100))
	fill(t, dir, 0)
	r.collected()
	if got := r.files(); got != "2.log.gz 3.log.gz 4.log.gz" {
		t.Errorf("files %s", got)
	}
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Uploaded: 400, Expired: 100}) {
		t.Errorf("lines %+v", got)
	}
}

func TestASegmentThatCannotBeCompressedForWantOfSpaceIsUploadedAllTheSame(t *testing.T) {
	dir := disk.Mount(t, "size=1m")
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Dir = dir })
	r.dir = dir
	r.collected()
	text := incompressible(100)
	name := r.segment(text)
	recorded := take(t, dir)
	fill(t, dir, 0)
	r.collected()
	r.is("", text, "1:uploaded, 1:removed space")
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Uploaded: 100, Expired: 100}) {
		t.Errorf("lines %+v", got)
	}
	// A kill comes before its removal.
	recorded["manifest.jsonl"], _, _ = strings.Cut(readFile(t, dir+"/manifest.jsonl"), "\n")
	recorded["manifest.jsonl"] += "\n"
	again := newRoom(t, func(o *logfile.CollectorOptions) { o.Bucket = logfile.NewDir(r.bucket) })
	recorded.put(t, again.dir)
	again.collected()
	if got := again.files(); got != "" || recorded[name+".log"] != text {
		t.Errorf("files %s", got)
	}
	if got := again.steps(); got != "1:uploaded, 1:removed space" {
		t.Errorf("manifest %s", got)
	}
}

func TestWithoutSpaceAndBucketTheOldestIsDroppedAndCounted(t *testing.T) {
	dir := disk.Mount(t, "size=1m")
	down := true
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Dir = dir
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error {
			if down {
				return errDown
			}
			return next()
		}}
	})
	r.dir = dir
	r.collected() // which reserves space for the manifest
	for i := range 3 {
		r.segment(incompressible(100 + i))
	}
	fill(t, dir, 0)
	if err := r.collect(); !errors.Is(err, errDown) {
		t.Errorf("collected: %v", err)
	}
	if got := r.files(); got != "2.log.gz 3.log.gz" {
		t.Errorf("files %s", got)
	}
	if got := r.steps(); got != "1:removed space, 2:packed, 3:packed" {
		t.Errorf("manifest %s", got)
	}
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Dropped: 100}) {
		t.Errorf("lines %+v", got)
	}
	// What waits is not dropped for what comes.
	r.segment(incompressible(103))
	fill(t, dir, 0)
	s := open(t, logfile.StreamOptions{Dir: dir, Full: r.c.Full, MaxSize: 1})
	if n, err := s.Write([]byte("new\n")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes written, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r.clock.Advance(time.Minute)
	if err := r.collect(); !errors.Is(err, errDown) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("collected: %v", err)
	}
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Dropped: 100}) || r.files() != "2.log.gz 3.log.gz 4.log" {
		t.Errorf("lines %+v, files %s", got, r.files())
	}
	down = false
	for range 2 {
		r.clock.Advance(2 * time.Minute)
		_ = r.collect() // the second time what the first has uploaded makes room
	}
	if got := r.c.Stats().Streams["access"]; got.Uploaded != 101+102+103 || got.Dropped != 100 {
		t.Errorf("lines %+v, %v", got, r.c.Stats().LastError)
	}
}
