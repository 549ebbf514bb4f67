package jetstream_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

var (
	rounds  = flag.Int("rounds", 1, "how often each fault of a cluster is made")
	stopped = flag.Duration("stopped", time.Second, "how long a server is stopped; an election needs 4 to 9 seconds")
)

// outage is the stream that is appended to while two servers are down. Those appends may be stored when
// the servers are back.
const outage = "outage"

// writers is how many append at once, each to a stream of its own and to one that all share.
const writers = 4

// A workload appends and follows a journal while servers fail, and knows what it was told.
type workload struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	busy   sync.WaitGroup

	mu     sync.Mutex
	grown  *sync.Cond
	acked  map[string]journal.Position // by ID
	tried  map[string]bool
	seen   []journal.Recorded // by a subscription
	failed int                // attempts that were not acknowledged
}

func startWorkload(t *testing.T, url string) *workload {
	w := &workload{t: t, acked: map[string]journal.Position{}, tried: map[string]bool{}}
	w.grown = sync.NewCond(&w.mu)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	t.Cleanup(func() { w.cancel(); w.busy.Wait() }) // before the journals are closed
	for i := range writers {
		j := open(t, url) // like processes, they share nothing
		w.busy.Go(func() { w.write(j, i) })
	}
	j := open(t, url)
	w.busy.Go(func() { w.follow(j) })
	return w
}

// write appends until the workload ends, and repeats what is not acknowledged.
func (w *workload) write(j journal.Journal, i int) {
	own := fmt.Sprint("own-", i)
	version := journal.Version(0)
	for n := 0; w.ctx.Err() == nil; n++ {
		events := []journal.Event{{ID: fmt.Sprintf("%d.%d", i, n), Type: "noted", Data: []byte(own)}}
		stream, expect := own, journal.At(version)
		switch n % 3 {
		case 1:
			events = append(events, journal.Event{ID: events[0].ID + ".second", Type: "noted", Data: []byte(own)})
		case 2:
			stream, expect = "shared", journal.Any
		}
		v := w.store(j, stream, expect, events)
		if stream == own && v != 0 {
			version = v
		}
	}
}

// store repeats an append until it is acknowledged, or the workload ends.
func (w *workload) store(j journal.Journal, stream string, expect journal.Expect, events []journal.Event) journal.Version {
	w.mu.Lock()
	for _, e := range events {
		w.tried[e.ID] = true
	}
	w.mu.Unlock()
	for w.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		v, err := j.Append(ctx, stream, expect, events...)
		cancel()
		w.mu.Lock()
		if err != nil {
			w.failed++
		}
		if err == nil {
			for k, e := range events {
				w.acked[e.ID] = v - journal.Position(len(events)-1-k)
			}
			w.grown.Broadcast()
		}
		w.mu.Unlock()
		switch {
		case err == nil:
			return v
		case errors.Is(err, journal.ErrUnknownOutcome), errors.Is(err, journal.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), w.ctx.Err() != nil:
		default:
			w.t.Errorf("append %s: %v", events[0].ID, err)
			return 0
		}
	}
	return 0
}

func (w *workload) follow(j journal.Journal) {
	for e, err := range j.Subscribe(w.ctx, 0, journal.Filter{}) {
		if err != nil {
			if w.ctx.Err() == nil {
				w.t.Errorf("the subscription ended: %v", err)
			}
			return
		}
		w.mu.Lock()
		w.seen = append(w.seen, e)
		w.grown.Broadcast()
		w.mu.Unlock()
	}
}

// advance returns when 40 more events were acknowledged and seen.
func (w *workload) advance() {
	w.mu.Lock()
	defer w.mu.Unlock()
	acked, seen := len(w.acked), len(w.seen)
	give := time.AfterFunc(2*time.Minute, func() {
		w.t.Error("the appends or the subscription do not go on")
		w.cancel()
		w.grown.Broadcast()
	})
	defer give.Stop()
	for w.ctx.Err() == nil && (len(w.acked) < acked+40 || len(w.seen) < seen+40) {
		w.grown.Wait()
	}
}

// verify ends the workload and compares what the journal holds with what it told.
func (w *workload) verify(j journal.Journal) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	head, err := j.Head(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	for w.ctx.Err() == nil && (len(w.seen) == 0 || w.seen[len(w.seen)-1].Position < head) {
		w.grown.Wait()
	}
	w.mu.Unlock()
	w.cancel()
	w.busy.Wait()
	stored := map[string]journal.Position{}
	var order []journal.Position
	for e, err := range j.All(ctx, 0, journal.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		if stored[e.ID] != 0 {
			w.t.Errorf("event %s is stored at %d and at %d", e.ID, stored[e.ID], e.Position)
		}
		if !w.tried[e.ID] && e.Stream != outage {
			w.t.Errorf("event %s was never appended", e.ID)
		}
		stored[e.ID] = e.Position
		order = append(order, e.Position)
	}
	for id, at := range w.acked {
		if stored[id] != at {
			w.t.Errorf("event %s was acknowledged at %d and is at %d", id, at, stored[id])
		}
	}
	var seen []journal.Position
	for _, e := range w.seen {
		seen = append(seen, e.Position)
	}
	if !slices.Equal(seen, order[:min(len(seen), len(order))]) {
		w.t.Errorf("the subscription skipped or repeated: it saw %d events of %d", len(seen), len(order))
	}
	w.t.Logf("%d events acknowledged, %d stored, %d seen by the subscription; %d attempts failed and were repeated", len(w.acked), len(order), len(seen), w.failed)
}

func TestNothingAcknowledgedIsLostWhenServersFail(t *testing.T) {
	cluster := natscluster.Start(t)
	url := fresh(cluster)()
	j := open(t, url)
	w := startWorkload(t, url)
	follower := func() int { return (cluster.Leader(t, "J1") + 1) % natscluster.Nodes }
	faults := []struct {
		name string
		do   func()
	}{
		{"kill -9 of a follower", func() {
			n := follower()
			cluster.Kill(t, n)
			w.advance()
			cluster.Up(t, n)
		}},
		{"kill -9 of the leader", func() {
			n := cluster.Leader(t, "J1")
			cluster.Kill(t, n)
			w.advance()
			cluster.Up(t, n)
		}},
		{"a stopped follower", func() {
			n := follower()
			cluster.Stop(t, n)
			<-time.After(*stopped) // that long is the fault
			cluster.Continue(t, n)
		}},
		{"a stopped leader", func() {
			n := cluster.Leader(t, "J1")
			cluster.Stop(t, n)
			<-time.After(*stopped)
			cluster.Continue(t, n)
		}},
		{"two of three down", func() {
			a := cluster.Leader(t, "J1")
			b := (a + 1) % natscluster.Nodes
			cluster.Kill(t, a)
			cluster.Kill(t, b)
			demandFailures(t, j)
			cluster.Up(t, a)
			cluster.Up(t, b)
		}},
	}
	for range *rounds {
		for _, f := range faults {
			w.advance()
			began := time.Now()
			f.do()
			w.advance()
			cluster.AwaitHealth(t)
			t.Logf("%s: %v", f.name, time.Since(began).Round(time.Millisecond))
		}
	}
	w.verify(j)
}

// demandFailures sees that without a majority of servers every call ends with its context and none
// succeeds.
func demandFailures(t *testing.T, j journal.Journal) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	call := func(f func() error) chan error {
		done := make(chan error, 1)
		go func() { done <- f() }()
		return done
	}
	for name, done := range map[string]chan error{
		"append with an ID": call(func() error {
			_, err := j.Append(ctx, outage, journal.NoStream, journal.Event{ID: "a", Type: "noted"})
			return err
		}),
		"append without an ID": call(func() error {
			_, err := j.Append(ctx, outage, journal.Any, journal.Event{Type: "noted"}, journal.Event{Type: "noted"})
			return err
		}),
		"version": call(func() error { _, err := j.Version(ctx, outage); return err }),
		"head":    call(func() error { _, err := j.Head(ctx); return err }),
		"read": call(func() error {
			for _, err := range j.All(ctx, 0, journal.Filter{}) {
				return err
			}
			return nil
		}),
	} {
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with two of three servers down, %s: %v, want an error at the deadline", name, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("with two of three servers down, %s hangs", name)
		}
	}
}
