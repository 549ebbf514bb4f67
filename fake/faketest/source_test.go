package faketest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/fake/faketest"
)

// judge is a fake.TB that remembers what a test would have been told.
type judge struct{ said []string }

func (j *judge) Helper()                   {}
func (j *judge) Cleanup(func())            {}
func (j *judge) Failed() bool              { return len(j.said) > 0 }
func (j *judge) Logf(string, ...any)       {}
func (j *judge) Errorf(f string, a ...any) { j.said = append(j.said, fmt.Sprintf(f, a...)) }
func (j *judge) Fatalf(f string, a ...any) { j.Errorf(f, a...) }

const (
	library = "github.com/seed-754044b3/roadworthy"
	header  = "package echofake\n\nimport (\n\t\"testing\"\n\t\"" + library + "/fake\"\n\t\"" + library + "/chassis\"\n\t\"example.com/echo/internal/echo\"\n)\n"
	adopts  = header + `
var options = fake.Options[echo.Config]{Configure: func(_ *chassis.Settings, c *echo.Config) { c.Journal = "mem:" }}
func Start(tb testing.TB) *fake.Fake { return fake.Start(tb, echo.Spec, options) }
const Full = fake.Failure(echo.CodeFull)
`
)

func TestHandlersInAFakeAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		found  []string
	}{
		"none":                 {adopts, nil},
		"the fake's program":   {"package main\nimport \"example.com/echo/echofake\"\nfunc main() { echofake.Main() }", nil},
		"net/http":             {"package f\nimport \"net/http\"\nvar _ http.Handler", []string{"f.go:2: imports net/http"}},
		"gRPC":                 {"package f\nimport (\n\t_ \"google.golang.org/grpc\"\n\t_ \"google.golang.org/grpc/status\"\n)", []string{"f.go:3: imports google.golang.org/grpc", "f.go:4: imports google.golang.org/grpc/status"}},
		"grpcserver":           {"package f\nimport _ \"" + library + "/chassis/grpcserver\"", []string{"imports " + library + "/chassis/grpcserver"}},
		"registered HTTP":      {"package f\nfunc a(m mux) { m.HandleFunc(\"/\", nil) }", []string{"f.go:2: registers handlers: HandleFunc"}},
		"registered gRPC":      {"package f\nfunc a(r reg) { echov1.RegisterEchoServiceServer(r, nil); RegisterEchoHandlerServer(r) }", []string{"registers handlers: RegisterEchoServiceServer", "registers handlers: RegisterEchoHandlerServer"}},
		"a handler":            {"package f\nfunc (h h) ServeHTTP(w, r int) {}", []string{"f.go:2: has a handler"}},
		"a function alike":     {"package f\nfunc ServeHTTP(w, r int) { Registered(); x.RegisterType(); func() {}() }", nil},
		"its own Spec":         {header + "var s = chassis.Spec[echo.Config]{Name: \"echo\"}", []string{"f.go:9: describes a service of its own"}},
		"its own Spec of many": {"package f\nvar s = Spec[int, int]{}", []string{"describes a service of its own"}},
		"another Setup":        {header + "func x() { s := echo.Spec; s.Setup = nil }", []string{"f.go:9: changes how the service is set up"}},
		"inside the service":   {header + "var s = echo.NewServer()", []string{"f.go:9: reaches into the service: echo.NewServer"}},
		"under another name":   {"package f\nimport e \"example.com/echo\"\nvar s = e.Server{}", []string{"f.go:3: reaches into the service: e.Server"}},
		"under no name":        {"package f\nimport . \"example.com/echo\"", []string{"f.go:2: imports example.com/echo without its name"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "f.go", c.source)
			write(t, dir, "f_test.go", "package f\nimport \"net/http\"")
			write(t, dir, "README.md", "not Go")
			if err := os.Mkdir(filepath.Join(dir, "sub.go"), 0o755); err != nil {
				t.Fatal(err)
			}
			j := &judge{}
			faketest.NoHandlers(j, dir)
			if len(j.said) != len(c.found) {
				t.Fatalf("found %q, want %q", j.said, c.found)
			}
			for i, want := range c.found {
				if !strings.Contains(j.said[i], want) || !strings.HasSuffix(j.said[i], ": a fake runs the service's own handlers and has none") {
					t.Errorf("found %q, want %q", j.said[i], want)
				}
			}
		})
	}
}

func TestAPackageThatCannotBeReadIsNotTakenForAGoodOne(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	write(t, broken, "f.go", "package f\nfunc {")
	for dir, want := range map[string]string{
		filepath.Join(empty, "none"): "no such file or directory",
		empty:                        "there are none",
		broken:                       "f.go:2:6",
	} {
		j := &judge{}
		faketest.NoHandlers(j, dir)
		if len(j.said) != 1 || !strings.Contains(j.said[0], "faketest: read the fake's package: ") || !strings.Contains(j.said[0], want) {
			t.Errorf("%s: %q, want %q", dir, j.said, want)
		}
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ExampleNoHandlers() {
	dir, err := os.MkdirTemp("", "echofake")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	source := "package echofake\n\nimport \"net/http\"\n\nfunc serve() { http.HandleFunc(\"/v1/echo\", nil) }\n"
	if err := os.WriteFile(filepath.Join(dir, "echofake.go"), []byte(source), 0o644); err != nil {
		panic(err)
	}
	t := &judge{} // in a test, its *testing.T
	faketest.NoHandlers(t, dir)
	for _, line := range slices.Sorted(slices.Values(t.said)) {
		fmt.Println(line)
	}
	// Output:
	// faketest: echofake.go:3: imports net/http: a fake runs the service's own handlers and has none
	// faketest: echofake.go:5: registers handlers: HandleFunc: a fake runs the service's own handlers and has none
}
