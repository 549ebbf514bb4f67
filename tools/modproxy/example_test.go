package modproxy_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/seed-754044b3/roadworthy/tools/modproxy"
)

func Example() {
	work, err := os.MkdirTemp("", "modproxy-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(work)
	tree := filepath.Join(work, "tree")
	if err := exec.Command("git", "init", "-q", tree).Run(); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "go.mod"), []byte("module example.com/lib\n"), 0o644); err != nil {
		panic(err)
	}

	proxy := modproxy.Proxy{Dir: filepath.Join(work, "proxy")}
	packed, err := proxy.Pack(context.Background(), tree, "v0.1.0", nil)
	fmt.Println(packed, err)
	// Output: example.com/lib@v0.1.0 <nil>
}
