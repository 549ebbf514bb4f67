package queue_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

var classes = []queue.Class{queue.CriticalPlus, queue.Critical, queue.SheddablePlus, queue.Sheddable}

func TestClassesHaveNamesAndAnOrder(t *testing.T) {
	for c, want := range map[queue.Class]string{
		queue.CriticalPlus: "critical_plus", queue.Critical: "critical",
		queue.SheddablePlus: "sheddable_plus", queue.Sheddable: "sheddable", 9: "Class(9)", -9: "Class(-9)",
	} {
		if c.String() != want {
			t.Errorf("%d is called %s, want %s", int8(c), c, want)
		}
	}
	if !slices.IsSortedFunc(classes, func(a, b queue.Class) int { return int(b) - int(a) }) || (queue.Meta{}).Class != queue.Critical {
		t.Error("critical is not the default, or out of order")
	}
	var shown []queue.Class
	for _, c := range open(t, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{}).Stats().Classes {
		shown = append(shown, c.Class)
	}
	if !slices.Equal(shown, classes) {
		t.Errorf("figures of %v, want %v", shown, classes)
	}
}

// line has callers wait for the only worker of a queue and notes in which order they get it and
// who is rejected.
type line struct {
	t        *testing.T
	q        *queue.Queue
	wg       sync.WaitGroup
	mu       sync.Mutex
	served   []string
	rejected map[string]queue.Reason
}

// hold makes the queue's workers busy for d.
func newLine(t *testing.T, q *queue.Queue, workers int, d time.Duration) *line {
	for range workers {
		submit(t, q, takes(d))
	}
	return &line{t: t, q: q, rejected: map[string]queue.Reason{}}
}

// caller comes with work that takes no time.
func (l *line) caller(name string, m queue.Meta) { l.come(context.Background(), name, m, 0) }

func (l *line) come(ctx context.Context, name string, m queue.Meta, d time.Duration) {
	l.wg.Go(func() {
		err := l.q.Do(ctx, m, func(ctx context.Context) error {
			l.mu.Lock()
			l.served = append(l.served, name)
			l.mu.Unlock()
			return takes(d)(ctx)
		})
		if err != nil {
			var r *queue.Rejected
			if r, _ = err.(*queue.Rejected); r == nil {
				l.t.Errorf("%s: %v", name, err)
				return
			}
			l.mu.Lock()
			l.rejected[name] = r.Reason
			l.mu.Unlock()
		}
	})
	synctest.Wait()
}

// want waits for all callers and compares.
func (l *line) want(served []string, rejected map[string]queue.Reason) {
	l.t.Helper()
	l.wg.Wait()
	if !slices.Equal(l.served, served) {
		l.t.Errorf("served %v, want %v", l.served, served)
	}
	if len(l.rejected) != len(rejected) {
		l.t.Errorf("rejected %v, want %v", l.rejected, rejected)
	}
	for name, why := range rejected {
		if got, ok := l.rejected[name]; !ok || got != why {
			l.t.Errorf("%s was rejected because of %v (%v), want %v", name, got, ok, why)
		}
	}
}

func TestTheMostCriticalIsServedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
		l := newLine(t, q, 1, 50*ms)
		for _, name := range []string{"1", "2"} {
			for _, c := range []queue.Class{-9, queue.SheddablePlus, queue.Critical, 9} { // beyond the four is the nearest
				l.caller(c.String()+name, queue.Meta{Class: c})
			}
		}
		for i, c := range q.Stats().Classes {
			if c.Depth != 2 {
				t.Errorf("%d of class %v wait, want 2", c.Depth, classes[i])
			}
		}
		l.want([]string{"Class(9)1", "Class(9)2", "critical1", "critical2", "sheddable_plus1", "sheddable_plus2", "Class(-9)1", "Class(-9)2"}, nil)
		for _, c := range q.Stats().Classes {
			if n := c.Wait.Counts[6]; n != 2 || c.Wait.Count() != n+uint64(b2i(c.Class == queue.Critical)) {
				t.Errorf("waits of class %v: %v, want two of 50 ms", c.Class, c.Wait)
			}
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestTheLowestClassIsShedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told reports
		q := open(t, queue.Limits{Workers: 1, Capacity: 3}, queue.Options{OnError: told.add})
		l := newLine(t, q, 1, 50*ms)
		if err := q.Submit(t.Context(), queue.Meta{Class: queue.Sheddable}, takes(0)); err != nil {
			t.Fatal(err)
		}
		l.caller("batch 1", queue.Meta{Class: queue.SheddablePlus})
		l.caller("batch 2", queue.Meta{Class: queue.SheddablePlus})
		l.caller("cleanup", queue.Meta{Class: queue.Sheddable}) // no room, and none lower
		l.caller("person 1", queue.Meta{})                      // sheds what was submitted
		l.caller("person 2", queue.Meta{})                      // sheds the newest batch
		l.caller("alarm", queue.Meta{Class: queue.CriticalPlus})
		l.caller("person 3", queue.Meta{}) // no room, and none lower
		l.caller("batch 3", queue.Meta{Class: queue.SheddablePlus})
		wantReason(t, told.all()[0], queue.Shed)
		l.want([]string{"alarm", "person 1", "person 2"}, map[string]queue.Reason{
			"cleanup": queue.Full, "batch 2": queue.Shed, "batch 1": queue.Shed, "person 3": queue.Full, "batch 3": queue.Shed,
		})
		for rank, want := range []map[string]uint64{{}, {"full": 1}, {"shed": 3}, {"shed": 1, "full": 1}} {
			for reason, n := range q.Stats().Classes[rank].Rejected {
				if n != want[reason] {
					t.Errorf("%d of class %v rejected because of %s, want %d", n, classes[rank], reason, want[reason])
				}
			}
		}
		if n := q.Stats().Rejected["shed"]; n != 4 {
			t.Errorf("%d shed in all, want 4", n)
		}
	})
}

// Whoever matters less than those that wait expects to wait for all of them, and nobody else does.
func TestTheExpectedWaitIsThatOfTheClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, queue.Limits{Workers: 1, Capacity: 10}, queue.Options{})
		if err := q.Do(t.Context(), queue.Meta{}, takes(10*ms)); err != nil {
			t.Fatal(err)
		}
		l := newLine(t, q, 1, 10*ms)
		for range 3 {
			if err := q.Submit(t.Context(), queue.Meta{Class: queue.SheddablePlus}, takes(10*ms)); err != nil {
				t.Fatal(err)
			}
		}
		within := func(name string, d time.Duration, c queue.Class) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			l.come(ctx, name, queue.Meta{Class: c}, 0)
		}
		within("lowest, 50 ms", 50*ms-1, queue.Sheddable)   // a worker, three before it, itself
		within("same, 50 ms", 50*ms-1, queue.SheddablePlus) // likewise
		within("higher, 20 ms", 20*ms-1, queue.Critical)
		within("higher, enough", 20*ms, queue.Critical)
		l.want([]string{"higher, enough"}, map[string]queue.Reason{
			"lowest, 50 ms": queue.Deadline, "same, 50 ms": queue.Deadline, "higher, 20 ms": queue.Deadline,
		})
	})
}
