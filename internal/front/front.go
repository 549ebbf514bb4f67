//go:build linux

// Package front starts the proxies that stand in front of services, HAProxy and nginx, for tests that
// want the real ones. It is in one place for all modules of the repository: whatever has its path below
// that of the root module may import it.
package front

import (
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

var (
	//go:embed haproxy.cfg.tmpl
	haproxyConfig string
	//go:embed nginx.conf.tmpl
	nginxConfig string
)

// nginxStream is where Debian's libnginx-mod-stream has it.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// reusePort is SO_REUSEPORT, which package syscall does not have.
const reusePort = 15

// Proxy says which proxy is started, and by what it names the client.
type Proxy struct {
	// Program is haproxy or nginx.
	Program string
	// Mode is
	//
	//	http        requests are passed on as they are
	//	forwardfor  with X-Forwarded-For
	//	forwarded   with Forwarded
	//	tcp         connections are passed on, with a PROXY header of version 1 by nginx
	Mode string
	// Server is what HAProxy is told of its server besides the address, such as send-proxy-v2 for PROXY
	// headers; nginx is told nothing.
	Server string
	// Check is a path by which HAProxy asks for the server's health, if there is one.
	Check string
}

// Start runs the proxy in front of service, HOST:PORT, and returns its address, at 127.0.0.1. It speaks
// to the service from there. It has passed on a request, to /ready, when Start returns, and ends with the
// test.
func (p Proxy) Start(t testing.TB, service string) (addr string) {
	t.Helper()
	program := need.Program(t, p.Program, p.Program)
	if p.Program == "nginx" && p.Mode == "tcp" {
		if _, err := os.Stat(nginxStream); err != nil {
			need.Missing(t, "nginx has no stream module: apt-get install libnginx-mod-stream")
		}
	}
	addr = reserve(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	text, args := haproxyConfig, []string{"-db", "-f", file}
	if p.Program == "nginx" {
		text, args = nginxConfig, []string{"-c", file}
	}
	var config strings.Builder
	must(t, template.Must(template.New("").Parse(text)).Execute(&config, map[string]any{
		"Mode": p.Mode, "Server": p.Server, "Check": p.Check, "Addr": addr, "Service": service, "Dir": dir, "Module": nginxStream,
	}))
	must(t, os.WriteFile(file, []byte(config.String()), 0o600))
	output, err := os.Create(filepath.Join(dir, "output"))
	must(t, err)
	defer output.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = output, output
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	deadline := time.After(time.Minute)
	for {
		res, err := client.Get("http://" + addr + "/ready")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusBadGateway && res.StatusCode != http.StatusServiceUnavailable {
				return addr
			}
		}
		select {
		case <-time.After(10 * time.Millisecond): // it tells nobody when it listens
			continue
		case <-ended:
		case <-deadline:
		}
		said, _ := os.ReadFile(output.Name())
		t.Fatalf("%s does not answer: %v\n%s", p.Program, err, said)
	}
}

// must ends the test if what it needs cannot be had.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reserve binds an address until the test ends, without listening: those alone can listen there who
// share it (SO_REUSEPORT) and have the same user, as the proxies do.
func reserve(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	must(t, syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, reusePort, 1))
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := syscall.Getsockname(fd)
	must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
