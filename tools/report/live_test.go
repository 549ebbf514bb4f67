package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/tools/report"
)

// live is a folder of segments with 10 lines each.
type live struct {
	t     *testing.T
	dir   string
	names []string // without suffixes
}

func newLive(t *testing.T, segments int) *live {
	t.Helper()
	l := &live{t: t, dir: t.TempDir()}
	text := sample(t, full, 10)
	for i := range segments {
		name := logfile.Name{Stream: "access", Begun: start.Add(time.Duration(i) * time.Second), Generation: 1, PID: 4711, Number: i + 1}
		l.names = append(l.names, filepath.Join(l.dir, name.String()))
		if err := os.WriteFile(l.names[i]+".log", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// pack does with a segment what a collector does.
func (l *live) pack(i int) {
	l.t.Helper()
	text, err := os.ReadFile(l.names[i] + ".log")
	if err != nil {
		l.t.Error(err)
	}
	f, err := os.Create(l.names[i] + ".log.gz")
	if err != nil {
		l.t.Error(err)
		return
	}
	w := gzip.NewWriter(f)
	_, err = w.Write(text)
	if err := errors.Join(err, w.Close(), f.Close(), os.Remove(l.names[i]+".log")); err != nil {
		l.t.Error(err)
	}
}

// report is that of the names with standard input before them. Between is called when the names are
// known and none was read.
func (l *live) report(between func(), names ...string) (code int, r report.Report, errs string) {
	l.t.Helper()
	var stdout, stderr strings.Builder
	stdin := io.MultiReader(hook(between), strings.NewReader(""))
	code = report.Run(append([]string{"-as", "json", "-format", full, "-"}, names...), stdin, &stdout, &stderr, start)
	if stdout.Len() > 0 {
		if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
			l.t.Error(err)
		}
	}
	return code, r, stderr.String()
}

// hook is a reader that is called once and has nothing.
type hook func()

func (h hook) Read([]byte) (int, error) { h(); return 0, io.EOF }

func TestALogThatIsPackedBeforeItsTurnIsReadAsItIsThen(t *testing.T) {
	l := newLive(t, 3)
	code, r, errs := l.report(func() { l.pack(1) }, l.dir)
	if code != 0 || errs != "" || r.Hits != 30 || len(r.Files) != 4 {
		t.Fatalf("%d, %s, %d hits of %+v", code, errs, r.Hits, r.Files)
	}
	if f := r.Files[2]; f.Name != l.names[1]+".log.gz" || f.Lines != 10 {
		t.Errorf("%+v", f)
	}
	// The same with names as a shell may have found them, before and in the middle of it.
	code, r, errs = l.report(func() { l.pack(0) }, l.names[0]+".log", l.names[1]+".log", l.names[1]+".log.gz", l.names[2]+".log")
	if code != 0 || errs != "" || r.Hits != 30 {
		t.Errorf("%d, %s, %d hits of %+v", code, errs, r.Hits, r.Files)
	}
}

func TestALogThatIsPackedWhileItIsReadIsReadOnce(t *testing.T) {
	l := newLive(t, 1)
	f, err := report.Open(l.names[0] + ".log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l.pack(0)
	names := []string{l.names[0] + ".log", l.names[0] + ".log.gz"}
	if got, err := report.Expand(names); err != nil || !slices.Equal(got, names[:1]) {
		t.Errorf("both names are %v, %v, want one of them", got, err)
	}
	lines := 0
	if _, err := report.Lines(f, func([]byte, error) { lines++ }); err != nil || lines != 10 {
		t.Errorf("%d lines, %v", lines, err)
	}
}

func TestALogThatIsRemovedBeforeItsTurnIsToldOfAndTheOthersAreRead(t *testing.T) {
	l := newLive(t, 2)
	remove := func(i int) {
		if err := os.Remove(l.names[i] + ".log"); err != nil {
			t.Error(err)
		}
	}
	code, r, errs := l.report(func() { remove(0) }, l.dir)
	want := "roadworthy report: " + l.names[0] + ".log was not read: it was removed before it was read\n"
	if code != 1 || errs != want || r.Hits != 10 || len(r.Files) != 3 || r.Files[1].Damage == "" {
		t.Errorf("%d, %s, %d hits of %+v", code, errs, r.Hits, r.Files)
	}
	// Of nothing at all there is no report.
	code, _, errs = run("", "-format", full, l.names[0]+".log")
	if code != 2 || !strings.Contains(errs, "no such file") {
		t.Errorf("%d, %s", code, errs)
	}
	if err := os.Symlink("loop.log", l.dir+"/loop.log"); err != nil {
		t.Fatal(err)
	}
	code, r, errs = l.report(func() {
		if err := errors.Join(os.Remove(l.names[1]+".log"), os.Symlink("loop.log", l.names[1]+".log")); err != nil {
			t.Error(err)
		}
	}, l.dir)
	if code != 1 || !strings.Contains(errs, l.names[1]+".log was not read: open ") || len(r.Files) != 2 {
		t.Errorf("with a log that cannot be opened: %d, %s, %+v", code, errs, r.Files)
	}
}

func TestAReportOfALiveFolderHasEveryLineOnceWhateverTheCollectorDoes(t *testing.T) {
	const segments = 120 // more than one reading of a folder yields
	l := newLive(t, segments)
	c, err := logfile.NewCollector(logfile.CollectorOptions{Dir: l.dir, Keep: 1000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	collected := make(chan error, 1)
	go func() { collected <- c.Collect(context.Background()) }()
	for n, over := 0, false; ; n++ {
		code, r, errs := l.report(func() {}, l.dir)
		if code != 0 || errs != "" || r.Hits != 10*segments || len(r.Files) != segments+1 {
			t.Fatalf("report %d: %d, %s, %d hits of %d files", n, code, errs, r.Hits, len(r.Files))
		}
		if over {
			if last := r.Files[segments].Name; !strings.HasSuffix(last, ".log.gz") {
				t.Errorf("the collector did nothing: %s", last)
			}
			return
		}
		select {
		case err := <-collected:
			if err != nil {
				t.Fatal(err)
			}
			over = true
		default:
		}
	}
}
