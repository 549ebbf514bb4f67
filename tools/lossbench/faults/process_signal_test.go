//go:build linux

package faults_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// Row 13.
func TestManyHangupsAreFewReloadsAndTheLastBinaryWins(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options("-reload.max_draining=2"))
	const hangups = 30
	var versions []string
	for i := range hangups {
		versions = append(versions, p.script(fmt.Sprintf("set -- \"$@\" -seed=%d", 1000+i)))
	}
	l := d.load(nil, traffic...)
	pause(calm)
	most := 0
	tick := time.NewTicker(1500 * time.Millisecond / hangups)
	defer tick.Stop()
	for _, version := range versions {
		<-tick.C
		p.replace(version)
		d.signal(syscall.SIGHUP)
		most = max(most, len(phases(d.status())[reload.Draining]))
	}
	last := fmt.Sprintf("-seed=%d", 1000+hangups-1)
	d.until("the last binary serves", func() bool {
		s := d.status()
		most = max(most, len(phases(s)[reload.Draining]))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", d.activeOf(s)))
		return slices.Contains(strings.Split(string(line), "\x00"), last)
	})
	d.settled()
	pause(calm)
	c := d.status().Counts
	if c.Reloads == 0 || c.Reloads > hangups || c.Crashes != 0 || c.Killed != 0 {
		t.Errorf("counts %+v", c)
	}
	if most > 2 {
		t.Errorf("%d workers were draining at a time, want 2 at most", most)
	}
	t.Logf("%d reloads, at most %d workers draining", c.Reloads, most)
	lossless(t, l)
	d.stop()
}

// Row 13, when no old worker leaves.
func TestHangupsDuringALongDrainBecomeOneReloadAfterIt(t *testing.T) {
	t.Parallel()
	d := start(t, options{Args: []string{"-reload.max_draining=1"}})
	l := d.load(nil, traffic...)
	pause(calm)
	inside := d.begin()
	d.reload()
	for range 10 {
		d.signal(syscall.SIGHUP)
		pause(20 * time.Millisecond)
	}
	if s := d.status(); s.Counts.Reloads != 1 || len(s.Workers) != 2 {
		t.Errorf("workers %+v after %d reloads, want 2 after one", s.Workers, s.Counts.Reloads)
	}
	if _, err := inside.finish(); err != nil {
		t.Errorf("what was under way: %v", err)
	}
	d.until("another reload is done", func() bool { return d.status().Counts.Reloads == 2 })
	d.settled()
	pause(calm)
	if c := d.status().Counts; c.Reloads != 2 || c.Killed != 0 {
		t.Errorf("counts %+v, want 2 reloads", c)
	}
	lossless(t, l)
	d.stop()
}

// Row 14.
func TestAHangupDuringALongDrainReplacesTheNewWorker(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(nil, traffic...)
	pause(calm)
	inside := d.begin()
	first := d.active()
	d.reload()
	second := d.active()
	d.reload()
	d.until("the second worker has ended", func() bool { return !slices.Contains(phases(d.status())[reload.Draining], second) })
	if draining := phases(d.status())[reload.Draining]; !slices.Equal(draining, []int{first}) {
		t.Errorf("processes %v drain, want %d", draining, first)
	}
	if _, err := inside.finish(); err != nil {
		t.Errorf("what was under way: %v", err)
	}
	d.settled()
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 14.
func TestAStopWhileAWorkerStartsDrainsTheActiveOne(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options("-drain.min=100ms"))
	inside := d.begin()
	p.configure("fault: hang\n")
	d.signal(syscall.SIGHUP)
	d.until("a worker starts", func() bool { return len(phases(d.status())[reload.Starting]) == 1 })
	starting := phases(d.status())[reload.Starting][0]
	d.signal(syscall.SIGTERM)
	d.until("the worker that starts is killed", func() bool { return !alive(starting) })
	if _, err := inside.finish(); err != nil {
		t.Errorf("what was under way: %v", err)
	}
	d.ended(0)
	if left := d.processes(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// Row 14.
func TestTheSecondStopDoesNotDrain(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	inside := d.begin()
	begin := time.Now()
	d.signal(syscall.SIGTERM)
	d.until("the daemon stops", func() bool { return strings.Contains(d.output(), `"msg":"stopping"`) })
	pause(150 * time.Millisecond) // what comes sooner is the same signal
	if d.gone() {
		t.Error("one signal ended it")
	}
	d.signal(syscall.SIGTERM)
	d.ended(1)
	t.Logf("ended %v after the first signal", time.Since(begin))
	if _, err := inside.finish(); err == nil {
		t.Error("what was under way was finished")
	}
	if left := d.processes(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
