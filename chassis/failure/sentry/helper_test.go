package sentry_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

var (
	epoch   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	codes   = failure.NewSet("game")
	errFull = codes.Caller(1042, "column is full")
	errDown = codes.Dependency(1201, "the game store does not answer", failure.Runbook("https://runbooks.example/1201"))
	errLost = codes.Service(1301, "the game is lost")
)

// report is the report number n.
func report(n int) aggregate.Report {
	return aggregate.Report{
		ID: fmt.Sprintf("%032x", n), Group: "game 1042 arena.(*Table).Drop arena/table.go:77", Code: errFull.Describe(),
		Place: "arena.(*Table).Drop arena/table.go:77", Count: uint64(n), Total: uint64(n) + 10,
		First: epoch, Last: epoch.Add(time.Second),
		Sample:  aggregate.Sample{ID: "8KQ2M4XV7P0R", Message: "column is full (column=7)", Time: epoch},
		Service: "game", Version: "1.2.3", Host: "h1",
	}
}

// run opens a sink and delivers from it until the test ends, or until stop is called.
func run(t *testing.T, cfg sentry.Config, o sentry.Options) (s *sentry.Sink, stop func()) {
	t.Helper()
	s, err := sentry.Open(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

// to is a configuration for the fake, with a spool of the test's own.
func to(t *testing.T, f *sentryfake.Fake) sentry.Config {
	return sentry.Config{DSN: config.NewSecret(f.DSN()), Spool: filepath.Join(t.TempDir(), "spool"), Proxy: config.NewSecret("direct")}
}

func take(t *testing.T, s *sentry.Sink, r aggregate.Report) {
	t.Helper()
	if err := s.Take(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// arrive waits until n events have been accepted, while the clock goes on.
func arrive(t *testing.T, f *sentryfake.Fake, c *clock.Virtual, n int) {
	t.Helper()
	until(t, f, c, func(s sentryfake.Stats) bool { return s.Events >= n })
}

// until lets the clock go on, second by second, until the fake has seen enough.
func until(t *testing.T, f *sentryfake.Fake, c *clock.Virtual, enough func(sentryfake.Stats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		short, end := context.WithTimeout(ctx, 5*time.Millisecond)
		err := f.Await(short, enough)
		end()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		c.Advance(time.Second)
	}
}

// serve answers what h answers and returns a DSN for it.
func serve(t *testing.T, h http.HandlerFunc) string {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "://", "://key@", 1) + "/1"
}

// envelope is what a request brings.
func envelope(t *testing.T, r *http.Request) string {
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Error(err)
		return ""
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// tick lets the clock go on until a request has come. Each step of it gives what runs beside a moment
// to act, so that virtual time does not run away from it.
func tick(c *clock.Virtual, came <-chan int) {
	for {
		select {
		case <-came:
			return
		case <-time.After(2 * time.Millisecond):
			c.Advance(5 * time.Second)
		}
	}
}

// counted lets the clock go on until the counts of all events add up to sum, and no further.
func counted(t *testing.T, f *sentryfake.Fake, c *clock.Virtual, sum uint64) {
	t.Helper()
	for n := 0; ; {
		var got uint64
		events := f.Events()
		for _, e := range events {
			got += e.Count()
		}
		if got >= sum {
			if got > sum {
				t.Fatalf("events tell of %d failures, want %d", got, sum)
			}
			return
		}
		n = len(events)
		until(t, f, c, func(s sentryfake.Stats) bool { return s.Events > n })
	}
}
