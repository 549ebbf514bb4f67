package peerbench_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/naive"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/own"
)

// TestMain has the test binary be a peer where it is called by the peer's name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "peerd":
		chassis.Main(own.Spec)
	case "naived", "core":
		if err := serve(); err != nil {
			panic(err)
		}
	case "silent":
		select {}
	}
	os.Exit(m.Run())
}

// serve is core and naived with the modes that tests ask for.
func serve() error {
	f := echo.Parse()
	if strings.HasPrefix(f.Mode, "grpc") {
		s := grpc.NewServer()
		echo.Register(s)
		l, err := net.Listen("tcp", f.Addr)
		if err != nil {
			return err
		}
		return s.Serve(l)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", echo.Hello)
	if f.Mode == "wrong" {
		return f.Serve(http.NotFoundHandler())
	}
	if f.Mode == "other" {
		return f.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other")) }))
	}
	stack, _ := naive.New(mux, "")
	return f.Serve(stack)
}

// programs is a directory in which the test binary has the names of peers.
func programs(t *testing.T) string {
	t.Helper()
	need.Program(t, "h2load", "nghttp2-client")
	need.Program(t, "taskset", "util-linux")
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"peerd", "naived", "core", "silent"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}
