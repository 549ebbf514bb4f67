//go:build linux

package faults_test

import (
	"context"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Row 21.
func TestCountersNeverFallAndAreExact(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(nil, "h1", "h1-idle", "h1-fresh", "h2c-get", "grpc")
	ctx, cancel := context.WithCancel(t.Context())
	var scraper sync.WaitGroup
	t.Cleanup(scraper.Wait)
	var scrapes atomic.Int64
	scraper.Go(func() {
		for before := (counters{}); ctx.Err() == nil; scrapes.Add(1) {
			before = d.scrape(before)
		}
	})
	d.reloads(l, 4, often)
	d.until("it was scraped ten times", func() bool { return scrapes.Load() >= 10 })
	results := lossless(t, l)
	cancel()
	scraper.Wait()
	want := map[string]float64{}
	for _, r := range results {
		listener := "http"
		if r.Protocol == "grpc" {
			listener = "grpc"
		}
		want[listener] += float64(r.Requests)
	}
	for listener, n := range want {
		count := func() float64 {
			return sum(d.metrics(), "request_duration_seconds_count", `listener="`+listener+`"`)
		}
		// The client has the answer a moment before it is counted.
		d.until("every request is counted", func() bool { return count() >= n })
		if got := count(); got != n {
			t.Errorf("%s: %v requests counted, clients had %v answers", listener, got, n)
		}
	}
	d.stop()
}

// counters are the samples that must not fall.
type counters map[string]float64

var counterType = regexp.MustCompile(`(?m)^# TYPE (\S+) (counter|histogram)$`)

// scrape reads the counters and holds them against those before. What belongs to one worker ends with it.
func (d *daemon) scrape(before counters) counters {
	status, text := d.page("/metrics")
	if status != 200 {
		d.t.Errorf("/metrics: %d %s", status, text)
		return before
	}
	families := map[string]bool{}
	for _, m := range counterType.FindAllStringSubmatch(text, -1) {
		families[m[1]] = true
	}
	now := counters{}
	for name, v := range samplesOf(d.t, text) {
		base, _, _ := strings.Cut(name, "{")
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if families[strings.TrimSuffix(base, suffix)] {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		if families[base] {
			now[name] = v
		}
	}
	for name, v := range before {
		now, there := now[name]
		if !there && !strings.Contains(name, `worker="`) {
			d.t.Errorf("%s was %v and is no more", name, v)
		}
		if there && now < v {
			d.t.Errorf("%s fell from %v to %v", name, v, now)
		}
	}
	return now
}

// line is one of the access log for a request of the clients.
var line = regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] "POST (/\S+ HTTP/[0-9.]+)" 200 \d+ "-" "[^"]*"$`)

// Row 22. Each worker opens the file by itself.
func TestTheAccessLogHasALineForEachRequest(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	d := start(t, options{Args: []string{"-access_log.path=" + log}})
	l := d.load(nil, "h1", "h1-idle", "h1-fresh", "h2c-post", "grpc")
	d.reloads(l, 4, often)
	want := map[string]int64{}
	for _, r := range lossless(t, l) {
		switch r.Protocol {
		case "h2c-post":
			want["/work HTTP/2.0"] += r.Requests
		case "grpc":
			want["/loss.Echo/Unary HTTP/2.0"] += r.Requests
		default:
			want["/work HTTP/1.1"] += r.Requests
		}
	}
	d.stop()
	got := map[string]int64{}
	for text := range strings.Lines(readFile(t, log)) {
		m := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Errorf("not a line of the log: %q", text)
			continue
		}
		got[m[1]]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("lines %v, clients had answers %v", got, want)
	}
}
