package compat_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/tools/compat"
)

const (
	rules = "version: v2\nmodules:\n  - path: proto\nbreaking:\n  use:\n    - FILE\n"
	proto = "syntax = \"proto3\";\n\npackage lamp.v1;\n\nmessage Lamp {\n  string name = 1;\n  bool lit = 2;\n}\n"
)

// lamps is a repository whose release has two contracts.
func lamps(t *testing.T) (*repository, compat.Release) {
	t.Helper()
	r := newRepository(t, map[string]string{
		"lamp/buf.yaml": rules, "lamp/proto/lamp/v1/lamp.proto": proto,
		"buf.yaml": rules, "proto/lamp/v1/lamp.proto": proto, // in the root
	})
	return r, compat.Release{Version: "v0.1.0", Commit: r.git("rev-parse", "HEAD")}
}

func TestAContractThatBreaksCallersOfTheLastReleaseIsRefused(t *testing.T) {
	buf := need.Built(t, "buf")
	for name, c := range map[string]struct {
		change func(r *repository)
		out    string
		err    []string
	}{
		"nothing changed": {func(*repository) {}, "lamp breaks nobody who has v0.1.0\n", nil},
		"a field more": {
			func(r *repository) {
				r.write("lamp/proto/lamp/v1/lamp.proto", strings.Replace(proto, "bool lit = 2;", "bool lit = 2;\n  int32 watts = 3;", 1))
			}, "lamp breaks nobody who has v0.1.0\n", nil,
		},
		"a field less": {
			func(r *repository) {
				r.write("lamp/proto/lamp/v1/lamp.proto", strings.Replace(proto, "  bool lit = 2;\n", "", 1))
			}, ". breaks nobody who has v0.1.0\n", []string{"lamp breaks callers of v0.1.0", `Previously present field "2" with name "lit" on message "Lamp" was deleted`},
		},
		"a field of another type, in the root": {
			func(r *repository) {
				r.write("proto/lamp/v1/lamp.proto", strings.Replace(proto, "bool lit", "string lit", 1))
			}, "lamp breaks nobody who has v0.1.0\n", []string{". breaks callers of v0.1.0", `changed type from "bool" to "string"`},
		},
		"a contract that is gone": {
			func(r *repository) {
				if err := os.RemoveAll(filepath.Join(r.root, "lamp")); err != nil {
					r.t.Fatal(err)
				}
			}, ". breaks nobody", []string{"lamp: the contract that v0.1.0 has there is gone"},
		},
		"a contract more": {
			func(r *repository) {
				r.write("fan/buf.yaml", rules)
				r.write("fan/proto/fan/v1/fan.proto", strings.ReplaceAll(proto, "lamp.v1", "fan.v1"))
			}, "lamp breaks nobody who has v0.1.0\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, release := lamps(t)
			c.change(r)
			var out bytes.Buffer
			err := compat.Breaking(t.Context(), r.root, buf, release, &out)
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("it says %q, want %q", out.String(), c.out)
			}
			if len(c.err) == 0 && err != nil {
				t.Error(err)
			}
			for _, want := range c.err {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want one with %q", err, want)
				}
			}
		})
	}
}

func TestWithoutBufNoContractIsCalledBroken(t *testing.T) {
	r, release := lamps(t)
	err := compat.Breaking(t.Context(), r.root, filepath.Join(t.TempDir(), "buf"), release, &bytes.Buffer{})
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "breaks callers") {
		t.Errorf("the error is %v, want that the program is missing", err)
	}
}

func TestAContractThatBufCannotCompareIsNotCalledBroken(t *testing.T) {
	r, release := lamps(t)
	r.write("lamp/buf.yaml", "version: v9\n")
	err := compat.Breaking(t.Context(), r.root, need.Built(t, "buf"), release, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "buf breaking lamp: exit status 1") || strings.Contains(err.Error(), "breaks callers") {
		t.Errorf("the error is %v, want that buf failed", err)
	}
}

func TestAnInterruptOfTheComparisonIsNoBreakage(t *testing.T) {
	r, release := lamps(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compat.Breaking(ctx, r.root, "buf", release, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want that it was cancelled", err)
	}
}

func TestAContractIsNotComparedWithACommitThatIsNotThere(t *testing.T) {
	r, _ := lamps(t)
	err := compat.Breaking(t.Context(), r.root, "buf", compat.Release{Version: "v9.0.0", Commit: "0123abcd"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "commit 0123abcd of v9.0.0 is not in this clone") {
		t.Errorf("the error is %v", err)
	}
}
