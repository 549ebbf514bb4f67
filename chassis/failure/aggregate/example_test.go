package aggregate_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

type printed struct{}

func (printed) Take(_ context.Context, r aggregate.Report) error {
	fmt.Printf("%d of %s %d: %s\n", r.Count, r.Code.Set, r.Code.Number, r.Sample.Message)
	return nil
}

// A thousand failures in one minute are ten reports, and one more with the count.
func Example() {
	now := clock.NewVirtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	failures := aggregate.New(aggregate.Config{Service: "shop", Clock: now})
	failures.ReportTo("standard output", printed{})
	for range 1000 {
		failures.Add(aggregate.Occurrence{Error: errStore.New(), ID: "C4G76VVNE9HP", Time: now.Now()})
	}
	_ = failures.Flush(context.Background())
	// Output:
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 1 of shop 1002: the store does not answer
	// 990 of shop 1002: the store does not answer
}
