package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// daemonVariable has the test binary be lossd instead.
const daemonVariable = "LOSSBENCH_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(daemonVariable) != "" {
		chassis.Main(target.Spec)
	}
	os.Exit(m.Run())
}

// lossd is the command for -target.
func lossd() string {
	return "/usr/bin/env GORACE=atexit_sleep_ms=0 " + daemonVariable + "=1 " + os.Args[0] + " -access_log.path=off"
}

func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = run(t.Context(), args, &out, &errors)
	return code, out.String(), errors.String()
}

func TestARunWithoutReloadsLosesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	code, out, errors := bench(t, "-target", lossd(), "-reloads", "0", "-warmup", "500ms", "-json", file, "-rate", "600")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, out, errors)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r lossbench.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	// All protocols but those that ask what the flags name.
	if len(r.Results) != len(lossbench.Protocols())-2 || r.Failed() != 0 || r.Requests() < 50 {
		t.Errorf("%d protocols, %d of %d failed", len(r.Results), r.Failed(), r.Requests())
	}
	for _, p := range r.Results {
		if !strings.Contains(out, p.Protocol) {
			t.Errorf("no line for %s in:\n%s", p.Protocol, out)
		}
	}
}

func TestALossIsAnErrorUnlessItIsExpected(t *testing.T) {
	args := []string{"-target", lossd(), "-reload", "restart", "-reloads", "1", "-warmup", "100ms", "-protocols", "h1,h1-fresh"}
	code, out, errors := bench(t, args...)
	if code != 1 || !strings.Contains(errors, "requests failed") || !strings.Contains(out, "reloads: 1 of 1 done") {
		t.Errorf("exit code %d:\n%s%s", code, out, errors)
	}
	code, out, errors = bench(t, append(args, "-expect-zero=false")...)
	if code != 0 || errors != "" || !strings.Contains(out, "dial: refused") {
		t.Errorf("exit code %d:\n%s%s", code, out, errors)
	}
}

func TestAnyServiceIsAskedByURLAndHealthCheck(t *testing.T) {
	addrs, err := port.Addrs(2)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errors := bench(t, "-target", lossd()+" -http.addr="+addrs[0]+" -grpc.addr="+addrs[1], "-listen", "", "-reloads", "0",
		"-url", "http://"+addrs[0]+"/work?ms=0", "-health", addrs[1], "-probe", "http://"+addrs[0]+"/work", "-warmup", "300ms")
	if code != 0 || !strings.Contains(out, "get") || !strings.Contains(out, "health") {
		t.Errorf("exit code %d:\n%s%s", code, out, errors)
	}
}

func TestWhatACommandPrintedIsShownWhenItDoesNotServe(t *testing.T) {
	code, _, errors := bench(t, "-target", lossd()+" -fault=panic")
	if code != 1 || !strings.Contains(errors, "has ended; it printed last:") || !strings.Contains(errors, "fault: panic in Setup") {
		t.Errorf("exit code %d: %s", code, errors)
	}
	output := filepath.Join(t.TempDir(), "output")
	code, _, errors = bench(t, "-target", "sh -c exit", "-output", output)
	if code != 1 || strings.Contains(errors, "printed") {
		t.Errorf("a silent command: exit code %d: %s", code, errors)
	}
	if _, err := os.Stat(output); err != nil {
		t.Error(err)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		code int
		want string
		args []string
	}{
		"help":                {0, "usage: lossbench -target", []string{"-h"}},
		"an unknown flag":     {2, "not defined", []string{"-x"}},
		"no target":           {2, "want -target", nil},
		"an argument":         {2, "no arguments", []string{"-target", "true", "more"}},
		"an unknown listener": {1, `got "smtp"`, []string{"-target", "true", "-listen", "smtp"}},
		"an unknown mode":     {1, "unknown mode", []string{"-target", "true", "-reload", "x"}},
		"a mode with a file":  {1, "true has ended", []string{"-target", "true", "-reload", "tableflip"}},
		"an unknown protocol": {1, `unknown protocol "h3"`, []string{"-target", lossd(), "-protocols", "h3"}},
		"no place for output": {1, "no such file", []string{"-target", "true", "-output", filepath.Join(dir, "absent", "output")}},
		"no place for JSON":   {1, "no such file", []string{"-target", lossd(), "-reloads", "0", "-warmup", "1ms", "-protocols", "h1", "-json", filepath.Join(dir, "absent", "report")}},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, errors := bench(t, c.args...); code != c.code || !strings.Contains(errors, c.want) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errors)
			}
		})
	}
}
