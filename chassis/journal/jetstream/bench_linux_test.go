package jetstream_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// The unit of all figures is one event of 200 bytes.
var payload = make([]byte, 200)

func perSecond(b *testing.B, n int, unit string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit)
}

// drive appends b.N times from some goroutines, each to a stream of its own.
func drive(b *testing.B, j journal.Journal, appenders, events int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range appenders {
		wg.Go(func() {
			stream := fmt.Sprintf("worker-%d-%d", appenders, w)
			version, err := j.Version(b.Context(), stream)
			batch := make([]journal.Event, events)
			for i := range batch {
				batch[i] = journal.Event{Type: "placed", Data: payload}
			}
			for err == nil && left.Add(-1) >= 0 {
				version, err = j.Append(b.Context(), stream, journal.At(version), batch...)
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	perSecond(b, b.N, "tx/s")
	if events > 1 {
		perSecond(b, b.N*events, "events/s")
	}
}

// Three servers, three replicas, every write synced before it is acknowledged.
func BenchmarkCluster(b *testing.B) {
	url := fresh(natscluster.Start(b))()
	j := open(b, url)
	for _, c := range []struct{ appenders, events int }{{1, 1}, {64, 1}, {1, 10}, {32, 10}} {
		b.Run(fmt.Sprintf("%d appenders of %d", c.appenders, c.events), func(b *testing.B) { drive(b, j, c.appenders, c.events) })
	}
	head, err := j.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("replay", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for _, err := range j.All(b.Context(), 0, journal.Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		if n != b.N*int(head) {
			b.Errorf("%d events, want %d times %d", n, b.N, head)
		}
		perSecond(b, n, "events/s")
	})
	b.Run("version", func(b *testing.B) {
		for b.Loop() {
			if _, err := j.Version(b.Context(), "worker-1-0"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
