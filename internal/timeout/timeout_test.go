package timeout_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/timeout"
)

type key struct{}

func TestItEndsAtItsDeadlineWithItsParentOrWhenReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		begin := time.Now()
		c := &timeout.Context{Parent: parent}
		if !c.Bound(time.Second) || c.Bound(time.Minute) {
			t.Error("the deadline is to be set once")
		}
		if at, ok := c.Deadline(); !ok || at.Sub(begin) != time.Second {
			t.Errorf("deadline after %v, %v", at.Sub(begin), ok)
		}
		if c.Value(key{}) != "value" {
			t.Error("the parent's value is not there")
		}
		<-c.Done()
		if took := time.Since(begin); took != time.Second || c.Err() != context.DeadlineExceeded {
			t.Errorf("ended after %v: %v", took, c.Err())
		}
		if c.Value(key{}) != "value" || parent.Err() != nil {
			t.Error("the parent has lost something")
		}

		// Err alone waits for nothing.
		c = &timeout.Context{Parent: context.WithoutCancel(parent)}
		c.Bound(time.Second)
		if c.Err() != nil {
			t.Errorf("at once: %v", c.Err())
		}
		time.Sleep(time.Second) // virtual
		if c.Err() != context.DeadlineExceeded || c.Known() != nil {
			t.Errorf("at its deadline: %v, known %v", c.Err(), c.Known())
		}
		if <-c.Done(); c.Known() != context.DeadlineExceeded {
			t.Errorf("waited for: known %v", c.Known())
		}
		c = &timeout.Context{Parent: parent}
		if c.Err() != nil {
			t.Errorf("without a deadline: %v", c.Err())
		}

		for name, end := range map[string]func(c *timeout.Context){"parent": func(*timeout.Context) { leave() }, "release": (*timeout.Context).Release} {
			c := &timeout.Context{Parent: parent}
			c.Bound(time.Hour)
			done := c.Done()
			end(c)
			<-done
			if c.Err() != context.Canceled {
				t.Errorf("%s: %v", name, c.Err())
			}
		}
	})
}

func TestWithoutADeadlineItIsItsParent(t *testing.T) {
	for name, parent := range map[string]func() (context.Context, context.CancelFunc){
		"none":    func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
		"earlier": func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), time.Hour) },
	} {
		ctx, cancel := parent()
		c := &timeout.Context{Parent: ctx}
		if name == "earlier" {
			c.Bound(2 * time.Hour)
		}
		want, wantOK := ctx.Deadline()
		if got, ok := c.Deadline(); got != want || ok != wantOK {
			t.Errorf("%s: deadline %v, %v; want %v, %v", name, got, ok, want, wantOK)
		}
		if c.Err() != nil {
			t.Errorf("%s: %v", name, c.Err())
		}
		c.Release()
		cancel()
		<-c.Done()
		if c.Bound(time.Second) {
			t.Errorf("%s: it was too late for a deadline", name)
		}
	}
}

func TestContextsMadeOfItNeedNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	c := &timeout.Context{Parent: t.Context()}
	c.Bound(time.Hour)
	for range 100 {
		_, cancel := context.WithCancel(c)
		defer cancel()
	}
	if now := runtime.NumGoroutine(); now > before+10 {
		t.Errorf("%d goroutines, %d before", now, before)
	}
	c.Release()
}

func TestNobodyWaitsForNothing(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := new(timeout.Context)
	if n := testing.AllocsPerRun(100, func() {
		c.Parent = parent
		c.Bound(time.Minute)
		c.Value(key{})
		c.Deadline()
		c.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
