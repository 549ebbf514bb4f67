package sentry_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// childDSN and childSpool tell a child process of this test binary what to report to.
const childDSN, childSpool, childLife = "SENTRY_TEST_DSN", "SENTRY_TEST_SPOOL", "SENTRY_TEST_LIFE"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childDSN); dsn != "" {
		if err := child(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child takes reports, says of each that it has it, and delivers, until it is killed.
func child(dsn string) error {
	ctx := context.Background()
	s, err := sentry.Open(ctx, sentry.Config{
		DSN: config.NewSecret(dsn), Spool: os.Getenv(childSpool), Proxy: config.NewSecret("direct"),
	}, sentry.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.Run(ctx) }()
	for n := 1; ; n++ {
		r := report(n)
		r.ID = fmt.Sprintf("%016s%016x", os.Getenv(childLife), n)
		if err := s.Take(ctx, r); err != nil {
			return err
		}
		fmt.Println(r.ID)
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

func TestEveryReportArrivesOnceThoughTheProcessIsKilledAgainAndAgain(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	cfg := to(t, f)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	faults := []sentryfake.Fault{
		{Kind: sentryfake.Down}, {Kind: sentryfake.Status, Status: 503}, {Kind: sentryfake.Lose}, {Kind: sentryfake.Hang}, {},
	}
	for life, fault := range faults {
		f.Clear()
		if fault.Kind != 0 {
			f.Script(fault)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDSN+"="+f.DSN(), childSpool+"="+cfg.Spool, childLife+"="+fmt.Sprint(life))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		struck := f.Stats().Faults
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id := lines.Text(); len(id) == 32 { // what a kill leaves of a line is none
				taken[id] = true
			}
			if n >= 40+20*life && (fault.Kind == 0 || f.Stats().Faults > struck) {
				_ = cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("life %d ended by itself: %v", life, err)
		}
	}
	f.Clear()
	// What the last life held under a lease is free again when that ends.
	c := clock.NewVirtual(time.Now().Add(2 * time.Minute))
	s, _ := run(t, cfg, sentry.Options{Clock: c})
	for {
		stats, err := s.Spool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Records == 0 {
			break
		}
		n := f.Stats().Requests
		until(t, f, c, func(s sentryfake.Stats) bool { return s.Requests > n || s.Events >= len(taken) })
	}
	arrived := map[string]bool{}
	for _, e := range f.Events() {
		if arrived[e.ID] {
			t.Errorf("report %s is recorded twice", e.ID)
		}
		arrived[e.ID] = true
	}
	for id := range taken {
		if !arrived[id] {
			t.Errorf("report %s was taken and did not arrive", id)
		}
	}
	if extra := len(arrived) - len(taken); extra < 0 || extra > len(faults)*1024 {
		t.Errorf("%d reports arrived, %d were taken", len(arrived), len(taken))
	}
	t.Logf("%d reports in %d lives, %d events sent again", len(taken), len(faults), f.Stats().Duplicates)
}

func TestOfAStormOfFailuresSentryHearsTheTruthAtItsOwnPace(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c, Quotas: []sentryfake.Quota{{Category: "error", Items: 60, Per: time.Second}}})
	s, _ := run(t, to(t, f), sentry.Options{Clock: c})
	a := aggregate.New(aggregate.Config{Service: "game", Clock: c})
	a.ReportTo("sentry", s)
	const failures = 20_000
	want := map[int]uint64{}
	for n := range failures {
		err := errDown.New()
		if n%5 == 0 {
			err = errLost.New()
		}
		a.Add(aggregate.Occurrence{Error: err, ID: "8KQ2M4XV7P0R", Time: c.Now(), Route: fmt.Sprintf("/v1/games/%d", n%40)})
		want[err.Code().Number()]++
		if n%20 == 0 {
			c.Advance(time.Millisecond)
		}
	}
	counted(t, f, c, failures)
	got := map[int]uint64{}
	for _, e := range f.Events() {
		got[e.Code()] += e.Count()
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events tell of %v, want %v", got, want)
	}
	stats := f.Stats()
	if stats.RateLimited+stats.Early != 0 || stats.Events > 1000 {
		t.Errorf("stats are %+v: want no request too many, and a twentieth of the failures as events at most", stats)
	}
	t.Logf("%d failures in %d events", failures, stats.Events)
}
