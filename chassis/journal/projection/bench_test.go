package projection_test

import (
	"fmt"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
)

// BenchmarkBuild builds a projection of 100,000 events of 200 bytes of 2,000 streams, one statement
// for each.
func BenchmarkBuild(b *testing.B) {
	const events = 100_000
	j := openJournal(b, file(b))
	batch := make([]journal.Event, 50)
	for i := range batch {
		batch[i] = journal.Event{Type: "placed", Data: make([]byte, 200)}
	}
	for i := range events / len(batch) {
		if _, err := j.Append(b.Context(), fmt.Sprint("order-", i%2000), journal.Any, batch...); err != nil {
			b.Fatal(err)
		}
	}
	spec := projection.Spec{
		Name: "orders", Version: 1, Columns: "stream TEXT PRIMARY KEY, n INTEGER NOT NULL",
		Apply: func(tx *projection.Tx, e journal.Recorded) error {
			return tx.Exec(`INSERT INTO {table} VALUES(?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, e.Stream)
		},
	}
	for b.Loop() {
		p, done := open(b, nil, file(b), j, spec)
		stop := run(b, p)
		must(b, p.Ready(b.Context()))
		must(b, stop())
		done()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "ev/s")
}
