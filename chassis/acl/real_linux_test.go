package acl_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/internal/front"
)

// fronts are proxies in front of a service, and by what each names the client.
var fronts = map[string]struct {
	proxy front.Proxy
	from  string
}{
	"haproxy, X-Forwarded-For":      {front.Proxy{Program: "haproxy", Mode: "forwardfor"}, acl.FromXForwardedFor},
	"haproxy, Forwarded":            {front.Proxy{Program: "haproxy", Mode: "forwarded"}, acl.FromForwarded},
	"haproxy, PROXY version 1":      {front.Proxy{Program: "haproxy", Mode: "http", Server: "send-proxy"}, acl.FromProxy},
	"haproxy, PROXY version 2":      {front.Proxy{Program: "haproxy", Mode: "http", Server: "send-proxy-v2"}, acl.FromProxy},
	"haproxy, PROXY version 2, ssl": {front.Proxy{Program: "haproxy", Mode: "http", Server: "send-proxy-v2-ssl-cn"}, acl.FromProxy},
	"haproxy, PROXY version 1, tcp": {front.Proxy{Program: "haproxy", Mode: "tcp", Server: "send-proxy"}, acl.FromProxy},
	"haproxy, PROXY version 2, tcp": {front.Proxy{Program: "haproxy", Mode: "tcp", Server: "send-proxy-v2"}, acl.FromProxy},
	"nginx, X-Forwarded-For":        {front.Proxy{Program: "nginx", Mode: "forwardfor"}, acl.FromXForwardedFor},
	"nginx, Forwarded":              {front.Proxy{Program: "nginx", Mode: "forwarded"}, acl.FromForwarded},
	"nginx, PROXY version 1":        {front.Proxy{Program: "nginx", Mode: "tcp"}, acl.FromProxy},
}

func TestBehindARealProxyTheClientIsKnownWhateverItWrites(t *testing.T) {
	for name, f := range fronts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The proxy speaks from 127.0.0.1, clients from other addresses of the loopback network.
			g := mustNew(t, acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: f.from, Allow: []string{"127.0.0.0/8"}, Deny: []string{"127.0.0.13"}})
			service, _ := serve(t, "tcp", "127.0.0.1:0", g)
			addr := f.proxy.Start(t, service)
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
		server, mode, from, want string
	}{
		"X-Forwarded-For": {"", "forwardfor", acl.FromXForwardedFor, "127.0.0.1 allowed unknown"},
		"version 1":       {"send-proxy", "http", acl.FromProxy, "127.0.0.1 allowed 127.0.0.1:"},
		"version 2":       {"send-proxy-v2", "http", acl.FromProxy, "127.0.0.1 allowed local"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, checks := serve(t, "tcp", "127.0.0.1:0", mustNew(t, everybody(c.from, "127.0.0.1")))
			front.Proxy{Program: "haproxy", Mode: c.mode, Server: c.server, Check: "/health"}.Start(t, service)
			select {
			case got := <-checks:
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("a check is %q, want %q", got, c.want)
				}
			case <-time.After(time.Minute):
				t.Error("there was no check")
			}
		})
	}
}
