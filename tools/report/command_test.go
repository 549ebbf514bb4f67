package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/tools/report"
)

// full is a format with all that a report shows.
const full = `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D "%{route}x" %{failure}x %{request_id}x`

// run is the command, an hour after the logs of tests begin.
func run(stdin string, args ...string) (code int, out, errs string) {
	var stdout, stderr strings.Builder
	code = runTo(&stdout, &stderr, stdin, args...)
	return code, stdout.String(), stderr.String()
}

func runTo(stdout, stderr io.Writer, stdin string, args ...string) int {
	return report.Run(args, strings.NewReader(stdin), stdout, stderr, start.Add(time.Hour))
}

// asJSON is the report of the command.
func asJSON(t *testing.T, stdin string, args ...string) *report.Report {
	t.Helper()
	code, out, errs := run(stdin, append([]string{"-as", "json"}, args...)...)
	var r report.Report
	if err := json.Unmarshal([]byte(out), &r); code != 0 || errs != "" || err != nil {
		t.Fatalf("%v: %d %s %v", args, code, errs, err)
	}
	return &r
}

// sample is a log of ours with so many lines.
func sample(t testing.TB, format string, lines int) string {
	var b bytes.Buffer
	write(t, &b, format, lines, 2)
	return b.String()
}

func TestRowsHaveExactCountsAndQuantilesWithinAPercent(t *testing.T) {
	const lines = 20_000
	r := asJSON(t, sample(t, full, lines), "-format", full, "-")
	truth := map[string][]uint64{}
	sent, failed, refused, codes := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[int]uint64{}
	traffic(lines, 2, 7, func(rec *accesslog.Record) {
		truth[rec.Route] = append(truth[rec.Route], uint64(rec.Duration.Microseconds()))
		sent[rec.Route] += uint64(rec.Bytes)
		codes[rec.FailureCode]++
		switch {
		case rec.Status >= 500:
			failed[rec.Route]++
		case rec.Status >= 400:
			refused[rec.Route]++
		}
	})
	if r.Hits != lines || !r.Routed || !r.Timed || len(r.Routes) != len(truth) || r.Others != nil || r.OtherRoutes != 0 {
		t.Errorf("%d hits, %d routes, others %+v", r.Hits, len(r.Routes), r.Others)
	}
	for _, row := range r.Routes {
		took := truth[row.Route]
		slices.Sort(took)
		var sum uint64
		for _, us := range took {
			sum += us
		}
		if row.Hits != uint64(len(took)) || row.Total != sum || row.Max != took[len(took)-1] || row.Missed != 0 ||
			row.Bytes != sent[row.Route] || row.Errors != failed[row.Route] || row.ClientErrors != refused[row.Route] {
			t.Errorf("%+v", row)
		}
		for q, got := range map[float64]uint64{0.5: row.P50, 0.9: row.P90, 0.99: row.P99, 0.999: row.P999} {
			if want := float64(exact(took, q)); math.Abs(float64(got)-want) > 0.01*want {
				t.Errorf("%s: quantile %g is %d, want %g", row.Route, q, got, want)
			}
		}
		if row.Slowest[0].Taken != row.Max || len(row.Slowest) != 3 || row.Slowest[0].RequestID == "" {
			t.Errorf("%s: slowest %+v", row.Route, row.Slowest)
		}
	}
	for _, f := range r.Failures {
		if codes[f.Code] != f.Count {
			t.Errorf("failure %d: %d, want %d", f.Code, f.Count, codes[f.Code])
		}
	}
	if len(r.Failures) != len(codes)-1 || len(r.Slowest) != 20 || !slices.IsSortedFunc(r.Slowest, func(a, b report.Slow) int { return int(b.Taken) - int(a.Taken) }) {
		t.Errorf("failures %v, slowest %v", r.Failures, r.Slowest)
	}
	var inBins uint64
	for _, b := range r.Timeline {
		inBins += b.Hits
	}
	if inBins != lines || !r.First.Equal(start) || !r.Last.Equal(start.Add((lines-1)*time.Second/2).Truncate(time.Second)) {
		t.Errorf("%d hits in bins from %v to %v", inBins, r.First, r.Last)
	}
	if r.Clients != nil {
		t.Error("clients are shown unasked")
	}
}

// A million distinct paths, none of which has an id that could be seen: counts add up, the pages that come
// often have theirs, and memory does not grow with the paths.
func TestAMillionPathsTakeBoundedMemory(t *testing.T) {
	layout, err := report.NewLayout(`%m %U %s %D`)
	if err != nil {
		t.Fatal(err)
	}
	c, r := report.NewCollector(report.Options{Routes: 500}), report.NewLineReader(layout)
	letters := []byte("abcdefghij")
	var line []byte
	var h report.Hit
	add := func(path []byte) {
		line = append(append(append(line[:0], "GET "...), path...), " 200 1500"...)
		if err := r.Read(line, &h); err != nil {
			t.Fatal(err)
		}
		c.Add(layout, &h)
	}
	grown := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	var path []byte
	for i := range 1_000_000 {
		path = append(path[:0], "/x/"...)
		for n, digits := i, 0; digits < 6; n, digits = n/10, digits+1 {
			path = append(path, letters[n%10])
		}
		add(path)
		if i%100 == 0 {
			add([]byte("/often"))
		}
		if i == 10_000 {
			before = grown()
		}
	}
	if after := grown(); after > before+(1<<20) {
		t.Errorf("%d bytes after a million paths, %d after ten thousand", after, before)
	}
	got := c.Report(report.ByHits, 1, time.UTC)
	if top := got.Routes[0]; top.Route != "GET /often" || top.Hits+top.Missed < 10_000 || top.Hits > 10_000 {
		t.Errorf("%+v", top)
	}
	if got.Hits != 1_010_000 || got.Routes[0].Hits+got.Others.Hits != got.Hits || got.OtherRoutesExact || got.Total.Total != 1500*1_010_000 {
		t.Errorf("%d hits, others %d", got.Hits, got.Others.Hits)
	}
}

func TestManyFilesPackedOrNotAreAddedUp(t *testing.T) {
	dir := t.TempDir()
	lines := strings.SplitAfter(sample(t, full, 4000), "\n")
	part := func(i int) string { return strings.Join(lines[1000*i:1000*(i+1)], "") }
	var gz, zs bytes.Buffer
	for _, half := range []string{part(1)[:50_000], part(1)[50_000:]} { // logs that were packed and appended
		w := gzip.NewWriter(&gz)
		_, _ = io.WriteString(w, half)
		_ = w.Close()
	}
	w, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, part(2))
	_ = w.Close()
	for name, text := range map[string]string{
		"access-1.log": part(0), "access-2.log.gz": gz.String(), "access-3.log.zst": zs.String(), "access-1.log.gz": "in the making",
		".access.log.swp": "x", "access.lock": "x", "error.log": "x", "access-4.log.gz.tmp": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("access-1.log", filepath.Join(dir, "access.log")); err != nil {
		t.Fatal(err)
	}
	r := asJSON(t, part(3), "-format", full, dir, "-")
	if r.Hits != 4000 || len(r.Files) != 4 || r.Files[1].Lines != 1000 || r.Files[1].Bytes != uint64(len(part(1))) || r.Files[3].Name != "-" {
		t.Errorf("%d hits of %+v", r.Hits, r.Files)
	}
	whole := asJSON(t, strings.Join(lines, ""), "-format", full, "-")
	whole.Files, r.Files = nil, nil
	if a, b := fmt.Sprintf("%+v", whole.Routes), fmt.Sprintf("%+v", r.Routes); a != b {
		t.Errorf("together %s\nin parts %s", a, b)
	}
}

func TestAFolderOfLogsWithOtherNamesIsRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"games.log": sample(t, "common", 10), "notes.txt": "x", "games-1.log.gz.damaged": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := asJSON(t, "", dir); r.Hits != 10 {
		t.Errorf("%d hits", r.Hits)
	}
	empty := t.TempDir()
	if code, _, errs := run("", empty); code != 2 || errs != "roadworthy report: "+empty+": no log in this folder: want files whose names contain access or log\n" {
		t.Error(code, errs)
	}
}

func TestADamagedFileIsReadAsFarAsItGoesAndTheExitCodeIs1(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, sample(t, "combined", 3000))
	_ = w.Close()
	for name, text := range map[string][]byte{"cut.gz": packed.Bytes()[:packed.Len()/2], "bad.gz": {0x1f, 0x8b, 9, 9, 9}, "bad.zst": {0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff}} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := run("", "-bad", "100", file)
		says := file + " was not read: "
		if name == "cut.gz" {
			says = file + " was read up to line "
		}
		if code != 1 || !strings.Contains(errs, says) || !strings.Contains(out, says) {
			t.Errorf("%s: %d %s %s", name, code, errs, out)
		}
		if name == "cut.gz" && (strings.HasPrefix(out, "0 requests") || !strings.Contains(errs, "unexpected EOF")) {
			t.Errorf("%s: %s %s", name, out, errs)
		}
	}
}

func TestLinesThatAreNotUnderstoodAreCountedAndTheFirstAreShown(t *testing.T) {
	log := sample(t, "combined", 980)
	for i := range 20 {
		log += fmt.Sprintf("garbage %d \x1b[31m\xff\n", i)
	}
	log += strings.Repeat("x", 3<<20) + "\n" + sample(t, "combined", 1)
	code, out, errs := run(log, "-")
	if code != 1 || errs != "roadworthy report: 21 of 1002 lines were not understood, the first at -:981:11: %u is not followed by \" [\"\n" {
		t.Error(code, errs)
	}
	if !strings.HasPrefix(out, "981 requests") || !strings.Contains(out, "21 lines were not understood (2.10 %); the first are\n  -:981:") || strings.Contains(out, "\x1b") || strings.Contains(out, "\xff") {
		t.Error(out)
	}
	if code, _, errs := run(log, "-bad", "3", "-"); code != 0 || errs != "" {
		t.Error(code, errs)
	}
	const hint = "name it with -format\n"
	other := strings.Repeat(`192.0.2.7 - - [28/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 15 1042`+"\n", 3)
	if code, _, errs := run(other, "-"); code != 1 || !strings.HasSuffix(errs, hint) {
		t.Error(code, errs)
	}
	if code, _, errs := run(other, "-format", "combined", "-"); code != 1 || strings.Contains(errs, hint) {
		t.Error(code, errs)
	}
	r := asJSON(t, strings.Repeat("y", 3<<20)+"\n"+sample(t, "combined", 200), "-")
	if r.Unread != 1 || r.Hits != 200 || r.Bad[0].Reason != "longer than 1048576 bytes, which no line of a log is" || len(r.Bad[0].Text) > 300 {
		t.Errorf("%d hits, %+v", r.Hits, r.Bad)
	}
}

func TestTheFormatIsFoundOutAmongThoseWithNames(t *testing.T) {
	for _, format := range []string{"common", "combined", "vhost_combined"} {
		for _, lines := range []int{3, 500} {
			if r := asJSON(t, sample(t, format, lines), "-"); r.Hits != uint64(lines) || r.Unread != 0 || r.Timed || r.Routed {
				t.Errorf("%s: %d hits of %d lines, %+v", format, r.Hits, lines, r.Bad)
			}
		}
	}
	code, out, _ := run("", "-")
	if code != 0 || out != "0 requests, 0 failed (0 %), 0 refused (0 %), 0 B sent\n" {
		t.Error(code, out)
	}
}

func TestNoSlowestRequestsAreShownWhereNoneAreWanted(t *testing.T) {
	r := asJSON(t, sample(t, full, 100), "-format", full, "-slowest", "0", "-")
	if len(r.Slowest) != 0 || len(r.Routes) == 0 || slices.ContainsFunc(r.Routes, func(t report.Row) bool { return len(t.Slowest) > 0 }) {
		t.Errorf("slowest %+v, routes %+v", r.Slowest, r.Routes)
	}
}

func TestAWindowOfTimeLeavesOutTheRest(t *testing.T) {
	log := sample(t, "common", 7200) // an hour, two a second
	for _, c := range []struct {
		flags []string
		want  uint64
	}{
		{[]string{"-from", "2026-11-28T09:30"}, 3600},
		{[]string{"-to", "2026-11-28T09:30:00Z"}, 3600},
		{[]string{"-from", "2026-11-28 10:10", "-to", "2026-11-28 10:20", "-zone", "Europe/Berlin"}, 1200},
		{[]string{"-from", "15m"}, 1800},
		{[]string{"-from", "15m ago", "-to", "5m ago"}, 1200},
		{[]string{"-from", "2026-11-28"}, 7200},
		{[]string{"-from", "2026-11-29"}, 0},
	} {
		r := asJSON(t, log, append(c.flags, "-")...)
		if r.Hits != c.want || r.Outside != 7200-c.want {
			t.Errorf("%v: %d hits, %d outside; want %d", c.flags, r.Hits, r.Outside, c.want)
		}
	}
}

func TestRoutesAreSortedAsAskedAndTheRestIsOneRow(t *testing.T) {
	log := sample(t, full, 5000)
	for order, want := range map[string]string{"time": "GET /search", "hits": "GET /games/{id}", "p99": "GET /search", "errors": "POST /games/{id}/moves"} {
		r := asJSON(t, log, "-format", full, "-sort", order, "-top", "2", "-")
		if r.Routes[0].Route != want || len(r.Routes) != 2 || r.Others == nil || r.OtherRoutes != 5 || !r.OtherRoutesExact ||
			r.Routes[0].Hits+r.Routes[1].Hits+r.Others.Hits != r.Hits || r.Routes[0].Total+r.Routes[1].Total+r.Others.Total != r.Total.Total {
			t.Errorf("by %s: %+v, others %+v of %d", order, r.Routes[0].Route, r.Others, r.OtherRoutes)
		}
	}
}

func TestWhatMayHaveBeenMissedIsTold(t *testing.T) {
	log := "GET /a 200\nGET /b 200\nGET /c 200\nGET /c 200\nGET /d 200\n"
	_, out, _ := run(log, "-format", "%m %U %s", "-routes", "2", "-sort", "hits", "-top", "1", "-")
	if !strings.Contains(out, "  2 (+1 at most)       0        0   0 B  GET /c\n") || !strings.Contains(out, "(up to 3 other routes)\n") {
		t.Error(out)
	}
}

func TestClientsAreShownWhenAsked(t *testing.T) {
	log := strings.Repeat(`192.0.2.1 - - [28/Nov/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 5`+"\n", 7) + strings.Repeat(`- - - [28/Nov/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 5`+"\n", 2)
	r := asJSON(t, log, "-clients", "5", "-")
	if want := []report.Client{{Client: "192.0.2.1", Hits: 7}, {Client: "-", Hits: 2}}; !slices.Equal(r.Clients, want) {
		t.Errorf("%+v, want %+v", r.Clients, want)
	}
	for _, kind := range []string{"text", "html", "json"} {
		if _, out, _ := run(log, "-as", kind, "-"); strings.Contains(out, "192.0.2.1") {
			t.Errorf("the address of a client is in the %s unasked", kind)
		}
		if _, out, _ := run(log, "-as", kind, "-clients", "1", "-"); !strings.Contains(out, "192.0.2.1") {
			t.Errorf("the address of a client is not in the %s", kind)
		}
	}
}

func TestOnlySlowRequestsHaveQueriesAndOnlyWhenAsked(t *testing.T) {
	log := "GET /reset?token=sesame 200 17\n"
	for _, kind := range []string{"text", "html", "json"} {
		if _, out, _ := run(log, "-as", kind, "-format", "%m %U %s %D", "-"); strings.Contains(out, "sesame") || !strings.Contains(out, "/reset") {
			t.Errorf("%s: %s", kind, out)
		}
		if _, out, _ := run(log, "-as", kind, "-format", "%m %U %s %D", "-query", "-"); !strings.Contains(out, "sesame") {
			t.Errorf("%s: %s", kind, out)
		}
	}
}

func TestStrangeRequestsHaveRowsOfTheirOwn(t *testing.T) {
	log := `"GET http://example.org/a/7?b HTTP/1.1" 200
"-" 408
"\x16\x03" 400
"` + strings.Repeat("X", 50) + ` / HTTP/1.1" 501
"OPTIONS * HTTP/1.1" 200
`
	r := asJSON(t, log, "-format", `"%r" %s`, "-")
	got := map[string]uint64{}
	for _, row := range r.Routes {
		got[row.Route] = row.Hits
	}
	want := map[string]uint64{"GET /a/{n}": 1, "(no request)": 1, "(no request line)": 2, "OPTIONS *": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	ours := asJSON(t, "GET - 404\nPOST /game.v1.Game/Move 200\nGET POST /x/{id} 200\n", "-format", `%m %{route}x %s`, "-")
	got = map[string]uint64{}
	for _, row := range ours.Routes {
		got[row.Route] = row.Hits
	}
	want = map[string]uint64{"(no route)": 1, "POST /game.v1.Game/Move": 1, "POST /x/{id}": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFailuresOfCallsAreThoseOfTheirOwnStatus(t *testing.T) {
	log := "200 0\n200 5\n200 14\n200 2\n503 -\n404 -\n- 8\n"
	r := asJSON(t, log, "-format", `%s %{grpc_status}x`, "-")
	if r.Total.Errors != 3 || r.Total.ClientErrors != 3 || r.Total.Classes != [6]uint64{1, 0, 4, 0, 1, 1} {
		t.Errorf("%+v", r.Total)
	}
}

func TestManyFailureCodesAreBounded(t *testing.T) {
	var log strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&log, "500 %d e%d r%d 5\n", i+1, i, i)
	}
	r := asJSON(t, log.String(), "-format", `%s %{failure}x %{error_id}x %L %D`, "-")
	if len(r.Failures) != 1001 || r.Failures[0] != (report.Count{Code: 0, Count: 500}) || r.Slowest[0].ErrorID != "e0" || r.Slowest[0].Failure != 1 {
		t.Errorf("%d codes, the first %v; slowest %+v", len(r.Failures), r.Failures[0], r.Slowest[0])
	}
	if _, text, _ := run(log.String(), "-format", `%s %{failure}x %{error_id}x %L %D`, "-"); !strings.Contains(text, "(failure 1, request r0, error e0)") {
		t.Error(text)
	}
}

func TestTheReportIsWrittenToAFileOfTheKindOfItsName(t *testing.T) {
	dir := t.TempDir()
	log := sample(t, full, 1000)
	for name, begin := range map[string]string{"a.html": "<!doctype html>", "a.json": "{\n", "a.txt": "1,000 requests"} {
		file := filepath.Join(dir, name)
		if code, out, errs := run(log, "-format", full, "-o", file, "-"); code != 0 || out+errs != "" {
			t.Fatal(code, out, errs)
		}
		text, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s: %v %.40s", name, err, text)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("%v is left", entries)
	}
	nowhere := filepath.Join(dir, "none", "a.html")
	if code, _, errs := run(log, "-format", full, "-o", nowhere, "-"); code != 2 || !strings.Contains(errs, "no such file or directory") {
		t.Error(code, errs)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.html"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(log, "-format", full, "-o", filepath.Join(dir, "folder.html"), "-"); code != 2 || errs == "" {
		t.Error(code, errs)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 4 {
		t.Errorf("%v is left", entries)
	}
}

func TestWhatIsAskedWronglyIsToldWithExitCode2(t *testing.T) {
	log := sample(t, "common", 1)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "roadworthy report: no log is named: want files, folders, or - for standard input\n"},
		{[]string{"-sort", "size", "-"}, "roadworthy report: -sort size: want one of time, hits, p99 and errors\n"},
		{[]string{"-as", "pdf", "-"}, "roadworthy report: -as pdf: want html, text or json\n"},
		{[]string{"-bad", "-1", "-"}, "roadworthy report: numbers in flags are not below 0, and -routes is 1 at least\n"},
		{[]string{"-routes", "0", "-"}, "roadworthy report: numbers in flags are not below 0, and -routes is 1 at least\n"},
		{[]string{"-zone", "Nowhere", "-"}, "roadworthy report: -zone: unknown time zone Nowhere\n"},
		{[]string{"-from", "noon", "-"}, "roadworthy report: -from noon: want a time such as 2026-11-28, 2026-11-28T15:04, 2026-11-28T15:04:05Z, or 90m for an hour and a half ago\n"},
		{[]string{"-to", "-5m", "-"}, "roadworthy report: -to -5m: want a time such as 2026-11-28, 2026-11-28T15:04, 2026-11-28T15:04:05Z, or 90m for an hour and a half ago\n"},
		{[]string{"-format", "%h", "-"}, "roadworthy report: log format: neither status nor request is in \"%h\": want a LogFormat of httpd, such as combined, or a log_format of nginx\n"},
		{[]string{"-format", "%m %U %s", "-from", "1h", "-"}, "roadworthy report: -from and -to: the format has no time such as %t or $time_local\n"},
		{[]string{"/no/such.log"}, "roadworthy report: stat /no/such.log: no such file or directory\n"},
	} {
		if code, out, errs := run(log, c.args...); code != 2 || out != "" || errs != c.want {
			t.Errorf("%v: %d %s\n%s, want\n%s", c.args, code, out, errs, c.want)
		}
	}
	if code, _, errs := run("", "-nonsense"); code != 2 || !strings.Contains(errs, "flag provided but not defined: -nonsense") {
		t.Error(code, errs)
	}
	if code, out, errs := run("", "-h"); code != 0 || errs != "" || !strings.HasPrefix(out, "usage: roadworthy report [flags] LOG...\n") || !strings.Contains(out, "-clients") {
		t.Error(code, out, errs)
	}
}

func TestNumbersAreShownInThreeDigits(t *testing.T) {
	for us, want := range map[uint64]string{0: "0 µs", 999: "999 µs", 1000: "1.00 ms", 12_345: "12.3 ms", 999_400: "999 ms", 999_600: "1.00 s", 119e6: "119 s", 3600e6: "60.0 min", 36000e6: "10.0 h", 9e12: "2,500 h"} {
		if got := report.Took(us); got != want {
			t.Errorf("%d µs: %s, want %s", us, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 999_600: "1.00 MB", 123_456_789: "123 MB", 5e18: "5.00 EB"} {
		if got := report.Size(n); got != want {
			t.Errorf("%d B: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := report.Number(n); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for part, want := range map[uint64]string{0: "0 %", 1: "< 0.01 %", 10_000: "1.00 %", 123_456: "12.3 %", 1_000_000: "100.0 %"} {
		if got := report.Percent(part, 1_000_000); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for x, want := range map[float64]float64{0: 1, 0.03: 0.05, 1: 1, 1.1: 2, 4: 5, 60: 100, 200: 200} {
		if got := report.NiceAbove(x); math.Abs(got-want) > 1e-9 {
			t.Errorf("above %g: %g, want %g", x, got, want)
		}
	}
}

// What docs/report.md shows is what the command says of such a log.
func TestTheDocumentationShowsWhatHappens(t *testing.T) {
	const file = "../../docs/report.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ := run(sample(t, full, 20_000), "-format", full, "-slowest", "3", "-")
	begin, rest, _ := strings.Cut(string(page), "```text\n")
	shown, end, found := strings.Cut(rest, "```\n")
	if !found || !strings.Contains(begin, "roadworthy report -format '"+full+"' -slowest 3 access.log") {
		t.Fatal("the command or what it says is not shown")
	}
	if *update {
		if err := os.WriteFile(file, []byte(begin+"```text\n"+out+"```\n"+end), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shown != out {
		t.Errorf("shown is\n%s\nand it says\n%s", shown, out)
	}
}
