package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/tools/peerbench"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/own"
)

// TestMain has the test binary be a peer where it is called by the peer's name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "peerd":
		chassis.Main(own.Spec)
	case "core":
		mux := http.NewServeMux()
		mux.HandleFunc("GET /hello", echo.Hello)
		panic(echo.Parse().Serve(mux))
	}
	os.Exit(m.Run())
}

func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	code = run(t.Context(), args, &out, &errors)
	return code, out.String(), errors.String()
}

func TestATableIsPrintedAndEverySampleWritten(t *testing.T) {
	need.Program(t, "h2load", "nghttp2-client")
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"peerd", "core"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(bin, "samples.json")
	code, out, errors := bench(t, "-bin", bin, "-protocols", "http1,h2", "-peers", "ours, no access log", "-rounds", "1", "-duration", "300ms", "-load-cpu", "0", "-json", file)
	if code != 0 || !strings.Contains(out, "| ours, no access log | ") || !strings.Contains(errors, "http1: round 1 of 1") {
		t.Fatalf("exit code %d:\n%s%s", code, out, errors)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []peerbench.Result
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || len(results[1].Peers) != 1 || len(results[0].Peers) != 3 || results[0].Peers[2].Samples[0].Requests == 0 {
		t.Errorf("%+v", results)
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		code int
		want string
		args []string
	}{
		"help":                {0, "usage: peerbench -build", []string{"-h"}},
		"an unknown flag":     {2, "not defined", []string{"-x"}},
		"an argument":         {2, "no arguments", []string{"more"}},
		"an unknown protocol": {1, `got "h3"`, []string{"-protocols", "h3"}},
		"an unknown peer":     {1, `-peers: no peer "x": want one of bare; bare, heap floor; ours`, []string{"-peers", "x"}},
		"too long":            {1, "want fewer rounds or peers", []string{"-rounds", "1000", "-features"}},
		"no programs":         {1, "absent/core", []string{"-bin", filepath.Join(dir, "absent")}},
		"no place for JSON":   {1, "no such file", []string{"-bin", dir, "-json", filepath.Join(dir, "absent", "samples")}},
		"no repository":       {1, "build tools/cmd/peerd", []string{"-build", "-bin", dir}},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _, errors := bench(t, c.args...); code != c.code || !strings.Contains(errors, c.want) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errors)
			}
		})
	}
}
