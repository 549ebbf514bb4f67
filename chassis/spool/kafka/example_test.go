package kafka_test

import (
	"context"
	"fmt"
	"log"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/chassis/spool/kafka"
)

// host is a service that never ends.
type host struct{}

func (host) OnClose(string, func(context.Context) error) {}

// A batch is delivered when each of its errors is nil.
func Example() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "usage"))
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	sink, err := kafka.New(host{}, kafka.Config{Brokers: cluster.ListenAddrs(), Topic: "usage"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sink.Deliver(context.Background(), []spool.Record{{ID: "2026-03-01/tenant-7", Body: []byte("42")}}))
	// Output: [<nil>]
}
