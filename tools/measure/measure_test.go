package measure_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/measure"
)

var ready = regexp.MustCompile(`"msg":"listening","listener":"http".*"addr":"([^"]+)"`)

// hello builds the smallest service and returns how to start it.
func hello(t *testing.T) measure.Program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hellod")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/seed-754044b3/roadworthy/examples/hello").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return measure.Program{Args: []string{binary, "-http.addr", "127.0.0.1:0"}, Ready: ready, Path: "/hello/ann"}
}

func TestAProgramIsTimedFromItsStartToItsAnswer(t *testing.T) {
	begin := time.Now()
	r, err := measure.Start(t.Context(), hello(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Ready <= 0 || r.Answered <= r.Ready || r.Answered > time.Since(begin) {
		t.Errorf("ready after %v, answered after %v", r.Ready, r.Answered)
	}
	rss, err := r.RSS()
	if err != nil || rss < 1<<20 || rss > 1<<30 {
		t.Errorf("holds %d bytes, %v", rss, err)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := r.RSS(); err == nil {
		t.Error("a stopped program still holds memory")
	}
}

func TestProgramsThatDoNotAnswerAreErrors(t *testing.T) {
	p := hello(t)
	for name, c := range map[string]struct {
		change func(*measure.Program)
		want   string
	}{
		"is not there":          {func(p *measure.Program) { p.Args = []string{"/nonexistent"} }, "start /nonexistent"},
		"ends at once":          {func(p *measure.Program) { p.Args = append(p.Args, "-version") }, "ended before it told its address"},
		"answers with a 404":    {func(p *measure.Program) { p.Path = "/nope" }, "404"},
		"asks for a broken URL": {func(p *measure.Program) { p.Path = "/%zz" }, "invalid URL escape"},
	} {
		t.Run(name, func(t *testing.T) {
			p := p
			c.change(&p)
			if _, err := measure.Start(t.Context(), p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent := measure.Program{Args: []string{"sleep", "60"}, Ready: ready}
	if _, err := measure.Start(ctx, silent); !errors.Is(err, context.Canceled) {
		t.Errorf("a silent program: %v", err)
	}
}

func TestTheMedianIsTheMiddle(t *testing.T) {
	if m := measure.Median([]int64{9, 1, 5}); m != 5 {
		t.Errorf("got %d", m)
	}
	if m := measure.Median([]time.Duration{4, 1, 2, 3}); m != 3 {
		t.Errorf("got %d", m)
	}
}
