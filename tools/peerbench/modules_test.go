package peerbench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// modules are the folders of the modules outside the workspace that serve the echo service.
var modules = []string{"core", "kratos", "gozero", "dskit"}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryModuleServesTheSame(t *testing.T) {
	want := read(t, "echo", "echo.go")
	for _, module := range modules {
		if !bytes.Equal(read(t, module, "echo", "echo.go"), want) {
			t.Errorf("%s/echo/echo.go differs from echo/echo.go: copy it", module)
		}
	}
}

func TestEveryModuleHasTheSameVersionsOfWhatIsMeasuredIn(t *testing.T) {
	grpc := regexp.MustCompile(`google\.golang\.org/(grpc|protobuf) v\S+`)
	ours := grpc.FindAll(read(t, "..", "go.mod"), -1)
	for _, module := range modules {
		text := read(t, module, "go.mod")
		if got := grpc.FindAll(text, -1); !bytes.Equal(bytes.Join(got, []byte(", ")), bytes.Join(ours, []byte(", "))) {
			t.Errorf("%s has %s, tools has %s", module, got, ours)
		}
		if regexp.MustCompile(`(?m)^replace`).Match(text) {
			t.Errorf("%s/go.mod replaces a module", module)
		}
	}
}
