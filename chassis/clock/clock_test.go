package clock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func Example() {
	c := clock.NewVirtual(epoch)
	c.AfterFunc(30*time.Second, func() { fmt.Println("time is up at", c.Now().Format(time.TimeOnly)) })
	c.Advance(29 * time.Second)
	fmt.Println("nothing yet at", c.Now().Format(time.TimeOnly))
	c.Advance(time.Second)
	// Output:
	// nothing yet at 00:00:29
	// time is up at 00:00:30
}

func TestAdvanceRunsWhatIsDueInOrderAndAtItsOwnTime(t *testing.T) {
	c := clock.NewVirtual(epoch)
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, fmt.Sprint(name, c.Now().Sub(epoch))) }
	}
	c.AfterFunc(3*time.Second, note("c"))
	c.AfterFunc(time.Second, note("a"))
	c.AfterFunc(time.Second, note("b"))
	c.AfterFunc(time.Minute, note("late"))
	c.AfterFunc(2*time.Second, func() { c.AfterFunc(500*time.Millisecond, note("nested")) })
	c.AfterFunc(-time.Second, note("past"))
	c.Advance(-time.Hour)
	c.Advance(5 * time.Second)
	want := []string{"past0s", "a1s", "b1s", "nested2.5s", "c3s"}
	if !slices.Equal(got, want) {
		t.Errorf("ran %v, want %v", got, want)
	}
	if n := c.Pending(); n != 1 {
		t.Errorf("%d functions wait, want 1", n)
	}
	if at, ok := c.Next(); !ok || !at.Equal(epoch.Add(time.Minute)) {
		t.Errorf("next is %v %v, want one minute after the start", at, ok)
	}
	if now := c.Now(); !now.Equal(epoch.Add(5 * time.Second)) {
		t.Errorf("the clock shows %v after Advance(5s)", now)
	}
}

func TestSetMovesTheClockBothWaysAndRunsNothing(t *testing.T) {
	c := clock.NewVirtual(epoch)
	ran := 0
	c.AfterFunc(time.Minute, func() { ran++ })
	for _, at := range []time.Time{epoch.Add(time.Hour), epoch.Add(-time.Hour)} {
		c.Set(at)
		if now := c.Now(); !now.Equal(at) || ran != 0 || c.Pending() != 1 {
			t.Errorf("the clock shows %v, %d functions ran, %d wait; want %v, none, one", now, ran, c.Pending(), at)
		}
	}
	c.Advance(time.Hour + time.Minute - 1)
	if ran != 0 {
		t.Error("it ran before it was due")
	}
	if c.Advance(1); ran != 1 {
		t.Errorf("it ran %d times when it was due", ran)
	}
}

func TestStoppedTimersNeverRun(t *testing.T) {
	c := clock.NewVirtual(epoch)
	ran := false
	tm := c.AfterFunc(time.Second, func() { ran = true })
	if !tm.Stop() {
		t.Error("Stop of a waiting timer reports false")
	}
	if tm.Stop() {
		t.Error("second Stop reports true")
	}
	c.Advance(time.Minute)
	if ran {
		t.Error("a stopped timer ran")
	}
	done := c.AfterFunc(0, func() {})
	c.Advance(0)
	if done.Stop() {
		t.Error("Stop after the call reports true")
	}
	if _, ok := c.Next(); ok {
		t.Error("Next reports a timer on an empty clock")
	}
}

func TestSleepEndsWithTheClockOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]clock.Clock{"real": clock.Real(), "virtual": clock.NewVirtual(epoch)} {
			start := c.Now()
			done := make(chan error)
			go func() { done <- clock.Sleep(t.Context(), c, time.Hour) }()
			synctest.Wait()
			if v, ok := c.(*clock.Virtual); ok {
				v.Advance(time.Hour)
			}
			if err := <-done; err != nil {
				t.Errorf("%s: Sleep: %v", name, err)
			}
			if d := c.Now().Sub(start); d != time.Hour {
				t.Errorf("%s: slept %v, want 1h", name, d)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { done <- clock.Sleep(ctx, c, time.Hour) }()
			synctest.Wait()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: cancelled Sleep returned %v", name, err)
			}
			if v, ok := c.(*clock.Virtual); ok && v.Pending() != 0 {
				t.Errorf("a cancelled Sleep left %d timers", v.Pending())
			}
			if err := clock.Sleep(ctx, c, 0); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Sleep on an ended context returned %v", name, err)
			}
		}
	})
}
