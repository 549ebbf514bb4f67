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
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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
}

// logBudget is log.files.budget.
const logBudget = 2 << 20

func startLogLife(t *testing.T, logs string) *logLife {
	t.Helper()
	store := objectstore.Start(t, "logs")
	d := start(t, options{Args: []string{
		"-access_log.path=" + logs + "/", "-access_log.format=%{request_id}x %m %U %>s", "-access_log.flush_every=50ms",
		"-log.files.rotate_every=1s", "-log.files.rotate_size=64KiB", "-log.files.collect_every=200ms", "-log.files.keep=3s", fmt.Sprintf("-log.files.budget=%d", logBudget),
		"-log.files.prefix=life", "-bucket.endpoint=" + store.Endpoint, "-bucket.bucket=logs", "-bucket.key=" + store.Key, "-bucket.secret=" + store.Secret,
	}})
	return &logLife{d, store, logs}
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
}

// settle stops the daemon and takes stock: what the store has, what is left here, what was dropped, and that
// manifests tell the truth about it.
func (l *logLife) settle() balance {
	l.t.Helper()
	b := balance{lines: map[string]int{}}
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
	err := filepath.WalkDir(filepath.Join(root, "life"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		key, _ := filepath.Rel(root, path)
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
	for key, data := range objects {
		text := unzipped(l.t, data)
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
	uploaded, dropped := map[string]bool{}, map[string]uint64{}
	for _, r := range records {
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
		<-next
		largest = max(largest, l.size())
	}
	return largest
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

// answered counts the requests that had an answer, and those that may have had one.
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
	l := startLogLife(t, small+"/log")
	load := l.load(nil, "h1", "h1-idle", "h1-fresh", "h2c-get", "grpc")
	n := reloadsOf(t, 6)
	random := rand.New(rand.NewPCG(22, 22))
	filler := filepath.Join(small, "filler")
	pause(calm)
	largest := l.disturb(random, n, func(i int) {
		switch i % 6 {
		case 2: // everything that is left of the disk is taken
			f, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(f, zeros{})
			if err == nil {
				t.Error("the disk did not become full")
			}
			_ = f.Close()
			pause(time.Second)
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
	t.Logf("%d reloads: %d requests = %d lines + %v dropped by writers + %d with segments; %d objects; at most %d bytes on the disk", n, requests, len(b.lines), dropped, b.dropped, b.objects, largest)
	if got := int64(len(b.lines)) + int64(dropped) + int64(b.dropped); got != requests || b.torn > 0 || b.doubled() > 0 {
		t.Errorf("%d lines and %v and %d dropped of %d requests, %d torn, %d doubled", len(b.lines), dropped, b.dropped, requests, b.torn, b.doubled())
	}
	if dropped == 0 || b.objects == 0 {
		t.Errorf("%v lines dropped while the disk was full, %d objects: the test tests nothing", dropped, b.objects)
	}
	// The segments that are written while one round takes place are beyond it.
	if largest > logBudget+256<<10 {
		t.Errorf("%d bytes on the disk, want at most %d", largest, logBudget)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A worker that is killed takes with it what it was about to answer, what it had not written, and the collector
// in the middle of a step.
func TestAKilledWorkerCostsOnlyTheLinesItHeld(t *testing.T) {
	t.Parallel()
	l := startLogLife(t, filepath.Join(t.TempDir(), "log"))
	load := l.load(nil, "h1", "h1-idle", "h1-fresh", "h2c-get", "grpc")
	kills := 0
	random := rand.New(rand.NewPCG(9, 9))
	pause(calm)
	l.disturb(random, reloadsOf(t, 6), func(i int) {
		if i%2 == 1 {
			l.reload()
			return
		}
		victim := l.active()
		kill(t, victim)
		kills++
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
	// In flight is at most a request of each client; a flush interval has what is asked in its 50 ms, but a busy
	// machine may write later: ten of them.
	clients := int64(0)
	for _, name := range []string{"h1", "h1-idle", "h1-fresh", "h2c-get", "grpc"} {
		clients += clientsOf[name]
	}
	perKill := clients + lightRate/2
	good := requests - failed
	t.Logf("%d kills: %d requests, %d failed; %d lines, %d torn, %d objects; allowed %d missing lines a kill", kills, requests, failed, len(b.lines), b.torn, b.objects, perKill)
	missing := good - int64(len(b.lines)) - int64(b.dropped)
	if missing > int64(kills)*perKill || -missing > failed+int64(kills)*clients || b.doubled() > 0 || b.torn > kills {
		t.Errorf("%d lines of %d requests that were answered, %d torn, %d doubled after %d kills", len(b.lines), good, b.torn, b.doubled(), kills)
	}
}
