package logfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/buckettest"
	"github.com/seed-754044b3/roadworthy/internal/disk"
)

func TestADirectoryIsABucketWhateverIsInItsWay(t *testing.T) {
	root := t.TempDir()
	d := logfile.NewDir(root)
	buckettest.Run(t, d)
	put := func(key string) error {
		return d.Put(t.Context(), key, strings.NewReader("x"), buckettest.Of("x"))
	}
	if err := errors.Join(put("file"), os.MkdirAll(root+"/dir/.x.part", 0o700), os.MkdirAll(root+"/dir/taken/sub", 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"file/below", "dir/x", "dir/taken"} {
		if err := put(key); err == nil || !strings.HasPrefix(err.Error(), "put "+key+": ") {
			t.Errorf("put %s: %v", key, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := d.Stat(ended, "file"); !errors.Is(err, context.Canceled) {
		t.Errorf("stat with a context that has ended: %v", err)
	}
}

// What is not written down is not done.
func TestWithoutAManifestNothingGoesOn(t *testing.T) {
	puts := 0
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Keep = time.Hour
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error { puts++; return next() }}
	})
	r.collected()
	r.segment("a\n")
	fails := func(what string) {
		t.Helper()
		mend := r.c.BreakManifest()
		defer mend()
		if err := r.collect(); err == nil || !strings.Contains(err.Error(), "write to the manifest: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
	fails("compressed")
	r.is("1.log 1.log.gz", "", "")
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
	r.c.Full()
	fails("without space")
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
	r.clock.Advance(2 * time.Hour)
	fails("expired")
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
	r.collected()
	r.is("", "a\n", "1:packed, 1:uploaded, 1:removed age")
	if puts != 1 {
		t.Errorf("%d puts, want none before it was written down that the segment is whole", puts)
	}
}

func TestAnUploadThatIsNotRecordedIsRecordedLater(t *testing.T) {
	puts, down := 0, true
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error {
			if puts++; down {
				return errDown
			}
			return next()
		}}
	})
	r.segment("a\n")
	if err := r.collect(); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	down = false
	mend := r.c.BreakManifest()
	r.clock.Advance(time.Minute)
	if err := r.collect(); err == nil || !strings.Contains(err.Error(), "write to the manifest: ") {
		t.Errorf("collected: %v", err)
	}
	mend()
	r.clock.Advance(time.Minute)
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
	if puts != 2 {
		t.Errorf("%d puts, want one that failed and one that did not", puts)
	}
}

func TestWhatIsInTheWayInTheDirectoryIsAnError(t *testing.T) {
	r := newRoom(t, nil)
	if err := os.Mkdir(r.dir+"/manifest.jsonl", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.collect(); err == nil || !strings.HasPrefix(err.Error(), "collect log segments: open ") {
		t.Errorf("with a directory as the manifest: %v", err)
	}
	if err := os.Remove(r.dir + "/manifest.jsonl"); err != nil {
		t.Fatal(err)
	}
	name := r.segment("a\n")
	gz := filepath.Join(r.dir, name+".log.gz")
	if err := os.MkdirAll(gz+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.collect(); err == nil || !strings.HasPrefix(err.Error(), "compress segment "+name+": rename ") {
		t.Errorf("with a directory as the compressed file: %v", err)
	}
	if err := os.RemoveAll(gz); err != nil {
		t.Fatal(err)
	}
	r.collected()
	r.is("1.log.gz", "a\n", "1:packed, 1:uploaded")
	// What comes behind a compressed text is not its own.
	orphan := strings.Replace(name, "-4711-1", "-4711-9", 1)
	if err := os.WriteFile(filepath.Join(r.dir, orphan+".log.gz"), []byte("no gzip at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.collect(); err == nil || !strings.Contains(err.Error(), orphan+", of which the manifest does not know: ") {
		t.Errorf("with a file that is not compressed: %v", err)
	}
	if got := r.files(); got != "1.log.gz 9.log.gz.damaged" {
		t.Errorf("files %s", got)
	}
}

func TestWhatCannotBeRemovedIsRemovedLater(t *testing.T) {
	r := newRoom(t, nil)
	record := `{"step":"removed","segment":"` + segmentName + `","lines":7,"why":"age"}` + "\n"
	if err := os.WriteFile(r.dir+"/manifest.jsonl", []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".log", ".log.gz"} {
		path := filepath.Join(r.dir, segmentName+suffix)
		if err := os.MkdirAll(path+"/x", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := r.collect(); err == nil || !strings.HasPrefix(err.Error(), "remove "+path+": ") {
			t.Errorf("with a directory as %s: %v", suffix, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	r.collected()
	r.is("", "", "1:removed age")
}

func TestACompressedSegmentThatVanishesBeforeItIsUploadedIsMissing(t *testing.T) {
	name := ""
	r := newRoom(t, nil)
	r.options.Bucket = &flaky{Bucket: r.options.Bucket, stat: func(_ string, next func() (logfile.Object, error)) (logfile.Object, error) {
		if err := os.Remove(filepath.Join(r.dir, name+".log.gz")); err != nil {
			t.Error(err)
		}
		return next()
	}}
	r.restart()
	name = r.segment("a\n")
	if err := r.collect(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("collected: %v", err)
	}
	r.collected()
	r.is("", "", "1:packed, 1:removed missing")
	if got := r.c.Stats().Streams["access"]; got != (logfile.Lines{Dropped: 1}) {
		t.Errorf("lines %+v", got)
	}
}

func TestACollectorWhoseContextEndsStopsWhereItIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error { cancel(); return errDown }}
	})
	for range 3 {
		r.segment("a\n")
	}
	if err := r.c.Collect(ctx); !errors.Is(err, errDown) {
		t.Errorf("collected: %v", err)
	}
	if st := r.c.Stats(); st.Errors != 0 {
		t.Errorf("an end is counted as an error: %+v", st)
	}
	r.segment("b\n")
	if err := r.c.Collect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("collected: %v", err)
	}
	r.clock.Advance(time.Minute)
	r.options.Bucket.(*flaky).put = nil
	r.collected()
	if got := r.stored(); got != "a\na\na\nb\n" {
		t.Errorf("stored %q", got)
	}
}

func TestASegmentThatCannotBeBegunIsTriedAgain(t *testing.T) {
	dir := disk.Mount(t, "nr_inodes=2") // the root, and a file
	r := newRoom(t, nil)
	s := open(t, logfile.StreamOptions{Dir: dir, MaxAge: time.Minute, Clock: r.clock})
	write(t, s, "a\n")
	r.clock.Advance(3 * time.Minute)
	write(t, s, "b\n")
	want(t, dir, "a\nb\n")
	if st := s.Stats(); st.Errors != 3 || st.Segments != 1 {
		t.Errorf("stats %+v, want an error a minute", st)
	}
	if err := s.Show(); err == nil { // a link has an inode as well
		t.Error("shown without an inode")
	}
}
