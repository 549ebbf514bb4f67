package sentry_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// Services call Use; a program without the chassis runs a sink itself.
func ExampleOpen() {
	fake, err := sentryfake.New(sentryfake.Options{}) // in place of Sentry
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fake.Close()
	dir, err := os.MkdirTemp("", "reports")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sink, err := sentry.Open(ctx, sentry.Config{
		DSN:   config.NewSecret(fake.DSN()), // in production, file:/etc/game/sentry.dsn
		Spool: filepath.Join(dir, "sentry.spool"),
	}, sentry.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sink.Run(running) }()

	if err := sink.Take(ctx, report(1042)); err != nil { // an aggregate.Aggregator calls it
		fmt.Println(err)
	}
	if err := fake.Wait(ctx, 1); err != nil {
		fmt.Println(err)
	}
	stop()
	fmt.Println(<-ended, sink.Close())
	for _, e := range fake.Events() {
		fmt.Println(e.Code(), e.Count(), e.Release, e.Exceptions[0].Value)
	}
	// Output:
	// <nil> <nil>
	// 1042 1042 game@1.2.3 column is full (column=7)
}
