package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

func repository(t *testing.T) string {
	return treetest.Repository(t, map[string]string{
		"go.work":                "go 1.26.0\nuse .\n",
		"go.mod":                 "module example.com/m\n\ngo 1.26.0\n",
		"chassis/clock/clock.go": "package clock\n\nconst Tick = 1\n",
		"README.md":              "# Title\n\n<!-- example: chassis/clock/clock.go#Tick -->\n```go\n```\n",
		"docs/img/goodput.csv": "work_ms,load,queue,oracle,bounded_fifo,bounded_fifo_ten_times_too_deep,unbounded\n" +
			"20,1,1,1,1,1,1\n20,2,1,1,1,1,1\n",
		"a.out": "mode: set\nexample.com/m/chassis/clock/clock.go:1.1,2.2 1 1\n",
	})
}

func TestEachCheckFailsUntilItHasWrittenWhatItCompares(t *testing.T) {
	root := repository(t)
	for _, args := range [][]string{{"api"}, {"deps"}, {"docsync"}, {"plot"}, {"spawn"}, {"coverage", filepath.Join(root, "a.out")}} {
		t.Run(args[0], func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), root, args, &stderr); code != 1 || !strings.Contains(stderr.String(), "house "+args[0]+": ") {
				t.Fatalf("exit code %d, %q", code, stderr.String())
			}
			writing := append([]string{args[0], "-w"}, args[1:]...)
			if code := run(t.Context(), root, writing, &stderr); code != 0 {
				t.Fatalf("with -w: exit code %d, %q", code, stderr.String())
			}
			if code := run(t.Context(), root, args, &stderr); code != 0 {
				t.Errorf("after -w: exit code %d, %q", code, stderr.String())
			}
		})
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), root, []string{"tidy"}, &stderr); code != 0 {
		t.Errorf("tidy: exit code %d, %q", code, stderr.String())
	}
}

func TestModproxyFillsAProxy(t *testing.T) {
	root, proxy := repository(t), filepath.Join(t.TempDir(), "proxy")
	var stderr bytes.Buffer
	if code := run(t.Context(), root, []string{"modproxy", proxy}, &stderr); code != 0 {
		t.Fatalf("exit code %d, %q", code, stderr.String())
	}
	if _, err := os.Stat(filepath.Join(proxy, "example.com/m/@v/v0.1.0.zip")); err != nil {
		t.Error(err)
	}
}

func TestAWrongCallIsAnswered(t *testing.T) {
	root := repository(t)
	for name, c := range map[string]struct {
		dir  string
		args []string
		code int
		want string
	}{
		"nothing":             {root, nil, 2, "usage: house CHECK"},
		"help":                {root, []string{"deps", "-h"}, 2, "usage: house CHECK"},
		"unknown check":       {root, []string{"windows"}, 2, `there is no check "windows"`},
		"unknown flag":        {root, []string{"deps", "-z"}, 2, "-z"},
		"unexpected argument": {root, []string{"deps", "x"}, 1, `unexpected argument "x"`},
		"no proxy folder":     {root, []string{"modproxy"}, 1, "want one argument"},
		"no profile":          {root, []string{"coverage"}, 1, "no coverage profile"},
		"no workspace":        {t.TempDir(), []string{"deps"}, 1, "no go.work"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := run(t.Context(), c.dir, c.args, &stderr); code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("exit code %d, %q; want %d, %q", code, stderr.String(), c.code, c.want)
			}
		})
	}
}
