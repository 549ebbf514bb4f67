//go:build linux

package faults_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/internal/disk"
	"github.com/seed-754044b3/roadworthy/internal/objectstore"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// logLife is a daemon whose access log is segments, which are rotated every second, compressed and shipped to a
// real store.
type logLife struct {
	*daemon
	store *objectstore.Store
	logs  string // directory of the segments

	mu      sync.Mutex
	answers map[string]lossbench.Answer // what clients know, by the id that the line has
}

// flushEvery is access_log.flush_every.
const flushEvery = 50 * time.Millisecond

func startLogLife(t *testing.T, logs string, budget int64) *logLife {
	t.Helper()
	store := objectstore.Start(t, "logs")
	d := start(t, options{Args: []string{
		"-access_log.path=" + logs + "/", "-access_log.format=%{request_id}x %m %U %>s", fmt.Sprintf("-access_log.flush_every=%v", flushEvery),
		"-log.files.rotate_every=1s", "-log.files.rotate_size=64KiB", "-log.files.collect_every=200ms", "-log.files.keep=1h", fmt.Sprintf("-log.files.budget=%d", budget),
		"-log.files.prefix=life", "-bucket.endpoint=" + store.Endpoint, "-bucket.bucket=logs", "-bucket.key=" + store.Key, "-bucket.secret=" + store.Secret,
	}})
	return &logLife{daemon: d, store: store, logs: logs, answers: map[string]lossbench.Answer{}}
}

// ask has clients ask the daemon, who write down what they are answered.
func (l *logLife) ask() *lossbench.Load {
	l.t.Helper()
	return l.load(func(o *lossbench.Options) {
		o.Answered = func(a lossbench.Answer) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.answers[a.ID] = a
		}
	}, traffic...)
}

// down has the store be away while f runs.
func (l *logLife) down(f func()) {
	l.t.Helper()
	l.store.Down(l.t)
	defer l.store.Up(l.t)
	f()
}

// unzipped is the text of a compressed segment, which must be whole.
func unzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Error(err)
	}
	return text
}

// balance is where lines are in the end.
type balance struct {
	lines   map[string]int // by request: how often there is one
	torn    int
	dropped uint64 // with segments
	objects int
	removed map[string]int // segments of the access log that are not here any more, by the reason
}

// settle stops the daemon and takes stock: what the store has, what is left here, what was dropped, and that
// manifests tell the truth about it.
func (l *logLife) settle() balance {
	l.t.Helper()
	b := balance{lines: map[string]int{}, removed: map[string]int{}}
	count := func(text []byte) {
		for line := range bytes.Lines(text) {
			id, rest, _ := strings.Cut(string(line), " ")
			if len(id) != 36 || !strings.HasSuffix(rest, " 200\n") {
				b.torn++
				continue
			}
			b.lines[id]++
		}
	}
	objects := map[string][]byte{}
	root := filepath.Join(l.store.Root, "logs")
	err := filepath.WalkDir(filepath.Join(root, "life"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		key, _ := filepath.Rel(root, file)
		objects[key] = data
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	var records []logfile.Record
	read := func(r io.Reader) {
		more, err := logfile.ReadManifest(r)
		if err != nil {
			l.t.Error(err)
		}
		records = append(records, more...)
	}
	for _, key := range slices.Sorted(maps.Keys(objects)) { // manifests in order
		text := unzipped(l.t, objects[key])
		if strings.HasPrefix(key, "life/manifest/") {
			read(bytes.NewReader(text))
			continue
		}
		b.objects++
		count(text)
	}
	manifest, err := os.Open(filepath.Join(l.logs, "manifest.jsonl"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer manifest.Close()
	read(manifest)
	stored := map[string]bool{} // segments
	for key := range objects {
		stored[strings.TrimSuffix(path.Base(key), ".log.gz")] = true
	}
	uploaded, dropped := map[string]bool{}, map[string]uint64{}
	steps := map[string]logfile.Step{}
	for _, r := range records {
		steps[r.Segment] = r.Step
		if r.Dropped && slices.Contains(slices.Collect(maps.Values(steps)), logfile.Uploaded) {
			l.t.Errorf("%s, which the store has not, was removed (%s) while there were others that it has", r.Segment, r.Why)
		}
		if r.Step == logfile.Removed && strings.HasPrefix(r.Segment, "access-") {
			b.removed[r.Why]++
			if r.Dropped == stored[r.Segment] {
				l.t.Errorf("the manifest says of a segment that was removed (%s) that its lines are lost: %v; it is in the store: %v", r.Why, r.Dropped, stored[r.Segment])
			}
		}
		switch {
		case r.Step == logfile.Uploaded:
			data, there := objects[r.Key]
			sum := sha256.Sum256(data)
			if !there || int64(len(data)) != r.Size || hex.EncodeToString(sum[:]) != r.SHA256 {
				l.t.Errorf("the manifest says that %s is in the store: there %v, %d bytes, want %d", r.Key, there, len(data), r.Size)
			}
			uploaded[r.Segment] = true
			if n := uint64(bytes.Count(unzipped(l.t, data), []byte{'\n'})); n != r.Lines && !r.Torn {
				l.t.Errorf("%s has %d lines, the manifest says %d", r.Key, n, r.Lines)
			}
		case r.Dropped:
			dropped[r.Segment] = r.Lines
		}
	}
	for _, n := range dropped {
		b.dropped += n
	}
	if n := len(uploaded); n < b.objects {
		l.t.Errorf("the store has %d segments, the manifest knows of %d", b.objects, n)
	}
	entries, err := os.ReadDir(l.logs)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		base, suffix, _ := strings.Cut(e.Name(), ".log")
		if _, err := logfile.ParseName(e.Name()); err == nil {
			suffix = ""
		} else if !strings.HasPrefix(base, "access-") || suffix != ".gz" {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".log")
		data, err := os.ReadFile(filepath.Join(l.logs, e.Name()))
		if err != nil {
			l.t.Error(err)
		}
		switch {
		case suffix == "":
			count(data)
		case !uploaded[name]:
			count(unzipped(l.t, data))
		}
	}
	return b
}

// doubled counts requests with more than one line.
func (b balance) doubled() (n int) {
	for _, times := range b.lines {
		if times > 1 {
			n++
		}
	}
	return n
}

// disturb is what happens to the disk and the store while a daemon is reloaded n times, at random moments.
func (l *logLife) disturb(random *rand.Rand, n int, each func(i int)) (largest int64) {
	l.t.Helper()
	for i := range n {
		next := time.After(time.Duration(300+random.IntN(500)) * time.Millisecond)
		each(i)
		for over := false; !over; {
			largest = max(largest, l.size())
			select {
			case <-next:
				over = true
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return largest
}

// fill takes all that is left of the disk, and what removed segments give back, until a line is dropped.
func (l *logLife) fill(file string) {
	l.t.Helper()
	f, err := os.Create(file)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	l.until("lines are dropped because the disk is full", func() bool {
		if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
			l.t.Errorf("the disk did not become full: %v", err)
		}
		return sum(l.metrics(), "access_log_dropped_total") > 0
	})
}

// size is what the files of the log have.
func (l *logLife) size() (total int64) {
	entries, _ := os.ReadDir(l.logs)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}

// unwritten are the answers without a line.
func (l *logLife) unwritten(b balance) (missing []lossbench.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, a := range l.answers {
		if b.lines[id] == 0 {
			missing = append(missing, a)
		}
	}
	return missing
}

// unanswered counts lines of requests whose clients had no answer.
func (l *logLife) unanswered(b balance) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range b.lines {
		if _, known := l.answers[id]; !known {
			n++
		}
	}
	return n
}

// answered counts the requests of all clients, and those of them that failed.
func answered(results []lossbench.Result) (requests, failed int64) {
	for _, r := range results {
		requests += r.Requests
		failed += r.Failed
	}
	return requests, failed
}

// Row 22, with rotation, compression, a store that is away and a disk that is full for a while.
func TestEveryLineOfTheAccessLogIsShippedOrCounted(t *testing.T) {
	t.Parallel()
	small := disk.Mount(t, "size=4m")
	// Something else takes most of the budget, the least that there can be, so that it is reached in seconds.
	const budget, other = 160 << 10, 120 << 10
	l := startLogLife(t, small+"/log", budget)
	writeFile(t, filepath.Join(l.logs, "other"), strings.Repeat("x", other))
	load := l.ask()
	n := reloadsOf(t, 6)
	random := rand.New(rand.NewPCG(22, 22))
	filler := filepath.Join(small, "filler")
	pause(calm)
	largest := l.disturb(random, n, func(i int) {
		switch i % 6 {
		case 2:
			l.fill(filler)
		case 3:
			pause(time.Second)
			if err := os.Remove(filler); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		case 4:
			l.store.Down(t)
		case 5:
			pause(2 * time.Second)
			l.store.Up(t)
		}
		load.BeginReload()
		l.reload()
		load.EndReload()
	})
	l.store.Up(t)
	_ = os.Remove(filler)
	pause(calm)
	l.settled()
	l.until("the budget is reached, and what the store has makes room", func() bool {
		largest = max(largest, l.size())
		return strings.Contains(readFile(t, filepath.Join(l.logs, "manifest.jsonl")), `"why":"budget"`)
	})
	results := lossless(t, load)
	requests, _ := answered(results)
	var dropped float64
	l.until("every line is written or counted as dropped", func() bool {
		m := l.metrics()
		dropped = sum(m, "access_log_dropped_total")
		return int64(sum(m, "access_log_lines_total")+dropped) == requests
	})
	l.stop()
	b := l.settle()
	t.Logf("%d reloads: %d requests = %d lines + %v dropped by writers + %d with segments; %d objects, removed here %v; at most %d bytes on the disk", n, requests, len(b.lines), dropped, b.dropped, b.objects, b.removed, largest)
	if got := int64(len(b.lines)) + int64(dropped) + int64(b.dropped); got != requests || b.torn > 0 || b.doubled() > 0 {
		t.Errorf("%d lines and %v and %d dropped of %d requests, %d torn, %d doubled", len(b.lines), dropped, b.dropped, requests, b.torn, b.doubled())
	}
	if dropped == 0 || b.objects == 0 {
		t.Errorf("%v lines dropped while the disk was full, %d objects: the test tests nothing", dropped, b.objects)
	}
	if missing := l.unwritten(b); len(missing) != int(dropped)+int(b.dropped) || l.unanswered(b) > 0 {
		t.Errorf("%d answers have no line, and %d lines no answer; %v and %d were counted as dropped", len(missing), l.unanswered(b), dropped, b.dropped)
	}
	if b.removed["budget"] == 0 {
		t.Errorf("removed %v: want segments that went for the budget", b.removed)
	}
	// A round holds the budget; what is written, and compressed beside its original, until the next is beyond it.
	if beyond := int64(64 << 10); largest > budget+beyond {
		t.Errorf("%d bytes on the disk, want at most %d and %d until the next round", largest, budget, beyond)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// death is when a worker was killed: between two times.
type death struct{ from, to time.Time }

// covers reports whether a request may have been inside when the worker was killed, or answered within a flush
// interval before: those are what a kill may cost. Late is by how much this machine's timers were late around it.
func (d death) covers(a lossbench.Answer, late time.Duration) bool {
	return !a.Sent.After(d.to) && !a.Received.Before(d.from.Add(-flushEvery-late))
}

// lateness measures by how much timers are late: those of a service are so on the same machine.
type lateness struct {
	mu    sync.Mutex
	spans []span // the late ones
}

// span is from when a timer was due until it ran.
type span struct{ due, ran time.Time }

// watchTimers measures until the test ends.
func watchTimers(t *testing.T) *lateness {
	w := &lateness{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(stop); <-stopped })
	go func() {
		defer close(stopped)
		for {
			const every = 5 * time.Millisecond
			due := time.Now().Add(every)
			select {
			case <-time.After(every):
			case <-stop:
				return
			}
			if ran := time.Now(); ran.Sub(due) > time.Millisecond {
				w.mu.Lock()
				w.spans = append(w.spans, span{due, ran})
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// around is the worst in the second before a death and while it took place. Two timers stand between a line and
// the disk: that which is due, and the processor's, that has others run.
func (w *lateness) around(d death) (late time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if s.ran.After(d.from.Add(-time.Second)) && s.due.Before(d.to) {
			late = max(late, 2*s.ran.Sub(s.due))
		}
	}
	return late
}

// A worker that is killed takes with it what it was about to answer, what it had not written, and the collector
// in the middle of a step.
func TestAKilledWorkerCostsOnlyTheLinesItHeld(t *testing.T) {
	t.Parallel()
	l := startLogLife(t, filepath.Join(t.TempDir(), "log"), 2<<20)
	timers := watchTimers(t)
	load := l.ask()
	var deaths []death
	random := rand.New(rand.NewPCG(9, 9))
	pause(calm)
	l.disturb(random, reloadsOf(t, 6), func(i int) {
		if i%2 == 1 {
			l.reload()
			return
		}
		victim := l.active()
		from := time.Now()
		kill(t, victim)
		l.until("the worker has ended", func() bool { return !alive(victim) })
		deaths = append(deaths, death{from, time.Now()})
		l.until("another worker is active", func() bool { now := l.active(); return now != 0 && now != victim })
		if i%4 == 0 {
			l.down(func() { pause(time.Duration(random.IntN(500)) * time.Millisecond) })
		}
	})
	pause(calm)
	l.settled()
	requests, failed := answered(load.Stop())
	l.stop()
	b := l.settle()
	missing := l.unwritten(b)
	allowed := 0
	for _, a := range l.answers {
		if slices.ContainsFunc(deaths, func(d death) bool { return d.covers(a, timers.around(d)) }) {
			allowed++
		}
	}
	t.Logf("%d kills: %d requests, %d failed; %d lines, %d torn, %d objects; %d answers without a line, of %d that were inside or answered within %v, and what timers were late, before a kill",
		len(deaths), requests, failed, len(b.lines), b.torn, b.objects, len(missing), allowed, flushEvery)
	for _, a := range missing {
		if slices.ContainsFunc(deaths, func(d death) bool { return d.covers(a, timers.around(d)) }) {
			continue
		}
		var before []string
		for _, d := range deaths {
			before = append(before, fmt.Sprintf("%v (timers late by %v)", d.from.Sub(a.Received), timers.around(d)))
		}
		t.Errorf("request %s was answered and has no line, though it came this long before kills: %s", a.ID, strings.Join(before, ", "))
	}
	// A request that failed at its client may have a line; one that its client sent again, two.
	if extra := l.unanswered(b); int64(extra) > 2*failed || b.doubled() > 0 || b.torn > len(deaths) || b.dropped > 0 {
		t.Errorf("%d lines of requests without an answer, of which %d failed, %d torn, %d doubled, %d dropped after %d kills", extra, failed, b.torn, b.doubled(), b.dropped, len(deaths))
	}
}
