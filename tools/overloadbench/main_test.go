package overloadbench_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/target"
)

// TestMain has the test binary be a server where it is called by the server's name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "overloadd":
		chassis.Main(target.Spec)
	case "mute":
		fmt.Println("mute serves nothing")
		os.Exit(0)
	case "ruined": // serves something else
		panic(http.ListenAndServe(os.Args[1], http.NotFoundHandler()))
	}
	os.Exit(m.Run())
}

// programs is a directory in which the test binary has the names of servers.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"overloadd", "mute", "ruined"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}
