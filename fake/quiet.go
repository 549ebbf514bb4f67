package fake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// quietEvery is how often the service's queues are looked at, which tell nobody when they are empty.
const quietEvery = time.Millisecond

// WaitQuiescent waits until the service has nothing left to do of what it was asked: no call is
// under way, streams aside, and its queues are empty. Calls that a fault holds are under way. Time
// does not pass meanwhile, and timers that are not due are no work. The error is ctx's and names
// what is not done, or says that the fake was stopped.
func (f *Fake) WaitQuiescent(ctx context.Context) error {
	tick := time.NewTicker(quietEvery)
	defer tick.Stop()
	for {
		busy := f.busy()
		if len(busy) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-f.done:
			return errStopped
		case <-ctx.Done():
			return fmt.Errorf("%s is not quiescent, %s: %w", f.name, strings.Join(busy, ", "), ctx.Err())
		}
	}
}

// busy names what is under way.
func (f *Fake) busy() []string {
	busy := f.calls.busy()
	f.mu.Lock()
	l := f.life
	f.mu.Unlock()
	if l == nil {
		return busy
	}
	for _, q := range l.instance.Service().QueueStats() {
		if n := q.Depth + q.InFlight; n > 0 {
			busy = append(busy, fmt.Sprintf("queue %q has %d", q.Name, n))
		}
	}
	return busy
}

// busy names the calls under way, streams aside.
func (r *recording) busy() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == 0 {
		return nil
	}
	busy := []string{fmt.Sprintf("%d calls under way", r.active)}
	for c := range r.records() {
		if !c.done && !c.stream {
			busy = append(busy, c.Route)
		}
	}
	slices.Sort(busy[1:])
	return slices.Compact(busy)
}
