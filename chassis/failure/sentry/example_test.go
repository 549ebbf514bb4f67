package sentry_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

type shopConfig struct {
	HTTP   chassis.HTTPConfig `config:"http"`
	Sentry sentry.Config      `config:"sentry"` // off, as long as nobody gives sentry.dsn
}

func setupShop(_ context.Context, s *chassis.Service, cfg shopConfig) error {
	if err := sentry.Use(s, cfg.Sentry); err != nil {
		return err
	}
	router := chassis.NewRouter()
	router.Handle("POST /orders/{id}/pay", func(_ http.ResponseWriter, r *http.Request) error {
		return errDown.With("order", r.PathValue("id")).Wrap(fmt.Errorf("card 4111 1111 1111 1111 of %s", r.UserAgent()))
	})
	return s.HTTP("http", cfg.HTTP, router)
}

// A service takes it by one line of its Setup.
func ExampleUse() {
	fake, err := sentryfake.New(sentryfake.Options{}) // in place of Sentry; in tests, sentryfake.Start(t, …)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fake.Close()
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	shop := chassis.Spec[shopConfig]{Name: "shop", Setup: setupShop, Failures: codes}
	i, err := chassis.Start(ctx, shop, func(s *chassis.Settings, cfg *shopConfig) {
		cfg.HTTP.Addr, s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "127.0.0.1:0", "off", "off", "error"
		cfg.Sentry.DSN, cfg.Sentry.Spool = config.NewSecret(fake.DSN()), filepath.Join(dir, "sentry.spool")
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := http.Post("http://"+i.Addr("http").String()+"/orders/7/pay?card=4111111111111111", "text/plain", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	if err := fake.Wait(ctx, 1); err != nil {
		fmt.Println(err)
	}
	for _, e := range fake.Events() {
		fmt.Println(e.Code(), e.Count(), e.Transaction, e.Contexts["arguments"])
		fmt.Println(e.Exceptions[0].Value)
	}
	fmt.Println(i.Stop(ctx))
	// Output:
	// 1201 1 POST /orders/{id}/pay map[order:[redacted]]
	// the game store does not answer
	// <nil>
}

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
