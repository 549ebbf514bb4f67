package queue_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// How large a queue is follows from how long work takes and how long callers wait for the answer.
func ExampleLimits() {
	const (
		service  = 20 * time.Millisecond  // measured: the mean of queue_service_seconds
		deadline = 100 * time.Millisecond // what callers grant
		workers  = 8                      // what runs at a time without slowing each other down
	)
	limits := queue.Limits{
		Workers:  workers,
		Capacity: workers * int(deadline*6/10/service), // whoever takes the last place waits for 60 ms
		MaxWait:  deadline,                             // for callers that name no deadline
	}
	fmt.Println("requests per second:", float64(workers)/service.Seconds())
	fmt.Println("places to wait in:", limits.Capacity)
	// Output:
	// requests per second: 400
	// places to wait in: 24
}

// Under overload, the work that matters least goes first.
func ExampleMeta() {
	q, err := queue.New("mail", queue.Limits{Workers: 1, Capacity: 1}, queue.Options{
		OnError: func(err error) { fmt.Println("not sent:", err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	busy, err := q.Enter(ctx, queue.Meta{})
	if err != nil {
		fmt.Println(err)
		return
	}
	send := func(what string) func(context.Context) error {
		return func(context.Context) error { fmt.Println("sent:", what); return nil }
	}
	_ = q.Submit(ctx, queue.Meta{Tenant: "shop", Class: queue.Sheddable}, send("newsletter"))
	_ = q.Submit(ctx, queue.Meta{Tenant: "shop", Class: queue.CriticalPlus}, send("password reset"))
	busy.Leave(nil)
	_ = q.Close(ctx)
	// Output:
	// not sent: queue "mail" rejected the work: more critical work took its place
	// sent: password reset
}

// Middleware lets a request in, or says why not, before anything of it is read.
func ExampleQueue_Enter() {
	q, err := queue.New("http", queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	admit := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a, err := q.Enter(r.Context(), queue.Meta{Tenant: r.Header.Get("X-Tenant")})
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			defer a.Leave(nil)
			next.ServeHTTP(w, r)
		})
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	w := httptest.NewRecorder()
	admit(hello).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Body)

	_ = q.Close(context.Background())
	w = httptest.NewRecorder()
	admit(hello).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 200 hello
	// 503 queue "http" rejected the work: the queue is closed
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
