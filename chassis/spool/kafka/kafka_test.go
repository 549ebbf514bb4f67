package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/chassis/spool/kafka"
)

var _ kafka.Host = (*chassis.Service)(nil)

// service is a service with no more than a sink needs of one.
type service struct{ t *testing.T }

func (s service) OnClose(_ string, f func(context.Context) error) {
	s.t.Cleanup(func() {
		if err := f(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
}

func cluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "usage"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func sink(t *testing.T, c *kfake.Cluster, topic string) *kafka.Sink {
	t.Helper()
	s, err := kafka.New(service{t}, kafka.Config{Brokers: c.ListenAddrs(), Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored reads n messages of the topic, from its beginning.
func stored(t *testing.T, c *kfake.Cluster, n int) (lines []string) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("usage"))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(lines) < n {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v after %q", err, lines)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			line := fmt.Sprintf("%s=%s", r.Key, r.Value)
			for _, h := range r.Headers {
				line += fmt.Sprintf(" %s:%s", h.Key, h.Value)
			}
			lines = append(lines, line)
		})
	}
	return lines
}

func TestAMessageHasTheRecordsIDAsItsKey(t *testing.T) {
	c := cluster(t)
	errs := sink(t, c, "usage").Deliver(t.Context(), []spool.Record{{ID: "a", Kind: "units", Body: []byte("1")}, {ID: "b", Body: []byte("2")}})
	if err := errors.Join(errs...); err != nil || len(errs) != 2 {
		t.Fatalf("%v", errs)
	}
	if got := strings.Join(stored(t, c, 2), ", "); got != "a=1 kind:units, b=2" {
		t.Errorf("stored: %s", got)
	}
}

func TestTheProducerIsIdempotentAndWaitsForAllReplicas(t *testing.T) {
	c := cluster(t)
	var acks int16
	ids := 0
	c.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		ids++
		return nil, nil, false
	})
	produced := 0
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		acks = r.(*kmsg.ProduceRequest).Acks
		if produced++; produced == 1 {
			return nil, errors.New("the connection breaks before the answer"), true
		}
		return nil, nil, false
	})
	if errs := sink(t, c, "usage").Deliver(t.Context(), []spool.Record{{ID: "a", Body: []byte("1")}}); errs[0] != nil {
		t.Fatal(errs)
	}
	if acks != -1 || ids != 1 || produced < 2 {
		t.Errorf("acks %d, want -1; %d producer ids, want 1; %d requests, want one more after the first", acks, ids, produced)
	}
	if got := stored(t, c, 1); got[0] != "a=1" {
		t.Errorf("stored: %q", got)
	}
}

func kind(err error) string {
	var refused *spool.RefusedError
	var unavailable *spool.UnavailableError
	switch {
	case errors.As(err, &refused):
		return "refused"
	case errors.As(err, &unavailable):
		return "unavailable"
	}
	return fmt.Sprint(err)
}

func TestAMessageThatIsTooLargeIsRefusedAndTheOthersAreDelivered(t *testing.T) {
	c := cluster(t)
	errs := sink(t, c, "usage").Deliver(t.Context(), []spool.Record{{ID: "a", Body: []byte("1")}, {ID: "big", Body: make([]byte, 2<<20)}, {ID: "b", Body: []byte("2")}})
	if errs[0] != nil || kind(errs[1]) != "refused" || errs[2] != nil {
		t.Errorf("%v", errs)
	}
	if got := strings.Join(stored(t, c, 2), ", "); got != "a=1, b=2" {
		t.Errorf("stored: %s", got)
	}
}

// A broker answers for a batch, which has many messages, and says nothing of which of them is wrong.
func TestOfABatchThatIsRefusedOnlyTheGuiltyAreRefused(t *testing.T) {
	for _, fault := range []*kerr.Error{kerr.InvalidTimestamp, kerr.RecordListTooLarge, kerr.MessageTooLarge, kerr.CorruptMessage, kerr.InvalidRecord} {
		t.Run(fault.Message, func(t *testing.T) {
			c := cluster(t)
			requests := 0
			c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				requests++
				req := r.(*kmsg.ProduceRequest)
				batch := req.Topics[0].Partitions[0]
				if !bytes.Contains(batch.Records, []byte("guilty")) {
					return nil, nil, false
				}
				resp := req.ResponseKind().(*kmsg.ProduceResponse)
				topic, partition := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
				topic.Topic, topic.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
				partition.Partition, partition.ErrorCode = batch.Partition, fault.Code
				topic.Partitions = append(topic.Partitions, partition)
				resp.Topics = append(resp.Topics, topic)
				return resp, nil, true
			})
			s, err := kafka.New(service{t}, kafka.Config{Brokers: c.ListenAddrs(), Topic: "usage"}, kgo.ProducerBatchCompression(kgo.NoCompression()))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			var calls sync.WaitGroup
			for _, call := range []string{"x", "y"} { // the client may put those of two calls together
				var records []spool.Record
				for i := range 20 {
					r := spool.Record{ID: fmt.Sprintf("%s%02d", call, i), Body: []byte("innocent")}
					if call == "x" && (i == 3 || i == 17) {
						r.Body = []byte("guilty")
					} else {
						want = append(want, r.ID+"=innocent")
					}
					records = append(records, r)
				}
				calls.Go(func() {
					for i, err := range s.Deliver(t.Context(), records) {
						if got := kind(err); got != "<nil>" && (got != "refused" || string(records[i].Body) != "guilty" || !errors.Is(err, fault)) || err == nil && string(records[i].Body) == "guilty" {
							t.Errorf("record %s, %s: %v", records[i].ID, records[i].Body, err)
						}
					}
				})
			}
			calls.Wait()
			got := stored(t, c, len(want))
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("stored: %q, want each innocent one once", got)
			}
			if requests > 60 {
				t.Errorf("%d requests for 40 messages", requests)
			}
		})
	}
}

func TestWhatWasNotSentWhenTheTimeIsUpIsNotBlamed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := sink(t, cluster(t), "usage").Deliver(ctx, []spool.Record{{ID: "a"}, {ID: "b"}})
	for i, err := range errs {
		if u, _ := errors.AsType[*spool.UnavailableError](err); u == nil || !u.Untried || !errors.Is(err, context.Canceled) {
			t.Errorf("record %d: %v, want it untried", i, err)
		}
	}
}

func TestABrokerThatSaysNothingIsUnavailableWhenTheTimeIsUp(t *testing.T) {
	c := cluster(t)
	released := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-released:
			return nil, nil, false
		default:
			return nil, nil, true // it is swallowed
		}
	})
	s := sink(t, c, "usage")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	errs := s.Deliver(ctx, []spool.Record{{ID: "a", Body: []byte("1")}})
	if kind(errs[0]) != "unavailable" || time.Since(start) > 30*time.Second {
		t.Fatalf("%v after %v", errs, time.Since(start))
	}
	close(released)
	if errs := s.Deliver(t.Context(), []spool.Record{{ID: "a", Body: []byte("1")}}); errs[0] != nil {
		t.Errorf("when the broker answers again: %v", errs)
	}
}

func TestATopicThatDoesNotExistParksNothing(t *testing.T) {
	errs := sink(t, cluster(t), "misspelt").Deliver(t.Context(), []spool.Record{{ID: "a"}})
	if kind(errs[0]) != "unavailable" {
		t.Errorf("%v", errs)
	}
}

func TestWhatIsMissingIsRefusedAtOnce(t *testing.T) {
	_, err := kafka.New(service{t}, kafka.Config{})
	if err == nil || !strings.Contains(err.Error(), "brokers") || !strings.Contains(err.Error(), "topic") {
		t.Errorf("%v, want an error about brokers and topic", err)
	}
	if _, err = kafka.New(service{t}, kafka.Config{Brokers: []string{"127.0.0.1:x y"}, Topic: "t"}); err == nil {
		t.Error("an address that is none is taken")
	}
}

func TestASpoolDrainsIntoATopic(t *testing.T) {
	c := cluster(t)
	s, err := spool.Open(t.Context(), filepath.Join(t.TempDir(), "usage.spool"), spool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var want []string
	for i := range 250 {
		id := fmt.Sprint("r", i)
		if err := s.Put(t.Context(), spool.Record{ID: id, Body: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		want = append(want, id+"=1")
	}
	pump, err := spool.NewPump(s, spool.PumpConfig{}, sink(t, c, "usage").Deliver)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- pump.Run(ctx) }()
	got := stored(t, c, len(want))
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		sort.Strings(got)
		t.Errorf("%d messages, not in the order of the spool: %q", len(got), got)
	}
}
