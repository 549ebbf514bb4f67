package compat_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/compat"
)

const (
	describedFile = "lamp/testdata/describe.txt"
	description   = `http 127.0.0.1:8080 GET /lamp
grpc 127.0.0.1:9090 /lamp.v1.Lamp/Light
queue http: 10 workers, 10 places
counter lamp_lit_total: How often it was lit.
failure 1001, caller: 404, NOT_FOUND: there is no such lamp: look again
failure 1002, service: 503, UNAVAILABLE, retry after 1s: no power
`
	lock = "# numbers\nlamp 1001 used \"there is no such lamp\"\nlamp 1002 used \"no power\"\n"
)

func TestWhatAReleasePromisedIsKept(t *testing.T) {
	change := func(file, text, before, after string) func(r *repository) {
		return func(r *repository) { r.write(file, strings.Replace(text, before, after, 1)) }
	}
	const line = "failure 1001, caller: 404, NOT_FOUND: there is no such lamp: look again\n"
	for name, c := range map[string]struct {
		change func(r *repository)
		err    string // empty: nobody is broken
	}{
		"nothing changed":       {func(*repository) {}, ""},
		"another address":       {change(describedFile, description, "127.0.0.1:8080", "127.0.0.1:80"), ""},
		"a deeper queue":        {change(describedFile, description, "10 places", "20 places"), ""},
		"a route more":          {change(describedFile, description, "queue", "http 127.0.0.1:8080 POST /lamp\nqueue"), ""},
		"other words":           {change(describedFile, description, "look again", "or no longer"), ""},
		"a code not answered":   {change(describedFile, description, line, ""), ""},
		"a retired code":        {change("failure_codes.lock", lock, "1001 used", "1001 retired"), ""},
		"a route that is gone":  {change(describedFile, description, "GET /lamp", "GET /light"), "lamp/testdata/describe.txt: http GET /lamp is gone: v0.1.0 promised it"},
		"a method that is gone": {change(describedFile, description, "Lamp/Light", "Lamp/Burn"), "grpc /lamp.v1.Lamp/Light is gone"},
		"a metric renamed":      {change(describedFile, description, "lamp_lit_total", "lamp_lights_total"), "metric lamp_lit_total is gone"},
		"another kind":          {change(describedFile, description, "counter lamp", "gauge lamp"), "metric lamp_lit_total is gauge instead of counter"},
		"another status":        {change(describedFile, description, "caller: 404", "caller: 410"), "failure 1001 is caller, 410, NOT_FOUND instead of caller, 404, NOT_FOUND"},
		"no retry":              {change(describedFile, description, ", retry after 1s", ""), "failure 1002 is service, 503, UNAVAILABLE instead of service, 503, UNAVAILABLE, retry after 1s"},
		"a number forgotten":    {change("failure_codes.lock", lock, "lamp 1002 used \"no power\"\n", ""), "failure_codes.lock: number 1002 of lamp is gone"},
		"a service that is gone": {func(r *repository) {
			if err := os.RemoveAll(filepath.Join(r.root, "lamp")); err != nil {
				r.t.Fatal(err)
			}
		}, "http GET /lamp is gone"},
		"given up on purpose": {func(r *repository) {
			change(describedFile, description, "GET /lamp", "GET /light")(r)
			r.write(compat.GivenUp, "# since v0.1.0\nlamp/testdata/describe.txt: http GET /lamp is gone # nobody had it\n")
		}, ""},
		"something else given up": {func(r *repository) {
			change(describedFile, description, "GET /lamp", "GET /light")(r)
			r.write(compat.GivenUp, "lamp/testdata/describe.txt: http GET /light is gone\n")
		}, "name those that are given up on purpose in docs/given-up.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t, map[string]string{describedFile: description, "failure_codes.lock": lock})
			release := compat.Release{Version: "v0.1.0", Commit: r.git("rev-parse", "HEAD")}
			c.change(r)
			var out bytes.Buffer
			err := compat.Promises(t.Context(), r.root, release, &out)
			switch {
			case c.err == "" && (err != nil || out.String() != "failure_codes.lock keeps what v0.1.0 promised\nlamp/testdata/describe.txt keeps what v0.1.0 promised\n"):
				t.Errorf("it says %q, %v", out.String(), err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("the error is %v, want one with %q", err, c.err)
			}
		})
	}
}

func TestPromisesAreNotComparedWithACommitThatIsNotThere(t *testing.T) {
	r := newRepository(t, map[string]string{describedFile: description})
	err := compat.Promises(t.Context(), r.root, compat.Release{Version: "v0.1.0", Commit: "0123abcd"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "commit 0123abcd of v0.1.0 is not in this clone") {
		t.Errorf("the error is %v", err)
	}
}
