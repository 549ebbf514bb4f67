package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/target"
)

// TestMain has the test binary be the server where it is called by the server's name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "overloadd" {
		chassis.Main(target.Spec)
	}
	os.Exit(m.Run())
}

func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = run(t.Context(), args, &out, &errors)
	return code, out.String(), errors.String()
}

// programs is a directory with the server in it.
func programs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "overloadd")); err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestARunPrintsATableAndKeepsItsResults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	bin := programs(t)
	t.Chdir(filepath.Dir(bin))
	// At 0.5 there is no gate that a busy machine could miss.
	code, out, errors := bench(t, "-bin", filepath.Base(bin), "-servers", "ours", "-clients", "none", "-protocols", "http", "-loads", "0.5", "-before", "10ms", "-overload", "300ms", "-json", file)
	if code != 0 || strings.Count(out, "\n") != 3 || !strings.Contains(out, "| http | ours | none | 0.5× |") || !strings.Contains(errors, "goodput 0.") {
		t.Fatalf("exit code %d:\n%s%s", code, out, errors)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []overloadbench.Result
	if err := json.Unmarshal(text, &results); err != nil || len(results) != 1 || results[0].Goodput < 0.1 {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestAGateThatIsMissedFailsTheCommand(t *testing.T) {
	// The pool is said to do 2000 a second, which timers of half a millisecond and two processors do not give.
	code, _, errors := bench(t, "-bin", programs(t), "-servers", "ours", "-clients", "none", "-protocols", "http", "-loads", "2",
		"-workers", "1", "-mean", "500us", "-deadline", "1ms", "-before", "10ms", "-overload", "300ms")
	if code != 1 || !strings.Contains(errors, "overloadbench: ours over http, client none, load 2: goodput is ") {
		t.Errorf("exit code %d: %s", code, errors)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		code int
		want string
		args []string
	}{
		"help":              {0, "usage: overloadbench [flags]", []string{"-h"}},
		"an unknown flag":   {2, "not defined", []string{"-x"}},
		"an argument":       {2, "no arguments", []string{"more"}},
		"an unknown server": {2, `no server "iis": want one of ours; unbounded; failsafe-go; go-zero; go-zero, eager`, []string{"-servers", "iis"}},
		"a load in words":   {2, "-loads: ", []string{"-loads", "much"}},
		"no programs":       {1, "no such file", []string{"-bin", "absent"}},
		"no place for JSON": {1, "no such file", []string{"-bin", programs(t), "-servers", "ours", "-clients", "none", "-protocols", "grpc", "-loads", "0.5",
			"-before", "10ms", "-overload", "10ms", "-json", filepath.Join("absent", "results")}},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, errors := bench(t, c.args...); code != c.code || !strings.Contains(errors, c.want) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errors)
			}
		})
	}
}
