package acl_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

const haproxyConfig = `
global
	maxconn 200
defaults
	mode {{if eq .Mode "tcp"}}tcp{{else}}http{{end}}
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	retries 0
	{{if ne .Mode "tcp"}}http-reuse always{{end}}
	{{if eq .Mode "forwardfor"}}option forwardfor{{end}}
frontend front
	bind 127.0.0.1:{{.Port}}
	default_backend service
backend service
	{{if eq .Mode "forwarded"}}http-request add-header Forwarded for=%[src];proto=http{{end}}
	{{if .Check}}option httpchk GET /health{{end}}
	server one {{.Service}} {{.Send}} {{if .Check}}check inter 100ms {{if .Send}}check-send-proxy{{end}}{{end}}
`

const nginxConfig = `
{{if eq .Mode "stream"}}load_module {{.Module}};{{end}}
daemon off;
master_process off;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log warn;
events { worker_connections 200; }
{{if eq .Mode "stream"}}
stream {
	server {
		listen 127.0.0.1:{{.Port}};
		proxy_pass {{.Service}};
		proxy_protocol on;
	}
}
{{else}}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	upstream service { server {{.Service}} max_fails=0; keepalive 8; }
	server {
		listen 127.0.0.1:{{.Port}};
		location / {
			proxy_pass http://service;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			{{if eq .Mode "forwarded"}}proxy_set_header Forwarded "$http_forwarded, for=$remote_addr;proto=http";
			{{else}}proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;{{end}}
		}
	}
}
{{end}}
`

// nginxStream is where Debian's libnginx-mod-stream has it.
const nginxStream = "/usr/lib/nginx/modules/ngx_stream_module.so"

// A front is a proxy in front of a service.
type front struct{ program, mode, from, send string }

var fronts = map[string]front{
	"haproxy, X-Forwarded-For":      {"haproxy", "forwardfor", acl.FromXForwardedFor, ""},
	"haproxy, Forwarded":            {"haproxy", "forwarded", acl.FromForwarded, ""},
	"haproxy, PROXY version 1":      {"haproxy", "http", acl.FromProxy, "send-proxy"},
	"haproxy, PROXY version 2":      {"haproxy", "http", acl.FromProxy, "send-proxy-v2"},
	"haproxy, PROXY version 2, ssl": {"haproxy", "http", acl.FromProxy, "send-proxy-v2-ssl-cn"},
	"haproxy, PROXY version 1, tcp": {"haproxy", "tcp", acl.FromProxy, "send-proxy"},
	"haproxy, PROXY version 2, tcp": {"haproxy", "tcp", acl.FromProxy, "send-proxy-v2"},
	"nginx, X-Forwarded-For":        {"nginx", "http", acl.FromXForwardedFor, ""},
	"nginx, Forwarded":              {"nginx", "forwarded", acl.FromForwarded, ""},
	"nginx, PROXY version 1":        {"nginx", "stream", acl.FromProxy, ""},
}

// start runs the proxy and returns its address; it ends with the test.
func (f front) start(t *testing.T, service string, check bool) string {
	t.Helper()
	program := need.Program(t, f.program, f.program)
	if f.mode == "stream" {
		if _, err := os.Stat(nginxStream); err != nil {
			need.Missing(t, "nginx has no stream module: apt-get install libnginx-mod-stream")
		}
	}
	dir, port := t.TempDir(), freePort(t)
	text, file := haproxyConfig, filepath.Join(dir, "config")
	args := []string{"-db", "-f", file}
	if f.program == "nginx" {
		text, args = nginxConfig, []string{"-c", file}
	}
	var config strings.Builder
	err := template.Must(template.New("").Parse(text)).Execute(&config, map[string]any{
		"Mode": f.mode, "Send": f.send, "Port": port, "Service": service, "Dir": dir, "Check": check, "Module": nginxStream,
	})
	if err == nil {
		err = os.WriteFile(file, []byte(config.String()), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	addr := "127.0.0.1:" + port
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := call("127.0.0.1", "tcp", addr)
		if err == nil {
			_, err = c.ask("/ready")
			_ = c.Close()
		}
		if err == nil {
			return addr
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(output.Name())
			t.Fatalf("%v\n%s", err, said)
		}
	}
}

func TestBehindARealProxyTheClientIsKnownWhateverItWrites(t *testing.T) {
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The proxy speaks from 127.0.0.1, clients from other addresses of the loopback network.
			g := mustNew(t, acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: f.from, Allow: []string{"127.0.0.0/8"}, Deny: []string{"127.0.0.13"}})
			service, _ := serve(t, "tcp", "127.0.0.1:0", g)
			addr := f.start(t, service, false)
			good, err := call("127.0.0.9", "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer good.Close()
			bad, err := call("127.0.0.13", "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer bad.Close()
			for _, lines := range [][]string{
				nil,
				{"X-Forwarded-For: 127.0.0.9"},
				{"X-Forwarded-For: 127.0.0.1"},
				{"X-Forwarded-For: 127.0.0.9", "X-Forwarded-For: 127.0.0.9, 127.0.0.1"},
				{"X-Forwarded-For: unknown"},
				{"X-Forwarded-For:"},
				{"X-Forwarded-For: " + strings.Repeat("127.0.0.1, ", 500) + "127.0.0.9"},
				{"x-forwarded-for: 127.0.0.9", "X_Forwarded_For: 127.0.0.9"},
				{"Connection: keep-alive, X-Forwarded-For, Forwarded"},
				{"Connection: X-Forwarded-For", "X-Forwarded-For: 127.0.0.9"},
				{"Forwarded: for=127.0.0.9"},
				{"Forwarded: for=127.0.0.9", "Forwarded: for=127.0.0.1;by=_x"},
				{`Forwarded: for="127.0.0.9`},
				{`Forwarded: for=127.0.0.9;host="`},
				{"Forwarded:"},
				{"Forwarded: for=_hidden", "X-Real-IP: 127.0.0.9", "Client-IP: 127.0.0.9"},
			} {
				// In turns, so that a connection of the proxy to the service carries both.
				if got, err := good.ask("/", lines...); got != "127.0.0.9 allowed" || err != nil {
					t.Errorf("%q is answered %q, %v", lines, got, err)
				}
				if got, err := bad.ask("/", lines...); got != "127.0.0.13 denied" || err != nil {
					t.Errorf("%q of the one denied is answered %q, %v", lines, got, err)
				}
			}
		})
	}
}

// HAProxy checks a service's health on connections of its own. With version 2 it says so (LOCAL); version 1
// has no word for it, and names the proxy as the client.
func TestHealthChecksOfHAProxy(t *testing.T) {
	for name, c := range map[string]struct {
		front
		want string
	}{
		"X-Forwarded-For": {front{"haproxy", "forwardfor", acl.FromXForwardedFor, ""}, "127.0.0.1 allowed unknown"},
		"version 1":       {front{"haproxy", "http", acl.FromProxy, "send-proxy"}, "127.0.0.1 allowed 127.0.0.1:"},
		"version 2":       {front{"haproxy", "http", acl.FromProxy, "send-proxy-v2"}, "127.0.0.1 allowed local"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, checks := serve(t, "tcp", "127.0.0.1:0", mustNew(t, everybody(c.from, "127.0.0.1")))
			c.start(t, service, true)
			select {
			case got := <-checks:
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("a check is %q, want %q", got, c.want)
				}
			case <-time.After(20 * time.Second):
				t.Error("there was no check")
			}
		})
	}
}

var (
	portsMu sync.Mutex
	ports   []string // that freePort has given out
)

func freePort(t *testing.T) string {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
			return port
		}
	}
}
