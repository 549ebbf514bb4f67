//go:build linux

package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/front"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestAProxyPassesRequestsOn(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q", r.URL.Path, r.Header.Get("X-Forwarded-For"), r.Header.Get("Forwarded"))
	}))
	t.Cleanup(service.Close) // after the subtests
	for _, program := range []string{"haproxy", "nginx"} {
		for mode, want := range map[string]string{
			"http":       `/x "" ""`,
			"forwardfor": `/x "127.0.0.1" ""`,
			"forwarded":  `/x "" "for=127.0.0.1;proto=http"`,
		} {
			t.Run(program+" "+mode, func(t *testing.T) {
				t.Parallel()
				addr := front.Proxy{Program: program, Mode: mode}.Start(t, service.Listener.Addr().String())
				res, err := http.Get("http://" + addr + "/x")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if got := strings.ReplaceAll(string(body), `", for=`, `"for=`); err != nil || got != want {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
			})
		}
	}
}

// ended is a test that notes how it failed.
type ended struct {
	testing.TB
	how string
}

func (e *ended) Helper()        {}
func (e *ended) Fatal(a ...any) { e.Fatalf("%s", fmt.Sprint(a...)) }
func (e *ended) Fatalf(format string, a ...any) {
	e.how = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

func TestAProxyThatCannotBeStartedSaysWhy(t *testing.T) {
	need.Program(t, "haproxy", "haproxy")
	for want, service := range map[string]string{"unknown keyword 'nonsense'": "127.0.0.1:1 nonsense"} {
		e := &ended{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			front.Proxy{Program: "haproxy", Mode: "tcp", Check: "/health"}.Start(e, service)
		}()
		<-done
		if !strings.HasPrefix(e.how, "haproxy does not answer: ") || !strings.Contains(e.how, want) {
			t.Errorf("%q: %s", service, e.how)
		}
	}
}

func TestNginxPassesConnectionsOnWithAHeader(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lines := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		line, _ := r.ReadString('\n')
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
		lines <- line
	}()
	front.Proxy{Program: "nginx", Mode: "tcp"}.Start(t, l.Addr().String())
	if line := <-lines; !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
		t.Errorf("the connection begins with %q", line)
	}
}
