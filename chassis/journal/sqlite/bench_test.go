package sqlite_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// yardstick returns what SQLite does to the disk for one small append, without SQLite: two frames
// of a write-ahead log, each a header and a page, written in place, and a sync.
func yardstick(b *testing.B) func() {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "wal"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	const header, page, wal = 24, 4096, 8 << 20
	if _, err := f.Write(make([]byte, wal)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	buf, at := make([]byte, page), int64(0)
	return func() {
		for _, n := range []int{header, page, header, page} {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				b.Fatal(err)
			}
			at += int64(n)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		if at > wal-4*page {
			at = 0
		}
	}
}

func BenchmarkFsync(b *testing.B) {
	raw := yardstick(b)
	n := 0
	for b.Loop() {
		raw()
		n++
	}
	perSecond(b, n, "fsync/s")
}

func BenchmarkAppend(b *testing.B) {
	// One caller, in turn with raw syncs of the same disk, because disks change their mind: streams
	// like those of games, 50 at a time with 40 events each, or 2,000 that have been there for long.
	for name, stream := range map[string]func(n int) string{
		"single":     func(n int) string { return fmt.Sprintf("game-%05d", n/2000*50+n%50) },
		"single old": func(n int) string { return fmt.Sprintf("order-%05d", n*7%2000) },
	} {
		b.Run(name, func(b *testing.B) {
			j := openBench(b, "file:"+filepath.Join(b.TempDir(), "j.db"))
			fill(b, j, 10_000) // past the first growth of the WAL
			raw := yardstick(b)
			var syncing time.Duration
			n, syncs := 0, 0
			for b.Loop() {
				if n%100 == 0 {
					b.StopTimer()
					start := time.Now()
					for range 100 {
						raw()
					}
					syncing += time.Since(start)
					syncs += 100
					b.StartTimer()
				}
				appendOne(b, j, stream(n))
				n++
			}
			perSecond(b, n, "tx/s")
			b.ReportMetric(float64(syncs)/syncing.Seconds(), "fsync/s")
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()*syncing.Seconds()/float64(syncs), "of-fsync")
		})
	}
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

// BenchmarkWatchers has 1,000 subscribers follow 100 games, ten each, while every game gets an
// event: one operation is an event that has reached all ten.
func BenchmarkWatchers(b *testing.B) {
	for _, url := range []string{"mem:", "file:" + filepath.Join(b.TempDir(), "j.db")} {
		b.Run(url[:4], func(b *testing.B) {
			j := openBench(b, url)
			const games, each = 100, 10
			var ready, left sync.WaitGroup
			ready.Add(games * each)
			events := b.N
			for i := range games * each {
				game := i % games
				mine := events / games
				if game < events%games {
					mine++
				}
				left.Go(func() {
					ready.Done()
					if mine == 0 {
						return
					}
					seen := 0
					for _, err := range j.Subscribe(b.Context(), 0, journal.Filter{Stream: fmt.Sprint("game-", game)}) {
						if err != nil {
							b.Error(err)
							return
						}
						if seen++; seen == mine {
							return
						}
					}
				})
			}
			ready.Wait()
			b.ResetTimer()
			var appending sync.WaitGroup
			for w := range games {
				appending.Go(func() {
					for n := w; n < events; n += games {
						appendOne(b, j, fmt.Sprint("game-", w))
					}
				})
			}
			appending.Wait()
			left.Wait()
			perSecond(b, events, "ev/s")
		})
	}
}

// BenchmarkOpenFile opens a file that is checked whole, and one that is checked at its end.
func BenchmarkOpenFile(b *testing.B) {
	for _, events := range []int{10_000, 100_000, 200_000} {
		b.Run(fmt.Sprint(events), func(b *testing.B) {
			url := "file:" + filepath.Join(b.TempDir(), "j.db")
			j := openBench(b, url)
			fill(b, j, events)
			j.Close()
			for b.Loop() {
				j, err := journal.Open(b.Context(), &journal.Local{}, url, sqlite.Engine)
				if err != nil {
					b.Fatal(err)
				}
				j.Close()
			}
		})
	}
}
