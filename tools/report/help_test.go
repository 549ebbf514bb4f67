package report_test

import (
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

var update = flag.Bool("update", false, "write the logs of the real servers to testdata, and docs/report.md")

// start is when the logs of tests begin.
var start = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// pages are routes with their share of requests and their median duration in µs.
var pages = []struct {
	method, path, route string
	weight              int
	median              float64
}{
	{"GET", "/", "GET /{$}", 20, 900},
	{"GET", "/games/%d", "GET /games/{id}", 40, 2400},
	{"POST", "/games/%d/moves", "POST /games/{id}/moves", 15, 5200},
	{"GET", "/players/%d/history?page=2", "GET /players/{id}/history", 8, 38_000},
	{"GET", "/static/app.3f2a9c1b.js", "GET /static/", 12, 300},
	{"GET", "/search?q=chess", "GET /search", 4, 120_000},
	{"DELETE", "/games/%d", "DELETE /games/{id}", 1, 3100},
}

// traffic makes up the records of so many requests, at so many a second, the same for the same seed.
func traffic(lines, perSecond int, seed uint64, each func(*accesslog.Record)) {
	r := rand.New(rand.NewPCG(seed, 1))
	agents := []string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
		"curl/8.14.1",
	}
	for i := range lines {
		pick := r.IntN(100)
		page := pages[0]
		for _, p := range pages {
			if page = p; pick < p.weight {
				break
			}
			pick -= p.weight
		}
		begin := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		slow := 1.0
		if m := begin.Sub(start).Minutes(); m > 35 && m < 43 && page.method == "POST" {
			slow = 9 // an incident
		}
		uri := page.path
		if page.route != "GET /{$}" && page.route != "GET /search" && page.route != "GET /static/" {
			uri = fmt.Sprintf(page.path, r.IntN(100_000))
		}
		rec := accesslog.Record{
			Client: netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(256))}), Start: begin,
			Duration: time.Duration(page.median*slow*math.Exp(r.NormFloat64()*0.6)) * time.Microsecond,
			Method:   page.method, URI: uri, Proto: "HTTP/1.1", Status: 200, Bytes: 200 + r.Int64N(20_000), Route: page.route,
			RequestID: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
			Request:   http.Header{"User-Agent": {agents[r.IntN(len(agents))]}, "Referer": {"https://games.example/lobby"}},
		}
		switch n := r.IntN(1000); {
		case n < 25:
			rec.Status, rec.FailureCode = 404, 1007
		case n < 30, slow > 1 && n < 300:
			rec.Status, rec.FailureCode = 503, 1042
		case n < 31:
			rec.Status, rec.FailureCode = 500, 1
		}
		each(&rec)
	}
}

// write writes such a log.
func write(t testing.TB, w io.Writer, format string, lines, perSecond int) {
	t.Helper()
	f, err := accesslog.Compile(format)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	traffic(lines, perSecond, 7, func(r *accesslog.Record) {
		text = append(f.Append(text, r), '\n')
		if len(text) > 1<<20 {
			_, err = w.Write(text)
			text = text[:0]
		}
	})
	if _, last := w.Write(text); err != nil || last != nil {
		t.Fatal(err, last)
	}
}
