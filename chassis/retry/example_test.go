package retry_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// A service refuses and asks to wait: the request is sent again after that, as long as it may be.
func Example() {
	policy := retry.New("game", retry.Config{}, clock.Real(), rand.Reader)
	r, err := policy.Begin()
	if err != nil {
		fmt.Println(err) // a *retry.Throttled
		return
	}
	refused := retry.Failure{Safe: true, After: time.Second}
	for attempt := 1; ; attempt++ {
		r.Attempted(retry.Rejected)
		wait, again := r.Again(context.Background(), refused)
		fmt.Println(attempt, again, wait >= refused.After || !again)
		if !again {
			return
		}
	}
	// Output:
	// 1 true true
	// 2 true true
	// 3 false true
}
