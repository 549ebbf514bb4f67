package chassis_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/internal/front"
)

func TestBehindARealProxyTheAccessLogTellsTheClientWhateverItWrites(t *testing.T) {
	for name, c := range map[string]struct {
		proxy front.Proxy
		from  string
	}{
		"haproxy, X-Forwarded-For": {front.Proxy{Program: "haproxy", Mode: "forwardfor"}, acl.FromXForwardedFor},
		"haproxy, PROXY version 1": {front.Proxy{Program: "haproxy", Mode: "http", Server: "send-proxy"}, acl.FromProxy},
		"haproxy, PROXY version 2": {front.Proxy{Program: "haproxy", Mode: "http", Server: "send-proxy-v2"}, acl.FromProxy},
		"nginx, X-Forwarded-For":   {front.Proxy{Program: "nginx", Mode: "forwardfor"}, acl.FromXForwardedFor},
		"nginx, PROXY version 1":   {front.Proxy{Program: "nginx", Mode: "tcp"}, acl.FromProxy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The proxy speaks from 127.0.0.1, clients from other addresses of the loopback network.
			h := start(t, options{
				http:     chassis.HTTPConfig{ACL: acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: c.from, Deny: []string{"127.0.0.13"}}},
				settings: func(s *chassis.Settings) { s.AccessLog.Format = "%h %a %{c}a %{c}h %>s %U" },
			}, serve(routes(map[string]chassis.Handler{"GET /{$}": say("hello")})))
			addr := c.proxy.Start(t, h.Addr("http").String())
			var want []string
			for i, lines := range []string{
				"",
				"X-Forwarded-For: 127.0.0.1\r\n",
				"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 127.0.0.1\r\n",
				"X-Forwarded-For: unknown\r\nForwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\n",
				"Connection: close, X-Forwarded-For\r\nX-Forwarded-For: 192.0.2.1\r\n",
			} {
				for client, status := range map[string]int{"127.0.0.9": 404, "127.0.0.13": 403} {
					path := fmt.Sprintf("/%d/%s", i, client)
					if got := askFrom(t, client, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+lines+"\r\n"); got != status {
						t.Errorf("%s: %d, want %d", path, got, status)
					}
					want = append(want, fmt.Sprintf("%s %s 127.0.0.1 127.0.0.1 %d %s", client, client, status, path))
				}
			}
			h.stop()
			got := slices.DeleteFunc(strings.Split(strings.TrimSpace(h.access.String()), "\n"), func(line string) bool { return strings.HasSuffix(line, " /ready") })
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// askFrom sends a request from an address of the loopback network and returns the status of its answer.
func askFrom(t *testing.T, client, addr, request string) int {
	t.Helper()
	d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(res).StatusCode
}
