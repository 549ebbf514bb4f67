package chassis_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// reporting are options by which reports of failures are written to dir, at a time of c.
func reporting(o options, dir string, c clock.Clock) options {
	before := o.world
	o.world = func(w *chassis.World) {
		if w.Clock = c; before != nil {
			before(w)
		}
	}
	o.settings = func(s *chassis.Settings) { s.Errors.Dir = dir }
	return o
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths
}

func TestTheReportOfADayIsWrittenAtItsEndByOneOfTwoWorkers(t *testing.T) {
	dir, c := t.TempDir(), clock.NewVirtual(time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC))
	before, after := supervise(), supervise()
	old := failing(t, reporting(before.options(), dir, c))
	old.get("/store/1")
	snapshot, err := before.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	after.others = []reload.Snapshot{{Worker: 1, Data: snapshot}}
	young := failing(t, reporting(after.options(), dir, c))
	young.get("/slow")
	snapshot, err = after.counter.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	before.others = []reload.Snapshot{{Worker: 2, Data: snapshot}}
	c.Advance(time.Hour)
	if got := files(t, dir); len(got) != 2 || got[0] != "test-errors-2026-03-01.json" {
		t.Fatalf("files %v", got)
	}
	if n := len(old.logged("the report of failures is written")) + len(young.logged("the report of failures is written")); n != 1 {
		t.Errorf("written %d times", n)
	}
	text, err := os.ReadFile(filepath.Join(dir, "test-errors-2026-03-01.txt"))
	if err != nil || !strings.Contains(string(text), "New errors\n       1  test 1201") || !strings.Contains(string(text), "Time-outs\n       1  chassis 504") {
		t.Errorf("%v\n%s", err, text)
	}
	c.Advance(24 * time.Hour)
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("a day without failures has a report: %v", got)
	}
	young.get("/store/1")
	c.Advance(24 * time.Hour)
	text, err = os.ReadFile(filepath.Join(dir, "test-errors-2026-03-03.txt"))
	if err != nil || strings.Contains(string(text), "New errors") || !strings.Contains(string(text), "Known errors\n       1  test 1201") {
		t.Errorf("%v\n%s", err, text)
	}
	before.orders <- reload.Order{}
	receive(t, old.Done(), "the end")
	if got := files(t, dir); len(got) != 4 {
		t.Errorf("a worker that was replaced has written: %v", got)
	}
}

func TestTheReportOfTodayIsThereOnDemandAndAtTheEnd(t *testing.T) {
	dir, c := t.TempDir(), clock.NewVirtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	h := failing(t, reporting(options{}, dir, c))
	if a := h.admin("/errors/today"); !strings.HasSuffix(a.body, "None.\n") {
		t.Errorf("before the first: %s", a.body)
	}
	req, err := http.NewRequest("POST", h.url("admin", "/errors/today"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := h.do(req); a.StatusCode != 200 || !strings.HasSuffix(a.body, "None.\n") || len(files(t, dir)) != 0 {
		t.Errorf("written before the first: %d %s, files %v", a.StatusCode, a.body, files(t, dir))
	}
	h.get("/store/1")
	if a := h.admin("/errors/today"); !strings.Contains(a.body, "1  test 1201") || len(files(t, dir)) != 0 {
		t.Errorf("%s, files %v", a.body, files(t, dir))
	}
	if a := h.do(req); a.StatusCode != 200 || !strings.Contains(a.body, "1  test 1201") {
		t.Errorf("written: %d %s", a.StatusCode, a.body)
	}
	if a := h.do(req); a.StatusCode != 409 || !strings.Contains(a.body, "there is a report of this second already") {
		t.Errorf("written twice in a second: %d %s", a.StatusCode, a.body)
	}
	c.Advance(time.Minute)
	h.stop()
	if got := strings.Join(files(t, dir), " "); got != "test-errors-2026-03-01-120000.json test-errors-2026-03-01-120000.txt test-errors-2026-03-01-120100.json test-errors-2026-03-01-120100.txt" {
		t.Errorf("files %s", got)
	}
	c.Advance(48 * time.Hour)
	if got := files(t, dir); len(got) != 4 {
		t.Errorf("written after the end: %v", got)
	}
}

func TestAReportThatCannotBeWrittenIsToldOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	h := failing(t, reporting(options{}, file, clock.Real()))
	if err := errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o600)); err != nil { // where the directory was
		t.Fatal(err)
	}
	h.get("/store/1")
	if a := h.admin("/errors/today"); !strings.Contains(a.body, "1  test 1201") {
		t.Errorf("%s", a.body)
	}
	post, err := http.NewRequest("POST", h.url("admin", "/errors/today"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := h.do(post); a.StatusCode != 500 || !strings.Contains(a.body, "the report is not written: ") || !strings.Contains(a.body, file) {
		t.Errorf("asked for: %d %s", a.StatusCode, a.body)
	}
	h.stop()
	if n := len(h.logged("the report of failures is not whole")); n != 3 {
		t.Errorf("%d lines", n)
	}
	if _, err := try(t, options{settings: func(s *chassis.Settings) { s.Errors.Keep = -1 }}, serve(routes(nil))); err == nil || !strings.Contains(err.Error(), `"errors.keep": want 1 or more, got -1`) {
		t.Errorf("none kept: %v", err)
	}
	none := failing(t, options{})
	req, err := http.NewRequest("POST", none.url("admin", "/errors/today"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := none.do(req); a.StatusCode != 409 || !strings.Contains(a.body, "errors.dir") {
		t.Errorf("without a directory: %d %s", a.StatusCode, a.body)
	}
}

func TestAReportThatIsNotWholeIsNoSuccess(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test-errors-2020-01-01.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := failing(t, reporting(options{}, dir, clock.Real()))
	h.get("/store/1")
	req, err := http.NewRequest("POST", h.url("admin", "/errors/today"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := h.do(req); a.StatusCode != 500 || !strings.Contains(a.body, "the report is written, but not all is well: ") || !strings.Contains(a.body, "2020-01-01.json") || len(files(t, dir)) != 3 {
		t.Errorf("%d %s, files %v", a.StatusCode, a.body, files(t, dir))
	}
}
