package sentryfake_test

import (
	"context"
	"fmt"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// Any client of Sentry can be tested with it, such as sentry-go.
func Example() {
	fake, err := sentryfake.New(sentryfake.Options{}) // in tests, sentryfake.Start(t, …)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fake.Close()

	client, err := sentry.NewClient(sentry.ClientOptions{Dsn: fake.DSN(), Release: "game@1.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	client.CaptureMessage("it broke", nil, sentry.NewScope())

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := fake.Wait(ctx, 1); err != nil {
		fmt.Println(err)
		return
	}
	event := fake.Events()[0]
	fmt.Println(event.Level, event.Message, event.Release, fake.Problems())
	// Output: info it broke game@1.0 []
}
