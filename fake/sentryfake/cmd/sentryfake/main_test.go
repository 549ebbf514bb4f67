package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// documented is the script in docs/sentry.md from the line that begins with the given text.
func documented(t *testing.T, name, from string) string {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/sentry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "<!-- tested: "+name+" -->\n\n")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" && !strings.HasPrefix(line, "    ") {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "    "))
	}
	_, script, there := strings.Cut(b.String(), "\n"+from)
	if !found || !there {
		t.Fatalf("docs/sentry.md has no %s with a line that begins with %s", name, from)
	}
	return from + script
}

func TestTheDocumentedScriptDrivesTheProgram(t *testing.T) {
	curl, sh := need.Program(t, "curl", "curl"), need.Program(t, "sh", "dash")
	binary := filepath.Join(t.TempDir(), "sentryfake")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fake := exec.Command(binary, "-port", "0")
	fake.Stderr = os.Stderr
	stdin, err := fake.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := fake.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	over := false
	end := func() error {
		if over {
			return nil
		}
		over = true
		_ = stdin.Close() // which is what ends it
		return fake.Wait()
	}
	defer func() { _ = end() }()
	var ready struct {
		Listeners map[string]string
		Control   string
		PID       int
	}
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatal("the ready line: ", err)
	}
	if ready.PID != fake.Process.Pid {
		t.Errorf("it says that it is process %d, and is %d", ready.PID, fake.Process.Pid)
	}
	script := documented(t, "sentryfake.sh", "# The next request")
	script = strings.NewReplacer("127.0.0.1:9000", ready.Listeners["http"], "127.0.0.1:9001", ready.Control, "curl -s", curl+" -s").Replace(script)
	run := exec.Command(sh, "-euc", script)
	run.Env = append(os.Environ(), "no_proxy=*", "NO_PROXY=*")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rest := string(out)
	for _, want := range []string{
		`{"faults":[{"kind":"status","count":1,"status":429,"retry_after":"1m0s","hits":0}]}`,
		`}429`, `{"id":"9ec79c33ec9942ab8353589fcb2e04dc"}200`,
		`{"events":[{"id":"9ec79c33ec9942ab8353589fcb2e04dc",`, `"sent":1`, `"message":"it broke"`,
		`{"problems":[]}`,
	} {
		_, behind, found := strings.Cut(rest, want)
		if !found {
			t.Errorf("%s is missing, in its place, in\n%s", want, out)
			continue
		}
		rest = behind
	}
	if err := end(); err != nil {
		t.Errorf("it does not end well when its input closes: %v", err)
	}
}
