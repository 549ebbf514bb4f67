package chassis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// logging starts a service that writes its own log, and returns what it wrote until it ended.
func logging(t *testing.T, cfg chassis.LogConfig, f func(s *chassis.Service)) string {
	t.Helper()
	var out buffer
	spec := chassis.Spec[conf]{Name: "test", Setup: func(_ context.Context, s *chassis.Service, _ conf) error {
		f(s)
		return nil
	}}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *conf) { s.Admin.Addr, s.Log = "off", cfg },
		chassis.World{Stderr: &out, Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheLogIsJSONUnlessSomebodyLooks(t *testing.T) {
	f := func(s *chassis.Service) { s.Log(context.Background()).Warn("hello", zap.Int("n", 7)) }
	for format, json := range map[string]bool{"json": true, "auto": true, "": true, "console": false} {
		line, _, _ := strings.Cut(logging(t, chassis.LogConfig{Format: format}, f), "\n")
		if !json {
			if !strings.HasSuffix(line, "WARN\ttest\thello\t{\"n\": 7}") {
				t.Errorf("%q: %s", format, line)
			}
			continue
		}
		v := parse[map[string]any](t, line)
		if v["level"] != "warn" || v["logger"] != "test" || v["msg"] != "hello" || v["n"] != 7.0 || !strings.Contains(v["time"].(string), "T") {
			t.Errorf("%q: %s", format, line)
		}
	}
}

func TestOnATerminalTheLogIsForPeople(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		need.Missing(t, "no pseudo terminal: mount devpts to run this test: %v", err)
	}
	defer terminal.Close()
	spec := chassis.Spec[conf]{Name: "test", Setup: func(context.Context, *chassis.Service, conf) error { return nil }}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *conf) { s.Admin.Addr = "off" },
		chassis.World{Stderr: terminal, Stdout: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(terminal).ReadString('\n'); !strings.Contains(line, "INFO") || strings.Contains(line, "{\"level\"") {
		t.Errorf("the terminal shows %q, %v", line, err)
	}
}

func TestEachLoggerMayHaveALevelOfItsOwn(t *testing.T) {
	text := logging(t, chassis.LogConfig{Level: "warn", Levels: map[string]string{"journal": "debug", "http": "error"}}, func(s *chassis.Service) {
		log := s.Log(context.Background())
		for _, name := range []string{"", "journal", "http", "other"} {
			l := log.With(zap.Bool("with", true))
			if name != "" {
				l = l.Named(name)
			}
			l.Debug("debug of " + name)
			l.Warn("warn of " + name)
			l.Error("error of " + name)
		}
		log.Named("journal").Named("part").Debug("debug of journal.part")
	})
	for line, want := range map[string]bool{
		"debug of \"": false, "warn of \"": true, "debug of journal\"": true, "warn of http\"": false, "error of http\"": true,
		"debug of other\"": false, "warn of other\"": true, "debug of journal.part\"": false, `"ready"`: false,
	} {
		if strings.Contains(text, line) != want {
			t.Errorf("%s is there: %v; want %v in\n%s", line, !want, want, text)
		}
	}
}

func TestRepeatedLinesAreSampled(t *testing.T) {
	text := logging(t, chassis.LogConfig{}, func(s *chassis.Service) {
		for range 1000 {
			s.Log(context.Background()).Info("again")
		}
	})
	if n := strings.Count(text, `"again"`); n < 100 || n > 250 {
		t.Errorf("%d of 1000 lines", n)
	}
}

func TestLinesOfARequestCarryItsIDAndTrace(t *testing.T) {
	var s *chassis.Service
	h := start(t, options{}, func(_ context.Context, svc *chassis.Service, c conf) error {
		s = svc
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{"GET /": func(_ http.ResponseWriter, r *http.Request) error {
			ctx := r.Context()
			s.Log(ctx).Info("by zap")
			s.Slog(ctx).Info("by slog")
			s.Slog(context.Background()).InfoContext(ctx, "by slog with a context")
			s.Slog(context.Background()).With("a", 1).WithGroup("g").InfoContext(ctx, "by slog with more", "b", 2)
			s.Slog(context.Background()).Info("by slog without")
			s.Slog(context.Background()).Error("by slog, badly")
			return nil
		}}))
	})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	id := h.get("/", "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01").Header.Get("X-Request-Id")
	for _, message := range []string{"by zap", "by slog", "by slog with a context"} {
		if lines := h.logged(message); len(lines) != 1 || lines[0]["request_id"] != id || lines[0]["trace_id"] != trace || lines[0]["logger"] != "test" {
			t.Errorf("%s: %v", message, lines)
		}
	}
	lines := h.logged("by slog with more")
	if len(lines) != 1 || lines[0]["a"] != int64(1) {
		t.Fatalf("logged %v", lines)
	}
	if g := lines[0]["g"].(map[string]any); g["b"] != int64(2) || g["request_id"] != id {
		t.Errorf("logged %v", lines)
	}
	if lines := h.logged("by slog without"); len(lines) != 1 || lines[0]["request_id"] != nil {
		t.Errorf("logged %v", lines)
	}
	for _, e := range h.logs.FilterMessage("by slog, badly").All() {
		if e.Stack != "" {
			t.Error("an error by slog has a stack")
		}
	}
}

func TestTheSlogBridgeKeepsLevels(t *testing.T) {
	text := logging(t, chassis.LogConfig{Level: "warn", Format: "json"}, func(s *chassis.Service) {
		log := s.Slog(context.Background())
		if log.Enabled(context.Background(), slog.LevelInfo) {
			t.Error("info is enabled")
		}
		log.Info("quiet")
		log.Warn("loud", "n", 1)
	})
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil || v["msg"] != "loud" || v["n"] != 1.0 || v["level"] != "warn" || v["logger"] != "test" {
		t.Errorf("%v in %s", err, text)
	}
}
