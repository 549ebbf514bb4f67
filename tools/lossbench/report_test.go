package lossbench_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

var update = flag.Bool("update", false, "write the golden files")

// report has something of everything.
func report() *lossbench.Report {
	return &lossbench.Report{
		Target: []string{"lossd", "-http.addr=127.0.0.1:8080"}, Mode: lossbench.Signal, Delay: 2, Took: 20_000, Fault: "panic",
		Reloads: lossbench.Reloads{Asked: 20, Done: 19, Refused: 2, Unfinished: 1, Failure: "reload 20: no new worker answers within 10s; the old one is 4711",
			Ready: lossbench.Latency{Count: 19, P50: 8.123, P99: 17.5, Max: 17.5}, Drain: lossbench.Latency{Count: 18, P50: 1300.4, P99: 3001, Max: 3001}},
		Results: []lossbench.Result{
			{Protocol: "h1", Requests: 8000, Failed: 12, Causes: map[string]int64{"reused: reset": 3, "reused: EOF": 8, "dial: refused": 1}, Connections: 320, SeenClose: 7,
				Quiet:  lossbench.Latency{Count: 4000, P50: 5.25, P99: 306.1, Max: 311},
				Reload: lossbench.Latency{Count: 3988, P50: 5.5, P99: 309, Max: 400}},
			{Protocol: "sse", Requests: 84, Causes: map[string]int64{}, Connections: 84, Reopens: 80,
				Reload: lossbench.Latency{Count: 84, P50: 4.5, P99: 6, Max: 6}},
		},
		Leaks: &lossbench.Leaks{FilesBefore: 12, FilesAfter: 13, ZombiesAfter: 1},
	}
}

func TestTheReportForPeopleAndForProgramsIsAsItWas(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{"report.txt": report().WriteTable, "report.json": report().WriteJSON} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is (-update writes it):\n%s", name, got.String())
		}
	}
}

func TestARunIsCleanWhenNothingIsWrong(t *testing.T) {
	clean := func() *lossbench.Report {
		r := report()
		r.Reloads.Done, r.Reloads.Failure, r.Reloads.Unfinished = 20, "", 0
		r.Results[0].Failed = 0
		r.Leaks = nil
		return r
	}
	if err := clean().Clean(); err != nil {
		t.Errorf("Clean: %v", err)
	}
	for want, spoil := range map[string]func(*lossbench.Report){
		"19 of 20 reloads done: no":          func(r *lossbench.Report) { r.Reloads.Done, r.Reloads.Failure = 19, "no" },
		"3 of 8084 requests failed":          func(r *lossbench.Report) { r.Results[1].Failed = 3 },
		"2 old processes did not end":        func(r *lossbench.Report) { r.Reloads.Unfinished = 2 },
		"leaks: 12 → 13 open files, 0 → 1 z": func(r *lossbench.Report) { r.Leaks = report().Leaks },
	} {
		r := clean()
		spoil(r)
		if err := r.Clean(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Clean: %v, want %q", err, want)
		}
	}
}

// full fails to take anything after the first n bytes.
type full struct{ n int }

var errFull = errors.New("full")

func (f *full) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestATableThatCannotBeWrittenIsAnError(t *testing.T) {
	var all bytes.Buffer
	if err := report().WriteTable(&all); err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 100, all.Len() - 1} {
		if err := report().WriteTable(&full{room}); !errors.Is(err, errFull) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
}
