package queue_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// A queue of one worker and one place says no to the third.
func Example() {
	q, err := queue.New("thumbnails", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	release := make(chan bool)
	draw := func(context.Context) error { <-release; return nil }

	_ = q.Submit(ctx, queue.Meta{}, draw) // runs
	_ = q.Submit(ctx, queue.Meta{}, draw) // waits
	var rejected *queue.Rejected
	if err := q.Submit(ctx, queue.Meta{}, draw); errors.As(err, &rejected) {
		fmt.Println(rejected)
		fmt.Println("because:", rejected.Reason, "- try again in", rejected.RetryAfter)
	}

	close(release)
	fmt.Println("closed:", q.Close(ctx))
	// Output:
	// queue "thumbnails" rejected the work: all places are taken
	// because: full - try again in 10ms
	// closed: <nil>
}

func ExampleNew() {
	_, err := queue.New("uploads", queue.Limits{Workers: 4}, queue.Options{})
	fmt.Println(err)
	// Output:
	// queue "uploads": Limits.Capacity is 0: say how much may wait, 1 or more
}

// The caller's deadline decides before the work has cost anything.
func ExampleQueue_Do() {
	q, err := queue.New("report", queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	err = q.Do(ctx, queue.Meta{}, func(context.Context) error {
		fmt.Println("never printed")
		return nil
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))

	err = q.Do(context.Background(), queue.Meta{}, func(context.Context) error { panic("out of ink") })
	fmt.Println(err)
	// Output:
	// queue "report" rejected the work: the deadline has passed
	// true
	// queue "report": the work panicked: out of ink
}

// What becomes of submitted work is told to OnError.
func ExampleQueue_Submit() {
	q, err := queue.New("mail", queue.Limits{Workers: 1, Capacity: 8}, queue.Options{
		OnError: func(err error) { fmt.Println("not sent:", err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_ = q.Submit(ctx, queue.Meta{}, func(context.Context) error { return errors.New("no such mailbox") })
	_ = q.Close(ctx)
	s := q.Stats()
	fmt.Println("completed:", s.Completed, "failed:", s.Failed)
	// Output:
	// not sent: no such mailbox
	// completed: 1 failed: 1
}

// Close finishes what it has for as long as its context lives.
func ExampleQueue_Close() {
	q, err := queue.New("index", queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan bool)
	_ = q.Submit(context.Background(), queue.Meta{}, func(ctx context.Context) error {
		defer close(ended)
		<-ctx.Done() // work that would go on for ever
		fmt.Println("told to stop:", context.Cause(ctx))
		return ctx.Err()
	})
	_ = q.Submit(context.Background(), queue.Meta{}, func(context.Context) error { return nil }) // waits

	patience, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(q.Close(patience))
	<-ended
	// Unordered output:
	// queue "index": closed with 1 rejected and 1 still running: context canceled
	// told to stop: queue "index" rejected the work: the queue is closed
}
