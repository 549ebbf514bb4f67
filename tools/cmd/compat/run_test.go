package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/compat"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

const table = "| version | date | modules | commit |\n|---|---|---|---|\n"

// repository has one commit, a fake, and clients that any fake suits.
func repository(t *testing.T, releases string) string {
	t.Helper()
	root := treetest.Repository(t, map[string]string{
		"go.work": "go 1.26.0\nuse .\n", "go.mod": "module example.com/m\n\ngo 1.26.0\n",
		"examples/game/cmd/gamefake/main.go": "package main\n\nfunc main() {}\n",
		compat.File:                          table + releases, compat.Suites: "#!/bin/sh\necho playing\nexec \"$1\"\n",
	})
	if err := os.Chmod(filepath.Join(root, compat.Suites), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "Begin"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return root
}

func TestTheCommand(t *testing.T) {
	none := repository(t, "")
	wrong := repository(t, "| v0.1.0 | d | m | main |\n")
	gone := repository(t, "| v0.2.0 | d | m | 0123abcd |\n| v0.1.0 | d | m | 0123abce |\n")
	for name, c := range map[string]struct {
		dir, args   string
		code        int
		out, stderr string
	}{
		"nothing released, contracts":   {none, "breaking", 0, "nothing is released yet, as docs/releases.md says", ""},
		"nothing released, matrix":      {none, "matrix", 0, "nothing is released yet", ""},
		"a commit in a release's place": {none, "matrix -with HEAD -v", 0, "clients of HEAD         on the fake of this tree    passed", ""},
		"what suites print":             {none, "matrix -with HEAD -v", 0, "playing\n", ""},
		"nothing released, scenarios":   {none, "scenarios", 0, "nothing is released yet", ""},
		"no program for scenarios":      {none, "scenarios -with HEAD", 1, "", "compat scenarios: build ./examples/game/cmd/gamed of HEAD"},
		"scenarios of one release":      {none, "scenarios -last 2", 2, "", "flag provided but not defined: -last"},
		"no contract to compare":        {none, "breaking -against HEAD -buf /nowhere/buf", 0, "", ""},
		"a wrong table":                 {wrong, "matrix", 1, "", `compat matrix: docs/releases.md:3: v0.1.0: "main" is no commit`},
		"a commit that is not there":    {gone, "breaking", 1, "", "compat breaking: commit 0123abcd of v0.2.0 is not in this clone"},
		"more releases than there are":  {gone, "matrix -last 7", 1, "", "compat matrix: commit 0123abcd of v0.2.0"},
		"no release asked for":          {none, "matrix -last 0", 2, "", "-last is 0, want 1 or more"},
		"no check":                      {none, "", 2, "", "usage: compat breaking"},
		"an unknown check":              {none, "grid", 2, "", `compat: there is no "grid"`},
		"an unknown flag":               {none, "breaking -with HEAD", 2, "", "flag provided but not defined: -with"},
		"an argument":                   {none, "matrix HEAD", 2, "", `unexpected argument "HEAD"`},
		"no workspace":                  {t.TempDir(), "matrix", 1, "", "no go.work"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			code := run(t.Context(), c.dir, strings.Fields(c.args), &out, &stderr)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(stderr.String(), c.stderr) || c.code == 0 && stderr.Len() > 0 {
				t.Errorf("exit code %d, want %d; it says %q and %q, want %q and %q", code, c.code, out.String(), stderr.String(), c.out, c.stderr)
			}
		})
	}
}
