// Package kafka delivers the records of a spool to a topic of Kafka. It is a module of its own, so that
// only services that name it link a Kafka client:
//
//	sink, err := kafka.New(s, kafka.Config{Brokers: []string{"kafka-1:9092"}, Topic: "usage"})
//	pump, err := spool.NewPump(records, spool.PumpConfig{}, sink.Deliver)
//	s.Go("usage", pump.Run)
//
// A message has the record's ID as its key, its body as the value, and its kind in the header "kind".
// It counts as delivered when all in-sync replicas have it. The producer is idempotent (KIP-98): what
// the client itself sends again the brokers store once. What the pump delivers again, because a process
// died or no answer came in time, they store twice, with the same key: consumers that must not act
// twice remember keys, and a compacted topic keeps one of each.
//
// Records with different IDs go to different partitions, so that their order is kept only in a topic
// with one partition.
//
// A message that the brokers find too large or broken is parked, and no other for it. Everything else (no broker, no such
// topic, no permission, no answer in time) is the fault of Kafka or of the configuration: all are tried
// again. One partition may be down while others take messages; PumpConfig.Patience says how long that may
// last before records are parked for it.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// Host is what a sink needs of the service around it; *chassis.Service is one.
type Host interface {
	OnClose(name string, f func(context.Context) error)
}

// Config is one topic.
type Config struct {
	// Brokers are some of the cluster's, as host:port; the client learns of the others from them.
	Brokers []string `config:"brokers" doc:"some brokers of the cluster, as host:port"`
	// Topic is where messages go. It must exist: it is not made.
	Topic string `config:"topic" doc:"topic that messages go to"`
}

// Validate refuses what is missing.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, config.Invalid("brokers", "want one or more brokers as host:port, got none"))
	}
	if c.Topic == "" {
		errs = append(errs, config.Invalid("topic", "want the name of a topic, got none"))
	}
	return errors.Join(errs...)
}

// maxBuffered bounds the messages in the client: a batch of a pump has at most a thousand.
const maxBuffered = 10_000

// A Sink delivers records to one topic. It is safe for concurrent use.
type Sink struct {
	client *kgo.Client
	// apart is held alone while records are told apart, because the client puts records of concurrent
	// calls into one batch.
	apart sync.RWMutex
}

// New makes a sink, which ends with h. Nothing is sent before the first delivery. opts are options of
// the client that have no place in Config: TLS, SASL, how connections are made.
func New(h Host, cfg Config, opts ...kgo.Opt) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.DefaultProduceTopic(cfg.Topic),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.MaxBufferedRecords(maxBuffered),
		// A delivery must end before its lease, even when a broker says nothing any more; the ID makes
		// known what may be there twice then.
		kgo.AllowIdempotentProduceCancellation(),
	}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: client for topic %s: %w", cfg.Topic, err)
	}
	h.OnClose("kafka topic "+cfg.Topic, func(context.Context) error {
		client.Close()
		return nil
	})
	return &Sink{client: client}, nil
}

// Deliver sends records and waits until all are acknowledged, or have failed, or ctx ends. It is a
// [spool.Deliver].
//
// A broker refuses a batch as a whole for one message in it, so those that are refused together are sent
// again in halves, until those are left that are refused alone.
func (s *Sink) Deliver(ctx context.Context, records []spool.Record) []error {
	s.apart.RLock()
	errs := s.produce(ctx, records)
	s.apart.RUnlock()
	if together := refused(errs); len(together) > 0 {
		s.apart.Lock()
		defer s.apart.Unlock()
		s.tellApart(ctx, records, together, errs)
	}
	return errs
}

// refused are the places of the records that were refused.
func refused(errs []error) (places []int) {
	for i, err := range errs {
		if _, is := errors.AsType[*spool.RefusedError](err); is {
			places = append(places, i)
		}
	}
	return places
}

// tellApart sends records again that were refused together, and notes in errs what became of each.
func (s *Sink) tellApart(ctx context.Context, records []spool.Record, places []int, errs []error) {
	for half := range slices.Chunk(places, (len(places)+1)/2) {
		part := make([]spool.Record, len(half))
		for i, place := range half {
			part[i] = records[place]
		}
		answers := s.produce(ctx, part)
		for i, place := range half {
			errs[place] = answers[i]
		}
		if together := refused(answers); len(half) > 1 && len(together) > 0 {
			for i, k := range together {
				together[i] = half[k]
			}
			s.tellApart(ctx, records, together, errs)
		}
	}
}

// produce sends records and says what became of each.
func (s *Sink) produce(ctx context.Context, records []spool.Record) []error {
	errs := make([]error, len(records))
	if err := ctx.Err(); err != nil {
		for i := range errs {
			errs[i] = spool.Untried(err, 0)
		}
		return errs
	}
	messages := make([]*kgo.Record, len(records))
	place := make(map[*kgo.Record]int, len(records))
	for i, r := range records {
		messages[i] = &kgo.Record{Key: []byte(r.ID), Value: r.Body}
		if r.Kind != "" {
			messages[i].Headers = []kgo.RecordHeader{{Key: "kind", Value: []byte(r.Kind)}}
		}
		place[messages[i]] = i
	}
	for _, result := range s.client.ProduceSync(ctx, messages...) { // in the order of their answers
		errs[place[result.Record]] = meaning(result.Err)
	}
	return errs
}

// meaning says whose fault an error is.
func meaning(err error) error {
	for _, fault := range []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.InvalidTimestamp, kerr.InvalidRecord} {
		if errors.Is(err, fault) {
			return spool.Refused(err)
		}
	}
	if err != nil {
		return spool.Unavailable(err, 0)
	}
	return nil
}
