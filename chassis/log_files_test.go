//go:build unix

package chassis_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

func TestLogFileSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, change := range map[string]func(*chassis.LogFilesConfig){
		"": func(*chassis.LogFilesConfig) {},
		"rotate_size: want 64KiB or more, got 1KiB":                func(c *chassis.LogFilesConfig) { c.RotateSize = keys.KiB },
		"budget: want twice of rotate_size or more (128MiB), got ": func(c *chassis.LogFilesConfig) { c.Budget = 100 * keys.MiB },
		"rotate_every: want 1s or more, got 1ms":                   func(c *chassis.LogFilesConfig) { c.RotateEvery = time.Millisecond },
		"collect_every: want 100ms or more, got 1ms":               func(c *chassis.LogFilesConfig) { c.CollectEvery = time.Millisecond },
		"linger: want 0 or more, got -1s":                          func(c *chassis.LogFilesConfig) { c.Linger = -time.Second },
		"keep: want more than 0, got -1s":                          func(c *chassis.LogFilesConfig) { c.Keep = -time.Second },
		"prefix: want a slash-separated path ":                     func(c *chassis.LogFilesConfig) { c.Prefix = "../x" },
	} {
		var c chassis.LogFilesConfig
		c.SetDefaults()
		change(&c)
		if got := errorText(c.Validate()); got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
}

// logged has the settings name directories of segments for both logs.
func logged(dir string) func(*chassis.Settings) {
	return func(s *chassis.Settings) {
		s.AccessLog.Path, s.AccessLog.Format, s.AccessLog.FlushEvery = dir+"/", "%U", time.Millisecond
		s.Log.Path = dir + "/"
		s.Log.Files.CollectEvery, s.Log.Files.RotateEvery = 100*time.Millisecond, time.Second
	}
}

// linesIn are those of a log in a bucket or a directory, in order.
func linesIn(t *testing.T, dir, stream string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compressed meanwhile
		}
		if err != nil || !strings.HasPrefix(d.Name(), stream+"-") {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		text, err := io.ReadAll(r)
		for line := range strings.Lines(string(text)) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLogsInADirectoryOfSegmentsAreShippedToTheLastLine(t *testing.T) {
	dir, bucket := t.TempDir()+"/log", t.TempDir()
	h := start(t, options{
		settings: logged(dir),
		world:    func(w *chassis.World) { w.Log = nil },
	}, func(ctx context.Context, s *chassis.Service, c conf) error {
		s.ShipLogs(logfile.NewDir(bucket))
		return serve(routes(map[string]chassis.Handler{"GET /{n}": say("hi")}))(ctx, s, c)
	})
	for i := range 3 {
		if a := h.get(fmt.Sprintf("/%d", i)); a.StatusCode != http.StatusOK {
			t.Fatal(a.StatusCode)
		}
	}
	for _, link := range []string{"access.log", "app.log"} {
		eventually(t, func() bool { text, err := os.ReadFile(filepath.Join(dir, link)); return err == nil && len(text) > 0 }, "%s leads to what is written", link)
	}
	eventually(t, func() bool { return len(linesIn(t, bucket, "access")) == 3 }, "lines in the bucket while the service runs")
	eventually(t, func() bool {
		n, _ := h.metric("log_lines_total", "stream", "access", "fate", "uploaded")
		return n == 3
	}, "lines counted as uploaded")
	if v, ok := h.metric("log_disk_bytes"); !ok || v == 0 {
		t.Errorf("%v bytes on the disk", v)
	}
	page := h.admin("/status?format=json").body
	for _, part := range []string{`"title":"Log segments"`, `"title":"Log collection"`, `"this process"`} {
		if !strings.Contains(page, part) {
			t.Errorf("the status has no %s: %s", part, page)
		}
	}
	h.get("/last")
	h.stop()
	if got := strings.Join(linesIn(t, bucket, "access"), " "); got != "/0 /1 /2 /last" {
		t.Errorf("access lines in the bucket: %s", got)
	}
	app := linesIn(t, bucket, "app")
	if len(app) < 3 || !strings.Contains(app[len(app)-1], `"msg":"closed"`) {
		t.Errorf("the log in the bucket: %q", app)
	}
	if rest, err := filepath.Glob(dir + "/*-*.log"); err != nil || len(rest) != 0 {
		t.Errorf("segments are left: %q, %v", rest, err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bucket, "test", host, "access")); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeUploadedWaitsForTheNextStart(t *testing.T) {
	dir, bucket := t.TempDir()+"/log", t.TempDir()+"/bucket"
	if err := os.WriteFile(bucket, nil, 0o600); err != nil { // which is no directory
		t.Fatal(err)
	}
	run := func(path string, wantLog string) {
		var stderr buffer
		h := start(t, options{settings: logged(dir), world: func(w *chassis.World) { w.Log, w.Stderr = nil, &stderr }}, func(ctx context.Context, s *chassis.Service, c conf) error {
			s.ShipLogs(logfile.NewDir(bucket))
			return serve(routes(map[string]chassis.Handler{"GET /{n}": say("hi")}))(ctx, s, c)
		})
		h.get(path)
		eventually(t, func() bool {
			text := strings.Join(linesIn(t, dir, "app"), "\n") + strings.Join(linesIn(t, bucket, "app"), "\n")
			return strings.Contains(text, wantLog)
		}, "the log says %q", wantLog)
		h.stop()
		if text := stderr.String(); strings.Contains(text, "log segments wait for the next start: ") != (wantLog == "log segments wait") {
			t.Errorf("stderr: %s", text)
		}
	}
	run("/one", "log segments wait")
	if err := os.Remove(bucket); err != nil {
		t.Fatal(err)
	}
	run("/two", "ready")
	if got := strings.Join(linesIn(t, bucket, "access"), " "); got != "/one /two" {
		t.Errorf("lines in the bucket: %s", got)
	}
}

func TestAWorkerThatIsReplacedLeavesItsSegmentsToTheNext(t *testing.T) {
	dir, bucket := t.TempDir()+"/log", t.TempDir()
	host := supervise()
	o := options{settings: logged(dir), world: func(w *chassis.World) { *w = chassis.Hosted(*w, host) }}
	ship := func(ctx context.Context, s *chassis.Service, c conf) error {
		s.ShipLogs(logfile.NewDir(bucket))
		return serve(routes(map[string]chassis.Handler{"GET /{n}": say("hi")}))(ctx, s, c)
	}
	old := start(t, o, ship)
	next := supervise()
	next.worker = 3
	o.world = func(w *chassis.World) { *w = chassis.Hosted(*w, next) }
	h := start(t, o, ship)
	link := func() string { target, _ := os.Readlink(dir + "/access.log"); return target }
	name, err := logfile.ParseName(link())
	if err != nil || name.Generation != 3 {
		t.Errorf("the link leads to %s, %v", link(), err)
	}
	old.get("/old")
	host.orders <- reload.Order{}
	<-old.Done()
	eventually(t, func() bool { return strings.Contains(strings.Join(linesIn(t, bucket, "access"), " "), "/old") }, "the next worker uploads what the one before has written")
	h.get("/new")
	next.orders <- reload.Order{Stop: true}
	<-h.Done()
	if got := strings.Join(linesIn(t, bucket, "access"), " "); got != "/old /new" {
		t.Errorf("lines in the bucket: %s", got)
	}
}

func TestPathsOfLogsThatCannotBeAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*chassis.Settings){
		"log.path: open the log: open ":                                              func(s *chassis.Settings) { s.Log.Path = file + "/x" },
		"errors.dir: reports of failures: mkdir ":                                    func(s *chassis.Settings) { s.Errors.Dir = file + "/x" },
		"log.path: open the log: lstat ":                                             func(s *chassis.Settings) { s.Log.Path = file + "/" },
		"access_log.path: open the access log: /tmp is another directory of segment": func(s *chassis.Settings) { s.Log.Path, s.AccessLog.Path = t.TempDir()+"/", "/tmp/" },
		"access_log.path: open the access log: directory of the log access: ":        func(s *chassis.Settings) { s.AccessLog.Path = file + "/x/" },
	} {
		_, err := try(t, options{settings: change, world: func(w *chassis.World) { w.Log = nil }}, serve(routes(nil)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestTheLogMayBeAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	h := start(t, options{settings: func(s *chassis.Settings) { s.Log.Path = path }, world: func(w *chassis.World) { w.Log = nil }}, serve(routes(nil)))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	h.stop()
	if before, after := readFile(t, path+".1"), readFile(t, path); !strings.Contains(before, `"msg":"ready"`) || !strings.Contains(after, `"msg":"closed"`) {
		t.Errorf("%s and after it was renamed %s", before, after)
	}
	if _, err := os.Stat(filepath.Dir(path) + "/manifest.jsonl"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody collects: %v", err)
	}
}
