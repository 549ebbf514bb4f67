//go:build unix

package logfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

// snapshot is what a directory has.
type snapshot map[string]string

func take(t *testing.T, dir string) snapshot {
	t.Helper()
	s := snapshot{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s[e.Name()] = readFile(t, filepath.Join(dir, e.Name()))
	}
	return s
}

func (s snapshot) put(t *testing.T, dir string) {
	t.Helper()
	for name, text := range s {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A kill is made by putting the directory into each state that lies between two steps.
func TestAKillBetweenAnyTwoStepsLosesAndDoublesNothing(t *testing.T) {
	const text = "a\nb\n"
	down := true
	donor := newRoom(t, func(o *logfile.CollectorOptions) {
		o.Keep = time.Hour
		o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error {
			if down {
				return errDown
			}
			return next()
		}}
	})
	name := donor.segment(text)
	raw, gz := name+".log", name+".log.gz"
	sealed := take(t, donor.dir)
	if err := donor.collect(); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	packed := take(t, donor.dir)
	down = false
	donor.clock.Advance(time.Minute)
	donor.collected()
	uploaded := take(t, donor.dir)
	donor.clock.Advance(2 * time.Hour)
	donor.collected()
	removed := take(t, donor.dir)
	const manifest = "manifest.jsonl"
	if len(packed[manifest]) == 0 || len(uploaded[manifest]) <= len(packed[manifest]) || len(removed[manifest]) <= len(uploaded[manifest]) || removed[gz] != "" || packed[raw] != "" {
		t.Fatalf("the steps left %q, %q, %q", packed, uploaded, removed)
	}

	for _, c := range []struct {
		what   string
		state  snapshot
		stored bool // the bucket has it already
		puts   int
	}{
		{"nothing was done", sealed, false, 1},
		{"half compressed", snapshot{raw: text, gz + ".part": packed[gz][:9]}, false, 1},
		{"compressed and not renamed", snapshot{raw: text, gz + ".part": packed[gz]}, false, 1},
		{"renamed and not recorded", snapshot{raw: text, gz: packed[gz]}, false, 1},
		{"half recorded", snapshot{raw: text, gz: packed[gz], manifest: packed[manifest][:30]}, false, 1},
		{"recorded and the segment not removed", snapshot{raw: text, gz: packed[gz], manifest: packed[manifest]}, false, 1},
		{"compressed", packed, false, 1},
		{"power was lost after it was renamed, and with it the segment's text", snapshot{raw: "", gz: packed[gz]}, false, 1},
		{"power was lost after it was renamed, and with it a part of the segment's text", snapshot{raw: "a\n", gz: packed[gz]}, false, 1},
		{"power was lost after it was recorded, and with it the segment's text", snapshot{raw: "", gz: packed[gz], manifest: packed[manifest]}, false, 1},
		{"renamed by a process that did not sync it", snapshot{raw: text, gz: packed[gz][:20]}, false, 1},
		{"uploaded and not recorded", packed, true, 0},
		{"uploaded and half recorded", snapshot{gz: packed[gz], manifest: packed[manifest] + uploaded[manifest][len(packed[manifest]):][:40]}, true, 0},
		{"uploaded", uploaded, true, 0},
		{"its removal is half recorded", snapshot{gz: packed[gz], manifest: uploaded[manifest] + removed[manifest][len(uploaded[manifest]):][:20]}, true, 0},
		{"its removal is recorded and it is there", snapshot{gz: packed[gz], manifest: removed[manifest]}, true, 0},
		{"removed", removed, true, 0},
		{"another manifest is half written", snapshot{gz: packed[gz], manifest: uploaded[manifest], manifest + ".new": uploaded[manifest][:50]}, true, 0},
		{"the manifest became a segment and there is no other", snapshot{gz: packed[gz], manifest + ".new": uploaded[manifest]}, true, 0},
	} {
		puts := 0
		r := newRoom(t, func(o *logfile.CollectorOptions) {
			o.Keep = time.Hour
			o.Bucket = &flaky{Bucket: o.Bucket, put: func(_ string, next func() error) error { puts++; return next() }}
		})
		c.state.put(t, r.dir)
		key := r.bucket + "/access/2026/11/28/" + gz
		if c.stored {
			if err := errors.Join(os.MkdirAll(filepath.Dir(key), 0o700), os.WriteFile(key, []byte(packed[gz]), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		r.clock.Advance(5 * time.Minute)
		r.collected()
		if got := r.stored(); got != text || puts != c.puts {
			t.Errorf("%s: stored %q by %d puts, want %d", c.what, got, puts, c.puts)
		}
		r.clock.Advance(3 * time.Hour)
		r.collected()
		r.restart()
		r.collected()
		if got := r.files(); got != "" {
			t.Errorf("%s: files %s in the end", c.what, got)
		}
		if steps := r.steps(); !strings.HasSuffix(steps, "1:removed age") || strings.Count(steps, "removed") != 1 {
			t.Errorf("%s: manifest %s", c.what, steps)
		}
		if puts != c.puts {
			t.Errorf("%s: it was put again", c.what)
		}
	}
}

// Beside a small budget, records of what was may not take the room of what is.
func TestAManifestIsASixteenthOfTheBudgetAtMost(t *testing.T) {
	const budget = 1 << 20
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Budget = budget })
	text, _ := longManifest(budget / 16)
	if err := os.WriteFile(r.dir+"/manifest.jsonl", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.collected()
	if info, err := os.Stat(r.dir + "/manifest.jsonl"); err != nil || info.Size() > budget/16 {
		t.Errorf("the manifest has %d bytes, %v", info.Size(), err)
	}
	r.collected()
	names, err := filepath.Glob(r.bucket + "/manifest/*/*/*/manifest-*.log.gz")
	if err != nil || len(names) != 1 || unzip(t, names[0]) != text {
		t.Errorf("%d former manifests in the bucket, %v, want one with all there was", len(names), err)
	}
}

// longManifest is one of so many bytes and more, and the number of its records. Nothing that they tell of is there.
func longManifest(size int) (text string, records int) {
	var long strings.Builder
	n := logfile.Name{Stream: "access", Begun: start, PID: 1}
	for long.Len() < size {
		n.Number++
		for _, step := range []logfile.Step{logfile.Packed, logfile.Removed} {
			records++
			fmt.Fprintf(&long, `{"time":"2026-11-28T15:33:51Z","step":%q,"segment":%q,"lines":7}`+"\n", step, n)
		}
	}
	return long.String(), records
}

func TestALongManifestBecomesASegment(t *testing.T) {
	r := newRoom(t, func(o *logfile.CollectorOptions) { o.Keep = time.Hour })
	long, records := longManifest(1 << 20)
	if err := os.WriteFile(r.dir+"/manifest.jsonl", []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	r.segment("a\n")
	if err := os.MkdirAll(r.dir+"/manifest.jsonl.new/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.collect(); err == nil || !strings.HasPrefix(err.Error(), "begin another manifest: open ") {
		t.Errorf("with something in its way: %v", err)
	}
	if err := os.RemoveAll(r.dir + "/manifest.jsonl.new"); err != nil {
		t.Fatal(err)
	}
	r.collected()
	r.collected()
	names, err := filepath.Glob(r.bucket + "/manifest/*/*/*/manifest-*.log.gz")
	if err != nil || len(names) != 1 {
		t.Fatalf("%d former manifests in the bucket, %v", len(names), err)
	}
	former, err := logfile.ReadManifest(strings.NewReader(unzip(t, names[0])))
	if err != nil || len(former) < records {
		t.Errorf("%d records in the former manifest, want %d and more; %v", len(former), records, err)
	}
	if info, err := os.Stat(r.dir + "/manifest.jsonl"); err != nil || info.Size() > 3000 {
		t.Errorf("the manifest has %d bytes, %v", info.Size(), err)
	}
	r.clock.Advance(5 * time.Minute)
	r.restart()
	r.collected()
	if got := r.stored(); got != "a\n" || r.c.Stats().Uploaded != 0 {
		t.Errorf("stored %q, %d uploaded anew", got, r.c.Stats().Uploaded)
	}
}
