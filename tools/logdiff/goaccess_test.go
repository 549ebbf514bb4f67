package logdiff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestGoAccessReadsEveryLine(t *testing.T) {
	program := need.Program(t, "goaccess", "goaccess")
	for name, c := range map[string]struct {
		lines   int
		privacy accesslog.Privacy
	}{
		"in full":         {100_000, accesslog.Privacy{}},
		"with pseudonyms": {10_000, accesslog.Privacy{Addresses: accesslog.HashAddresses, Secret: []byte("a secret of the test"), NoQuery: true}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log := filepath.Join(dir, "access.log")
			writeLines(t, log, c.lines, c.privacy)
			report := filepath.Join(dir, "report.json")
			out, err := exec.CommandContext(t.Context(), program, log, "--log-format=COMBINED", "--no-global-config", "-o", report).CombinedOutput()
			if err != nil {
				t.Fatalf("goaccess: %v\n%s", err, out)
			}
			text, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			var read struct {
				General struct {
					Total  int `json:"total_requests"`
					Valid  int `json:"valid_requests"`
					Failed int `json:"failed_requests"`
				}
			}
			if err := json.Unmarshal(text, &read); err != nil {
				t.Fatal(err)
			}
			if g := read.General; g.Total != c.lines || g.Valid != c.lines || g.Failed != 0 {
				t.Errorf("goaccess read %+v of %d lines", g, c.lines)
			}
		})
	}
}

// writeLines logs requests with hostile bytes wherever clients may put any.
func writeLines(t *testing.T, path string, lines int, privacy accesslog.Privacy) {
	t.Helper()
	file, err := accesslog.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := accesslog.NewWriter(file, accesslog.Options{Privacy: privacy})
	r := rand.New(rand.NewPCG(3, 4))
	hostile := func(most int) string {
		b := make([]byte, r.IntN(most))
		for i := range b {
			if b[i] = byte(r.IntN(256)); r.IntN(2) == 0 {
				b[i] = 'a' + b[i]%26
			}
		}
		return string(b)
	}
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
	statuses := []int{200, 200, 200, 204, 206, 301, 304, 400, 401, 403, 404, 409, 413, 429, 500, 503}
	for i := range lines {
		rec := accesslog.Record{
			Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))}), Start: start.Add(time.Duration(i) * time.Millisecond),
			Method: methods[r.IntN(len(methods))], URI: fmt.Sprintf("/%s?%s", hostile(20), hostile(20)), Proto: "HTTP/1.1",
			Status: statuses[r.IntN(len(statuses))], Bytes: r.Int64N(3) * r.Int64N(1<<20),
			Request: http.Header{"Referer": {"https://example.org/" + hostile(30)}, "User-Agent": {"agent/" + hostile(60)}},
		}
		if i%3 == 0 {
			rec.Client = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 15: byte(r.IntN(256))})
			rec.Request, rec.Method, rec.URI, rec.Proto = nil, "POST", "/game.v1.GameService/Move", "HTTP/2.0"
		}
		if i%7 == 0 {
			// GoAccess takes the first bracket for that of the time, in httpd's lines as well.
			rec.User = strings.ReplaceAll("user"+hostile(10), "[", "(")
		}
		w.Log(&rec)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.Stats(); s.Lines != uint64(lines) {
		t.Fatalf("%+v", s)
	}
}
