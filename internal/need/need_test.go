package need_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// ended is a test that notes how it ended.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Helper() {}
func (e *ended) Fatalf(format string, args ...any) {
	e.how = "failed: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (e *ended) Skipf(format string, args ...any) {
	e.how = "skipped: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func run(f func(t testing.TB)) string {
	e, done := &ended{how: "passed"}, make(chan struct{})
	go func() {
		defer close(done)
		f(e)
	}()
	<-done
	return e.how
}

func TestWhatIsMissingFailsInCIAndIsSkippedElsewhere(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed: ", "": "skipped: "} {
		t.Setenv("CI", ci)
		got := run(func(t testing.TB) { need.Program(t, "no-such-program", "some-package") })
		if got != want+"no-such-program is not installed: apt-get install some-package" {
			t.Errorf("CI=%q: %s", ci, got)
		}
		if got := run(func(t testing.TB) { need.Missing(t, "%d hands", 3) }); got != want+"3 hands" {
			t.Errorf("CI=%q: %s", ci, got)
		}
	}
}

func TestAProgramIsFoundAlsoWhereOnlyRootLooks(t *testing.T) {
	for path, name := range map[string]string{"": "ldconfig", "/bin": "sh"} { // Debian has it in /sbin
		t.Setenv("PATH", path)
		if got := run(func(t testing.TB) {
			if found := need.Program(t, name, "base"); !strings.HasSuffix(found, "/"+name) {
				t.Fatalf("found %q", found)
			}
		}); got != "passed" && runtime.GOOS == "linux" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAProgramThatIsBuiltHereIsFoundFromAnyFolderBelow(t *testing.T) {
	root := t.TempDir()
	program := filepath.Join(root, "out", "bin", "gateway-of-tests")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "a", "b"), 0o700), os.MkdirAll(filepath.Dir(program), 0o700), os.WriteFile(program, nil, 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join(root, "a", "b"))
	find := func(name, want string) string {
		return run(func(t testing.TB) {
			if got := need.Built(t, name); got != want {
				t.Fatalf("found %q", got)
			}
		})
	}
	if got := find("gateway-of-tests", program); got != "passed" {
		t.Error(got)
	}
	t.Setenv("PATH", filepath.Dir(program))
	if got := find("gateway-of-tests", program); got != "passed" {
		t.Errorf("in the path: %s", got)
	}
	t.Setenv("CI", "")
	if got := find("no-such-program", ""); got != "skipped: no-such-program is not installed: .ci/install no-such-program" {
		t.Error(got)
	}
}
