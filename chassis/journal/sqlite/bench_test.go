package sqlite_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// The unit of all figures is one event of 200 bytes.
var payload = make([]byte, 200)

func openBench(b *testing.B, url string) journal.Journal {
	b.Helper()
	j, err := journal.Open(b.Context(), &journal.Local{}, url, sqlite.Engine)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { j.Close() })
	return j
}

func perSecond(b *testing.B, n int, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit)
}

// BenchmarkFsync is the yardstick: what SQLite does for one small append, two WAL frames written
// in place and synced, without SQLite.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "wal"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const frames, wal = 2 * (4096 + 24), 4 << 20
	if _, err := f.Write(make([]byte, wal)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, frames)
	n := 0
	for b.Loop() {
		if _, err := f.WriteAt(buf, int64(n*frames)%(wal-frames)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		n++
	}
	perSecond(b, n, "fsync/s")
}

func BenchmarkAppend(b *testing.B) {
	b.Run("single", func(b *testing.B) {
		j := openBench(b, "file:"+filepath.Join(b.TempDir(), "j.db"))
		fill(b, j, 10_000) // past the first growth of the WAL
		n := 0
		for b.Loop() {
			appendOne(b, j, fmt.Sprintf("order-%05d", n%2000))
			n++
		}
		perSecond(b, n, "tx/s")
	})
	b.Run("single lively", func(b *testing.B) {
		j := openBench(b, "file:"+filepath.Join(b.TempDir(), "j.db"))
		fill(b, j, 10_000) // past the first growth of the WAL
		n := 0
		for b.Loop() {
			appendOne(b, j, fmt.Sprintf("game-%05d", n/2000*50+n%50))
			n++
		}
		perSecond(b, n, "tx/s")
	})
	b.Run("64 appenders", func(b *testing.B) {
		j := openBench(b, "file:"+filepath.Join(b.TempDir(), "j.db"))
		fill(b, j, 10_000)
		var left atomic.Int64
		left.Store(int64(b.N))
		b.ResetTimer()
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() {
				stream, version := fmt.Sprintf("worker-%d", w), journal.Version(0)
				for left.Add(-1) >= 0 {
					v, err := j.Append(b.Context(), stream, journal.At(version), journal.Event{Type: "placed", Data: payload})
					if err != nil {
						b.Error(err)
						return
					}
					version = v
				}
			})
		}
		wg.Wait()
		perSecond(b, b.N, "tx/s")
	})
	b.Run("memory", func(b *testing.B) {
		j := openBench(b, "mem:")
		n := 0
		for b.Loop() {
			appendOne(b, j, fmt.Sprintf("order-%05d", n%2000))
			n++
		}
		perSecond(b, n, "tx/s")
	})
}

func appendOne(b *testing.B, j journal.Journal, stream string) {
	if _, err := j.Append(b.Context(), stream, journal.Any, journal.Event{Type: "placed", Data: payload}); err != nil {
		b.Fatal(err)
	}
}

// fill appends n events, a multiple of 1,000, to 2,000 streams.
func fill(b *testing.B, j journal.Journal, n int) {
	b.Helper()
	events := make([]journal.Event, 10)
	for i := range events {
		events[i] = journal.Event{Type: "placed", Data: payload}
	}
	var wg sync.WaitGroup
	for w := range 100 {
		wg.Go(func() {
			for i := range n / 1000 {
				stream := fmt.Sprintf("order-%05d", (i*100+w)*7%2000)
				if _, err := j.Append(b.Context(), stream, journal.Any, events...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkReplay(b *testing.B) {
	for name, filter := range map[string]journal.Filter{"all": {}, "filtered": {Types: []string{"none"}}} {
		b.Run(name, func(b *testing.B) {
			const events = 200_000
			j := openBench(b, "file:"+filepath.Join(b.TempDir(), "j.db"))
			fill(b, j, events)
			n := 0
			for b.Loop() {
				for e, err := range j.All(b.Context(), 0, filter) {
					if err != nil {
						b.Fatal(err)
					}
					io.Discard.Write(e.Data)
				}
				n += events
			}
			perSecond(b, n, "ev/s")
		})
	}
}

func BenchmarkOpenMem(b *testing.B) {
	for b.Loop() {
		j, err := journal.Open(b.Context(), &journal.Local{}, "mem:", sqlite.Engine)
		if err != nil {
			b.Fatal(err)
		}
		appendOne(b, j, "a")
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
