package sentry_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// breakSpool makes whatever is done with the spool fail as on a disk that fails.
func breakSpool(t *testing.T, path string) {
	t.Helper()
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err == nil {
		c.SetBusyTimeout(time.Minute)
		err = errors.Join(sqlitex.ExecuteTransient(c, "DROP TABLE records", nil), c.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pass lets the clock go on until a value comes.
func pass[T any](c *clock.Virtual, came <-chan T) T {
	for {
		select {
		case v := <-came:
			return v
		case <-time.After(2 * time.Millisecond):
			c.Advance(time.Second)
		}
	}
}

func TestASpoolThatFailsIsOpenedAgainAndReportsAreDroppedMeanwhile(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	var n tally
	cfg := to(t, f)
	state := make(chan error, 100)
	s, _ := run(t, cfg, sentry.Options{Clock: c, Counted: n.add, Spool: func(err error) { state <- err }}) // run fails the test if Run ends with an error
	take(t, s, report(1))
	arrive(t, f, c, 1)
	for round := range 2 {
		breakSpool(t, cfg.Spool)
		if err := pass(c, state); !errors.Is(err, spool.ErrFailed) || !strings.Contains(err.Error(), "reports are dropped") {
			t.Fatalf("told of %v, want ErrFailed and what it means", err)
		}
		if err := s.Take(t.Context(), report(10*round+2)); err == nil {
			t.Error("a report was taken by a spool that failed")
		}
		if _, err := s.Spool(t.Context()); err == nil {
			t.Error("a spool that failed has figures")
		}
		if got := n.get(sentry.Dropped); got != round+1 {
			t.Errorf("%d reports were counted as dropped, want %d", got, round+1)
		}
		if err := pass(c, state); err != nil {
			t.Fatalf("told of %v, want that it works again", err)
		}
		take(t, s, report(10*round+3))
		arrive(t, f, c, round+2)
	}
	if len(state) != 0 {
		t.Errorf("told more than once of each failure: %v", <-state)
	}
}

func TestASpoolThatCannotBeOpenedAgainIsTriedUntilItCan(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	cfg := to(t, f)
	state := make(chan error, 100)
	s, _ := run(t, cfg, sentry.Options{Clock: c, Spool: func(err error) { state <- err }})
	breakSpool(t, cfg.Spool)
	if err := pass(c, state); err == nil {
		t.Fatal("told that it works, want that it failed")
	}
	if err := errors.Join(os.Remove(cfg.Spool), os.Mkdir(cfg.Spool, 0o700)); err != nil { // nobody can open that
		t.Fatal(err)
	}
	for range 5 {
		c.Advance(time.Minute)
	}
	select {
	case err := <-state:
		t.Fatalf("told of %v while a directory is in the way", err)
	default:
	}
	if err := os.Remove(cfg.Spool); err != nil {
		t.Fatal(err)
	}
	if err := pass(c, state); err != nil {
		t.Fatalf("told of %v, want that it works again", err)
	}
	take(t, s, report(1))
	arrive(t, f, c, 1)
}

func TestAServiceLivesOnWhenItsSpoolOfReportsFails(t *testing.T) {
	t.Chdir(t.TempDir())
	f := sentryfake.Start(t, sentryfake.Options{})
	h := newHost(t) // it fails the test if what it runs ends with an error
	if err := sentry.Use(h, sentry.Config{DSN: config.NewSecret(f.DSN()), Proxy: config.NewSecret("direct")}); err != nil {
		t.Fatal(err)
	}
	if got := h.metric(t, "sentry_spool_failures_total", ""); got != 0 {
		t.Errorf("failures of the spool are %v from the start, want 0", got)
	}
	breakSpool(t, "game-sentry.spool")
	if err := h.sinks["sentry"].Take(t.Context(), report(1)); err == nil {
		t.Error("a report was taken by a spool that failed")
	}
	if got := h.metric(t, "sentry_events_total", sentry.Dropped); got != 1 {
		t.Errorf("%v events were dropped, want 1", got)
	}
	for n := 2; ; n++ {
		if err := h.sinks["sentry"].Take(t.Context(), report(n)); err == nil {
			break
		}
		<-time.After(time.Millisecond) // the service goes by the machine's clock, and tries again after a second
	}
	if err := f.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := h.metric(t, "sentry_spool_failures_total", ""); got != 1 {
		t.Errorf("the spool failed %v times, want 1", got)
	}
}
