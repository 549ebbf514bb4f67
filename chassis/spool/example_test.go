package spool_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// A record is handed out until it is acknowledged.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := spool.Open(ctx, filepath.Join(dir, "metering.spool"), spool.Config{
		Limit: spool.Limit{Bytes: 64 << 20, OnFull: spool.Block},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	if err := s.Put(ctx, spool.Record{ID: "2026-03-01/tenant-7", Kind: "usage", Body: []byte("42")}); err != nil {
		log.Fatal(err) // it is not stored
	}
	records, err := s.Lease(ctx, 10, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range records {
		fmt.Printf("%s %s: %s\n", r.Kind, r.ID, r.Body)
	}
	if err := s.Ack(ctx, records...); err != nil {
		log.Fatal(err) // they will be delivered again
	}
	stats, err := s.Stats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("records left:", stats.Records)
	// Output:
	// usage 2026-03-01/tenant-7: 42
	// records left: 0
}

// Operators look at what was parked, and have it tried again when its receiver is mended.
func ExampleSpool_Requeue() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := spool.Open(ctx, filepath.Join(dir, "orders.spool"), spool.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(ctx, spool.Record{ID: "order-1"}); err != nil {
		log.Fatal(err)
	}
	delivered := make(chan struct{})
	mended := false
	pump, err := spool.NewPump(s, spool.PumpConfig{}, func(_ context.Context, records []spool.Record) []error {
		if mended {
			close(delivered)
			return nil
		}
		return []error{spool.Refused(fmt.Errorf("no customer 9"))}
	})
	if err != nil {
		log.Fatal(err)
	}
	run := func(until func() bool) {
		ctx, stop := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- pump.Run(ctx) }()
		for !until() {
		}
		stop()
		if err := <-done; err != nil {
			log.Fatal(err)
		}
	}
	run(func() bool { st, err := s.Stats(ctx); return err != nil || st.Parked == 1 })

	mended = true
	if err := listAndRequeue(ctx, s); err != nil {
		log.Fatal(err)
	}
	run(func() bool { <-delivered; return true })
	// Output:
	// order-1 refused: no customer 9
}

// listAndRequeue shows what is parked, and has it tried again.
func listAndRequeue(ctx context.Context, s *spool.Spool) error {
	parked, err := s.Parked(ctx, "", 100)
	if err != nil {
		return err
	}
	for _, p := range parked {
		fmt.Println(p.ID, p.Reason)
		if _, err := s.Requeue(ctx, p.ID); err != nil {
			return err
		}
	}
	return nil
}

// host is a service with no more than a spool needs of one.
type host struct {
	registry *prometheus.Registry
	closes   []func(context.Context) error
}

func (h *host) Registry() *prometheus.Registry { return h.registry }
func (h *host) OnClose(_ string, f func(context.Context) error) {
	h.closes = append(h.closes, f)
}
