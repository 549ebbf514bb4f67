package gonewgate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/gonewgate"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

const (
	daemon   = "echod"                  // the template's command
	question = "/v1/echo?message=hello" // what is asked of it over HTTP
	answer   = "hello"                  // what its answer holds
)

// allowance bounds how long the service may take to listen, to answer and to stop.
const allowance = time.Minute

func TestGonewCopyOfTemplateWorks(t *testing.T) {
	w, err := workspace.Load(".")
	if err != nil {
		t.Fatal(err)
	}
	root, err := w.RootModule()
	if err != nil {
		t.Fatal(err)
	}
	template := root.Path + "/template"
	// The hyphen is one that a package name cannot have.
	made, err := gonewgate.New(t.Context(), w, template, "example.com/acme/hello-svc", t.TempDir(), root.Path+"/tools")
	if err != nil {
		t.Fatal(err)
	}

	// gonew rewrites import paths only, so that any other mention of the template's own path is wrong
	// in the copy; the shorter form also finds it in links and in prose.
	left, err := gonewgate.Leftovers(made.Dir, "roadworthy/template")
	if err != nil || len(left) > 0 {
		t.Errorf("files that still name the template: %v, %v", left, err)
	}
	run(t, made, "go", "mod", "tidy", "-diff")
	run(t, made, "sh", "ci.sh") // what the copy checks, with the tools of the chassis that it requires
	failureCodesAreChecked(t, made)
	service := start(t, filepath.Join(made.Dir, "out", daemon), "-http.addr", "127.0.0.1:0", "-grpc.addr", "127.0.0.1:0", "-admin.addr", "127.0.0.1:0")
	got := get(t, "http://"+service.addr(t, "http")+question)
	if !strings.Contains(got, answer) {
		t.Errorf("GET %s answered %q, want %q in it", question, got, answer)
	}
	service.stop(t)
}

// run fails the test with all that a program wrote that was run in the copy.
func run(t *testing.T, made gonewgate.Copy, args ...string) {
	t.Helper()
	if out, err := output(t, made, args...); err != nil {
		t.Fatalf("in the copy: %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// output is what a program wrote that was run in the copy.
func output(t *testing.T, made gonewgate.Copy, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = made.Dir, append(os.Environ(), made.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// failureCodesAreChecked makes a mistake in the copy that only the tools of ci.sh find.
func failureCodesAreChecked(t *testing.T, made gonewgate.Copy) {
	t.Helper()
	file := filepath.Join(made.Dir, "internal", "echo", "mistake.go")
	if err := os.WriteFile(file, []byte("package echo\n\nfunc again() error { return errMessageMissing }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := output(t, made, "sh", "ci.sh")
	if want := "failure code errMessageMissing (echo 1001) is answered here and at "; err == nil || !strings.Contains(out, want) {
		t.Errorf("in the copy, with a code that is answered twice: ci.sh: %v\n%s\nwant %q", err, out, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// A service is a running program whose listeners are read from what it logs.
type service struct {
	cmd       *exec.Cmd
	listeners chan [2]string   // name and address; closed at the end of the program's output
	output    *strings.Builder // to be read once listeners is closed
}

func start(t *testing.T, program string, args ...string) *service {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), allowance)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // SIGKILL would leave its workers
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	s := &service{cmd: cmd, listeners: make(chan [2]string, 16), output: &strings.Builder{}}
	go func() {
		defer close(s.listeners)
		defer reader.Close()
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			fmt.Fprintln(s.output, lines.Text())
			if name, addr, ok := gonewgate.Listener(lines.Text()); ok {
				select {
				case s.listeners <- [2]string{name, addr}:
				case <-ctx.Done():
				}
			}
		}
	}()
	return s
}

// addr waits until the service has said where the listener is bound.
func (s *service) addr(t *testing.T, name string) string {
	t.Helper()
	for l := range s.listeners {
		if l[0] == name {
			return l[1]
		}
	}
	t.Fatalf("the service ended (%v) before it said where it listens for %s:\n%s", s.cmd.Wait(), name, s.output)
	return ""
}

// stop asks the service to stop and wants it to do so in order.
func (s *service) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for range s.listeners { // to the end of its output
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0\n%s", err, s.output)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), allowance)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %q, %v", url, response.Status, body, err)
	}
	return string(body)
}

// small is a workspace like ours: a library, and a template that requires it unreleased.
var small = map[string]string{
	"go.work":                        "go 1.26.0\n\nuse (\n\t.\n\t./template\n)\n",
	"go.mod":                         "module example.com/lib\n\ngo 1.26.0\n",
	"lib.go":                         "package lib\n\nconst Name = \"lib\"\n",
	"template/go.mod":                "module example.com/lib/template\n\ngo 1.26.0\n\nrequire example.com/lib v0.1.0\n",
	"template/README.md":             "run example.com/lib/template/cmd/d\n",
	"template/internal/echo/echo.go": "package echo\n\nimport lib \"example.com/lib\"\n\nconst Name = lib.Name\n",
	"template/cmd/d/main.go":         "package main\n\nimport \"example.com/lib/template/internal/echo\"\n\nfunc main() { println(echo.Name) }\n",
}

func TestNewCopiesATemplateThatRequiresAnUnreleasedLibrary(t *testing.T) {
	w, err := workspace.Load(treetest.Repository(t, small))
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	made, err := gonewgate.New(t.Context(), w, "example.com/lib/template", "example.org/my-svc", scratch)
	if err != nil {
		t.Fatal(err)
	}
	run(t, made, "go", "vet", "./...")
	if mod := treetest.Read(t, made.Dir, "go.mod"); !strings.HasPrefix(mod, "module example.org/my-svc\n") {
		t.Errorf("go.mod of the copy:\n%s", mod)
	}
	left, err := gonewgate.Leftovers(made.Dir, "lib/template")
	if want := []string{"README.md"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("leftovers %v, %v, want %v", left, err, want)
	}
	if _, err := gonewgate.New(t.Context(), w, "example.com/lib/template", "example.org/my-svc", scratch); err == nil {
		t.Error("an existing folder was copied over")
	}
	if _, err := gonewgate.New(t.Context(), w, "example.com/lib/none", "example.org/my-svc", t.TempDir()); err == nil {
		t.Error("a template that does not exist was copied")
	}
}

func TestLeftoversReportsAFolderThatIsNotThere(t *testing.T) {
	if _, err := gonewgate.Leftovers(filepath.Join(t.TempDir(), "gone"), "x"); err == nil {
		t.Error("no error")
	}
}

func TestListenerReadsLogLinesOfEitherForm(t *testing.T) {
	for line, want := range map[string][2]string{
		`{"level":"info","msg":"listening","listener":"http","protocol":"http","addr":"127.0.0.1:8080"}`: {"http", "127.0.0.1:8080"},
		`12:00:00	INFO	listening	{"listener": "grpc", "protocol": "grpc", "addr": "[::1]:9"}`:            {"grpc", "[::1]:9"},
		`level=info msg=listening listener=admin addr=127.0.0.1:1`:                                       {"admin", "127.0.0.1:1"},
		`{"msg":"ready"}`:                        {},
		`{"msg":"dialing","addr":"127.0.0.1:1"}`: {},
	} {
		name, addr, ok := gonewgate.Listener(line)
		if got := [2]string{name, addr}; got != want || ok != (want[0] != "") {
			t.Errorf("%s: got %q, %v, want %q", line, got, ok, want)
		}
	}
}

func ExampleListener() {
	fmt.Println(gonewgate.Listener(`{"msg":"listening","listener":"http","addr":"127.0.0.1:8080"}`))
	// Output: http 127.0.0.1:8080 true
}
