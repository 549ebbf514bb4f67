package compat_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/compat"
)

const gamed = "examples/game/cmd/gamed/main.go"

// compares is a test that fails when the other program does not say a word.
func compares(word string) string {
	return `package scenarios

import (
	"flag"
	"os/exec"
	"testing"
)

var other = flag.String("other", "", "")

func TestOnTwoBuildsOfTheProductionProgram(t *testing.T) {
	if out, err := exec.Command(*other).Output(); err != nil || string(out) != "` + word + `\n" {
		t.Errorf("the other build says %q, %v", out, err)
	}
}

func TestNothingElseIsRun(t *testing.T) { t.Error("it is") }
`
}

func TestScenariosAreComparedWithTheProgramOfARelease(t *testing.T) {
	r := newRepository(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", gamed: speaks("v1")})
	release := compat.Release{Version: "v0.1.0", Commit: r.git("rev-parse", "HEAD")}
	r.write(gamed, speaks("v2"))
	for word, want := range map[string]string{"v1": "", "v2": `the other build says "v1\n"`} {
		r.write("examples/game/scenarios/scenarios_test.go", compares(word))
		var out bytes.Buffer
		err := compat.Scenarios(t.Context(), r.root, release, compat.Options{}, &out)
		switch {
		case want == "" && (err != nil || out.String() != "every scenario of this tree comes out the same on v0.1.0\n"):
			t.Errorf("it says %q, %v", out.String(), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "do not come out the same on v0.1.0")):
			t.Errorf("the error is %v, want one with %s", err, want)
		}
		if n := r.worktrees(); n != 1 {
			t.Errorf("%d worktrees are left, want the repository alone", n)
		}
	}
}

func TestScenariosAreNotComparedWithAProgramThatIsNotThere(t *testing.T) {
	r := newRepository(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n"})
	release := compat.Release{Version: "v0.1.0", Commit: r.git("rev-parse", "HEAD")}
	if err := compat.Scenarios(t.Context(), r.root, release, compat.Options{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "build ./examples/game/cmd/gamed of v0.1.0") {
		t.Errorf("the error is %v", err)
	}
	release.Commit = "0123abcd"
	if err := compat.Scenarios(t.Context(), r.root, release, compat.Options{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "is not in this clone") {
		t.Errorf("the error is %v", err)
	}
}

func TestThatNoTestComparesTheBuildsIsNoSuccess(t *testing.T) {
	r := newRepository(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26.0\n", gamed: speaks("v1")})
	release := compat.Release{Version: "v0.1.0", Commit: r.git("rev-parse", "HEAD")}
	r.write("examples/game/scenarios/scenarios_test.go", strings.Replace(compares("v1"), "OnTwoBuilds", "OnTwoPrograms", 1))
	var out, log bytes.Buffer
	err := compat.Scenarios(t.Context(), r.root, release, compat.Options{Log: &log}, &out)
	if err == nil || !strings.Contains(err.Error(), "nothing was compared with v0.1.0: ./examples/game/scenarios of this tree has no test whose name ends in OnTwoBuilds") || out.Len() > 0 {
		t.Errorf("it says %q, and the error is %v", out.String(), err)
	}
	if !strings.Contains(log.String(), "no tests to run") {
		t.Errorf("the log is %q, want what go test prints", log.String())
	}
}
