package logdiff_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/internal/port"
)

// fields are what is compared, in their order. Times, ports and process ids have none in common.
var fields = []string{
	"%h", "%a", "%{c}a", "%A", "%l", "%u", "%r", "%m", "%U", "%q", "%H", "%s", "%>s", "%b", "%B", "%X", "%k", "%v", "%V",
	"%{X-Case}i", "%{Referer}i", "%{User-Agent}i", "%{Accept}i", "%{x-MULTI}i", "%{Host}i", "%{Content-Type}i", "%{theme}C",
	"%{Content-Type}o", "%{X-Answer}o", "%400,404{Referer}i", "%!200,206{User-Agent}i", "%%%{X-Case}i",
	"%I", "%O", "%S",
}

// logFormat has each field in quotes, which text in it never has without a backslash.
func logFormat() string { return `"` + strings.Join(fields, `" "`) + `"` }

const serverName = "games"

const httpdConfig = `
ServerRoot "%[1]s"
DefaultRuntimeDir "%[1]s"
PidFile "%[1]s/httpd.pid"
ServerName ` + serverName + `
Listen %[2]s
User #65534
Group #65534
LoadModule mpm_event_module   "%[3]s/mod_mpm_event.so"
LoadModule authz_core_module  "%[3]s/mod_authz_core.so"
LoadModule authz_user_module  "%[3]s/mod_authz_user.so"
LoadModule authn_core_module  "%[3]s/mod_authn_core.so"
LoadModule authn_anon_module  "%[3]s/mod_authn_anon.so"
LoadModule auth_basic_module  "%[3]s/mod_auth_basic.so"
LoadModule headers_module     "%[3]s/mod_headers.so"
ErrorLog "%[1]s/error.log"
DocumentRoot "%[1]s/www"
EnableMMAP Off
TraceEnable off
KeepAliveTimeout 60
MaxKeepAliveRequests 0
StartServers 1
LogFormat "%[4]s" diff
CustomLog "%[1]s/access.log" diff
Header always set X-Answer "a \"b\" \\c"
<Location /private>
  AuthType Basic
  AuthName games
  AuthBasicProvider anon
  Anonymous "*"
  Anonymous_NoUserID on
  Anonymous_MustGiveEmail off
  Require valid-user
</Location>
<Files *.txt>
  ForceType "text/plain; charset=utf-8"
</Files>
`

// www is what both servers serve, by path.
var www = map[string]string{"/hello.txt": "hello", "/empty.txt": "", "/a b.txt": "spaced", "/private/x.txt": "secret", "/quote\".txt": "quoted"}

// startHTTPD runs httpd until the test ends and returns its address and log. stop makes it write all
// lines and end.
func startHTTPD(t *testing.T) (addr, log string, stop func()) {
	program := need.Program(t, "apache2", "apache2-bin")
	dir := t.TempDir()
	for p, text := range www {
		file := filepath.Join(dir, "www", filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Run by root, httpd serves as somebody else.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "httpd.conf")
	text := fmt.Sprintf(httpdConfig, dir, addrs[0], "/usr/lib/apache2/modules", strings.ReplaceAll(logFormat(), `"`, `\"`))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-D", "FOREGROUND", "-f", config)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("httpd: %v\n%s", err, output.Bytes())
		}
	}
	t.Cleanup(stop)
	addr = addrs[0]
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr, filepath.Join(dir, "access.log"), stop
		}
		select {
		case err := <-ended:
			stopped = true
			t.Fatalf("httpd ended: %v\n%s", err, output.Bytes())
		case <-time.After(20 * time.Millisecond): // it tells nobody when it listens
		}
	}
}

// startChassis is startHTTPD for a service.
func startChassis(t *testing.T) (addr, log string, stop func()) {
	log = filepath.Join(t.TempDir(), "access.log")
	type conf struct{ HTTP chassis.HTTPConfig }
	spec := chassis.Spec[conf]{Name: serverName, Setup: func(_ context.Context, s *chassis.Service, c conf) error {
		return s.HTTP("http", c.HTTP, http.HandlerFunc(serve))
	}}
	i, err := chassis.Start(t.Context(), spec, func(s *chassis.Settings, _ *conf) {
		s.Admin.Addr = "off"
		s.AccessLog.Path, s.AccessLog.Format, s.AccessLog.Headers = log, logFormat(), []string{"Cookie"}
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			if err := i.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return i.Service().Addr("http").String(), log, stop
}

// serve answers as httpd with httpdConfig does.
func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Answer", `a "b" \c`)
	p := path.Clean("/" + r.URL.Path)
	if _, _, given := r.BasicAuth(); strings.HasPrefix(p+"/", "/private/") && !given {
		w.Header().Set("WWW-Authenticate", `Basic realm="games"`)
		fail(w, http.StatusUnauthorized)
		return
	}
	text, found := www[p]
	switch r.Method {
	case "GET", "HEAD", "POST":
		if !found {
			fail(w, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeContent(w, r, p, time.Time{}, strings.NewReader(text))
	case "OPTIONS":
		w.WriteHeader(http.StatusOK)
	case "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "LOCK":
		fail(w, http.StatusMethodNotAllowed)
	default:
		fail(w, http.StatusNotImplemented)
	}
}

func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, http.StatusText(status))
}
