package spool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// The unit of all figures is one record of 200 bytes.
var payload = make([]byte, 200)

// BenchmarkFsync is what the disk does without SQLite: a page written in place, and a sync.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "wal"))
	must(b, err)
	defer f.Close()
	_, err = f.Write(make([]byte, 1<<20))
	must(b, err)
	page, at := make([]byte, 4096), int64(0)
	n := 0
	for b.Loop() {
		if _, err := f.WriteAt(page, at); err != nil {
			b.Fatal(err)
		}
		must(b, f.Sync())
		at = (at + 4096) % (1 << 20)
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "fsync/s")
}

// BenchmarkPut is what callers get that wait for the disk, one alone and 64 together.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			s := open(b, file(b), spool.Config{})
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := s.Put(b.Context(), spool.Record{ID: fmt.Sprint("record-", n), Body: payload}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "put/s")
		})
	}
}
