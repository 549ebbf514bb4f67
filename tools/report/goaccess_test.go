package report_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/tools/report"
)

// GoAccess, which reads such logs as well, comes to the same counts.
func TestCountsAreThoseOfGoAccess(t *testing.T) {
	program := need.Program(t, "goaccess", "goaccess")
	dir := t.TempDir()
	log, out := filepath.Join(dir, "access.log"), filepath.Join(dir, "out.json")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, "combined", 50_000, 20)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), program, log, "--log-format=COMBINED", "--no-global-config", "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	type item struct {
		Hits struct {
			Count uint64 `json:"count"`
		} `json:"hits"`
		Data   string `json:"data"`
		Method string `json:"method"`
		Items  []item `json:"items"`
	}
	type panel struct {
		Data []item `json:"data"`
	}
	var theirs struct {
		General struct {
			Bandwidth     uint64
			ValidRequests uint64 `json:"valid_requests"`
			FailedOnes    uint64 `json:"failed_requests"`
		} `json:"general"`
		Requests panel `json:"requests"`
		Static   panel `json:"static_requests"`
		Statuses panel `json:"status_codes"`
		Hosts    panel `json:"hosts"`
	}
	if err := json.Unmarshal(text, &theirs); err != nil {
		t.Fatal(err)
	}
	ours := collect(t, log, "combined", report.Options{Clients: 10_000}).Report(report.ByHits, 10_000, time.UTC)
	if g := theirs.General; g.ValidRequests != ours.Hits || g.FailedOnes != 0 || g.Bandwidth != ours.Total.Bytes {
		t.Errorf("goaccess has %d requests, %d bytes; we have %d and %d", g.ValidRequests, g.Bandwidth, ours.Hits, ours.Total.Bytes)
	}
	statuses := map[int]uint64{}
	for _, class := range theirs.Statuses.Data {
		for _, s := range class.Items {
			code, _ := strconv.Atoi(s.Data[:3])
			statuses[code] = s.Hits.Count
		}
	}
	for _, s := range ours.Statuses {
		if statuses[s.Code] != s.Count {
			t.Errorf("goaccess has %d requests of status %d, we have %d", statuses[s.Code], s.Code, s.Count)
		}
	}
	if len(statuses) != len(ours.Statuses) {
		t.Errorf("goaccess has the statuses %v", statuses)
	}
	hosts := map[string]uint64{}
	for _, h := range theirs.Hosts.Data {
		hosts[h.Data] = h.Hits.Count
	}
	compared := 0
	for _, c := range ours.Clients {
		if n, ok := hosts[c.Client]; ok {
			compared++
			if n != c.Hits {
				t.Errorf("goaccess has %d requests of %s, we have %d", n, c.Client, c.Hits)
			}
		}
	}
	// Paths that differ by no id can be compared; it leaves requests that were not found to another panel.
	routes := map[string]report.Row{}
	for _, r := range ours.Routes {
		routes[r.Route] = r
	}
	for _, r := range append(theirs.Requests.Data, theirs.Static.Data...) {
		name := map[string]string{"/": "GET /", "/search?q=chess": "GET /search", "/static/app.3f2a9c1b.js": "GET /static/app.{hex}.js"}[r.Data]
		if name == "" {
			continue
		}
		compared++
		if row := routes[name]; row.Hits-row.ClientErrors != r.Hits.Count {
			t.Errorf("goaccess has %d requests of %s, we have %d and %d of status 404", r.Hits.Count, r.Data, row.Hits, row.ClientErrors)
		}
	}
	if compared < 200 {
		t.Errorf("%d counts were compared, want 200 or more", compared)
	}
}

// collect reads a log.
func collect(t testing.TB, log, format string, o report.Options) *report.Collector {
	t.Helper()
	layout, err := report.NewLayout(format)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, r := report.NewCollector(o), report.NewLineReader(layout)
	var h report.Hit
	if _, err := report.Lines(f, func(text []byte, err error) {
		if err == nil {
			err = r.Read(text, &h)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Add(layout, &h)
	}); err != nil {
		t.Fatal(err)
	}
	return c
}
