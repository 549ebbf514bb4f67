package chassis_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/internal/disk"
)

func TestAFullDiskCostsLinesAndNoRequest(t *testing.T) {
	const size, lineLen = 64 << 10, 100 // which leave a torn line at the end
	path := disk.Mount(t, fmt.Sprintf("size=%d", size)) + "/access.log"
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.AccessLog.Path, s.AccessLog.FlushEvery, s.AccessLog.Buffer = path, time.Millisecond, 4*keys.KiB
		s.AccessLog.Format = "%U " + strings.Repeat("-", lineLen-len("/0000 \n"))
	}}, serve(routes(map[string]chassis.Handler{"GET /{n}": say("hi")})))
	requests := 0
	ask := func(n int) {
		const clients = 4
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				for i := c; i < n; i += clients {
					res, err := h.client.Get(h.url("http", fmt.Sprintf("/%04d", requests+i)))
					if err != nil {
						t.Error(err)
						return
					}
					if a := read(res); a.StatusCode != http.StatusOK || a.body != "hi" {
						t.Errorf("answer %d %q", a.StatusCode, a.body)
					}
				}
			})
		}
		all.Wait()
		requests += n
	}
	settled := func() (lines, dropped int) {
		eventually(t, func() bool {
			l, _ := h.metric("access_log_lines_total")
			d, _ := h.metric("access_log_dropped_total")
			lines, dropped = int(l), int(d)
			return lines+dropped == requests
		}, "lines written or dropped of all requests")
		return lines, dropped
	}

	ask(1000)
	lines, dropped := settled()
	if lines != size/lineLen || dropped != requests-lines {
		t.Errorf("%d lines and %d dropped of %d requests, want the %d lines that fit", lines, dropped, requests, size/lineLen)
	}
	h.wantMetric(1, "access_log_failing")
	// Somebody makes room.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	old := readFile(t, path+".1")
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	ask(200)
	if l, d := settled(); l != lines+200 || d != dropped {
		t.Errorf("with room, %d lines and %d dropped, want %d and %d", l, d, lines+200, dropped)
	}
	h.wantMetric(0, "access_log_failing")
	h.stop()

	whole := strings.Count(old, "\n")
	for line := range strings.Lines(readFile(t, path)) {
		if len(line) != lineLen || line[0] != '/' {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
		whole++
	}
	if lost, _ := h.metric("access_log_dropped_total"); whole+int(lost) != requests {
		t.Errorf("%d lines in the files and %v dropped, want %d together", whole, lost, requests)
	}
}
