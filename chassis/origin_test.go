package chassis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// who answers with what it is told of the caller.
func who(w http.ResponseWriter, r *http.Request) error {
	o := request.OriginOf(r.Context())
	_, err := fmt.Fprintf(w, "%v for %v trusted=%v", o.Peer.Addr(), o.Client, o.Trusted)
	return err
}

func TestBehindATrustedProxyEachRequestHasAClientOfItsOwn(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{ACL: acl.Config{
		TrustedProxies: []string{"127.0.0.0/8", "10.0.0.0/8"}, ClientFrom: acl.FromXForwardedFor,
		Deny: []string{"192.0.2.66"}, Routes: map[string]string{"/office": "allow 192.0.2.0/24"},
	}}}, serve(routes(map[string]chassis.Handler{"GET /who": who, "GET /office/door": who})))
	conn := h.dial()
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, c := range []struct {
		path      string
		forwarded string
		status    int
		body      string
	}{
		{"/who", "X-Forwarded-For: 192.0.2.7", 200, "127.0.0.1 for 192.0.2.7 trusted=true"},
		{"/who", "X-Forwarded-For: 192.0.2.8, 10.1.1.1", 200, "127.0.0.1 for 192.0.2.8 trusted=true"},
		{"/who", "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.66", 403, ""}, // what the client sent, and what the proxy added
		{"/who", "X-Forwarded-For: unknown", 403, ""},
		{"/who", "Forwarded: for=192.0.2.66", 200, "127.0.0.1 for 127.0.0.1 trusted=true"}, // not the header that counts
		{"/office/door", "X-Forwarded-For: 198.51.100.1", 403, ""},
		{"/office/door", "X-Forwarded-For: 192.0.2.9", 200, "127.0.0.1 for 192.0.2.9 trusted=true"},
	} {
		if _, err := io.WriteString(conn, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\nX-Request-Id: theirs\r\n"+c.forwarded+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := read(res); a.StatusCode != c.status || c.status == 200 && a.body != c.body || strings.Contains(a.body, "192.0.2.66") {
			t.Errorf("%s, %s: %d %s", c.path, c.forwarded, a.StatusCode, a.body)
		} else if a.Header.Get("X-Request-Id") != "theirs" {
			t.Errorf("%s: the trusted proxy's request id was not taken over", c.forwarded)
		}
	}
	h.stop()
	var clients []string
	for _, line := range h.lines() {
		clients = append(clients, fmt.Sprint(line.Client, " ", line.Status))
	}
	want := "192.0.2.7 200,192.0.2.8 200,192.0.2.66 403,127.0.0.1 403,127.0.0.1 200,198.51.100.1 403,192.0.2.9 200"
	if got := strings.Join(clients, ","); got != want {
		t.Errorf("the access log has\n%s, want\n%s", got, want)
	}
	h.wantMetric(3, "failure_total", "code", "403")
}

func TestWhatACallerSaysOfOthersDoesNotCountWithoutTrust(t *testing.T) {
	for name, cfg := range map[string]chassis.HTTPConfig{
		"nothing configured": {},
		"another proxy":      {ACL: acl.Config{TrustedProxies: []string{"10.0.0.0/8"}, ClientFrom: acl.FromXForwardedFor}},
	} {
		h := start(t, options{http: cfg}, serve(routes(map[string]chassis.Handler{"GET /who": who})))
		a := h.get("/who", "X-Forwarded-For", "192.0.2.7", "X-Request-Id", "theirs")
		if a.body != "127.0.0.1 for 127.0.0.1 trusted=false" || a.Header.Get("X-Request-Id") == "theirs" {
			t.Errorf("%s: %s, id %s", name, a.body, a.Header.Get("X-Request-Id"))
		}
	}
}

func TestAccessRulesHoldForEveryKindOfHandler(t *testing.T) {
	denied := chassis.HTTPConfig{ACL: acl.Config{Deny: []string{"127.0.0.1"}}, CORSOrigins: []string{"*"}, Compress: true}
	bare := denied
	bare.BareContext = true
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	r := chassis.NewRouter()
	r.Use(func(http.Handler) http.Handler { return reached })
	for name, c := range map[string]struct {
		cfg chassis.HTTPConfig
		h   http.Handler
	}{"adopted": {denied, reached}, "middleware": {denied, r}, "bare": {bare, reached}} {
		h := start(t, options{http: c.cfg}, serve(c.h))
		if a := h.get("/x", "Origin", "http://a"); a.StatusCode != 403 || a.problem(t).Code != 403 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		h.wantMetric(1, "requests_total", "code", "403")
	}
}

func TestRulesThatCannotBeMeantKeepTheServiceFromStarting(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("10.0.0.0/8\n10.0.0.5/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, cfg := range map[string]acl.Config{
		`list:2`:     {Deny: []string{"file:" + list}},
		`10.0.0.0/8`: {Allow: []string{"10.0.0.5/8"}},
	} {
		_, err := try(t, options{http: chassis.HTTPConfig{ACL: cfg}}, serve(http.NotFoundHandler()))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q in it", cfg.Deny, err, want)
		}
	}
}

func TestARequestOutsideOfTheChassisHasNoOrigin(t *testing.T) {
	if o := request.OriginOf(context.Background()); o != nil {
		t.Errorf("%+v", o)
	}
}

func TestTheAdminListenerHasRulesOfItsOwn(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.Admin.ACL = acl.Config{Routes: map[string]string{"/debug": "deny 127.0.0.0/8"}}
	}}, serve(http.NotFoundHandler()))
	for path, status := range map[string]int{"/status": 200, "/debug/pprof/": 403} {
		if a := h.admin(path); a.StatusCode != status {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	_, err := try(t, options{settings: func(s *chassis.Settings) { s.Admin.ACL.Deny = []string{"file:/nowhere"} }}, serve(http.NotFoundHandler()))
	if err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("a list that is not there: %v", err)
	}
}

func TestWhomTheAdminListenerRefusesIsCountedAndLogged(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.AccessLog.Format = "%h %A %p %r %>s %B %I %O %{listener}x"
		s.Admin.Token = keys.NewSecret("sesame")
		s.Admin.ACL = acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromXForwardedFor, Deny: []string{"192.0.2.66"}}
	}}, serve(http.NotFoundHandler()))
	_, port, _ := net.SplitHostPort(h.Addr("admin").String())
	local := "127.0.0.1 " + port
	for _, c := range []struct {
		path, client, token string
		status              int
	}{{"/status?x", "192.0.2.66", "sesame", 403}, {"/debug/pprof/cmdline", "192.0.2.7", "wrong", 401}, {"/metrics", "192.0.2.7", "sesame", 200}, {"/livez", "192.0.2.7", "", 200}} {
		if a := h.admin(c.path, "X-Forwarded-For", c.client, "Authorization", "Bearer "+c.token); a.StatusCode != c.status {
			t.Errorf("%+v: %d", c, a.StatusCode)
		}
	}
	conn, err := net.Dial("tcp", h.Addr("admin").String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	h.wantMetric(1, "requests_refused_total", "listener", "admin", "reason", "acl")
	h.wantMetric(1, "requests_refused_total", "listener", "admin", "reason", kpi.Other)
	h.wantMetric(1, "requests_refused_total", "listener", "admin", "reason", "malformed")
	told := h.logged("refused")
	h.stop()
	lines := strings.Split(strings.TrimSpace(h.access.String()), "\n")
	want := []string{
		"192.0.2.66 " + local + " GET /status?x HTTP/1.1 403 30 ",
		"192.0.2.7 " + local + " GET /debug/pprof/cmdline HTTP/1.1 401 37 ",
		fmt.Sprintf("127.0.0.1 - - nonsense 400 0 12 %d admin", len(answer)),
	}
	for i, w := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], w) || !strings.HasSuffix(lines[i], " admin") || strings.Contains(lines[i], " - admin") {
			t.Errorf("line %d: want %s in %q", i, w, lines)
		}
	}
	if len(lines) != len(want) || len(told) != 3 || told[0]["client"] != "192.0.2.66" || told[1]["reason"] != "no token" {
		t.Errorf("%d lines, told of %v", len(lines), told)
	}
}

func TestTheLogDoesNotTellOfEachOfManyRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Admin.Token = keys.NewSecret("sesame") }}, serve(http.NotFoundHandler()))
		for range 25 {
			if a := h.admin("/debug/pprof/" + strings.Repeat("x", 1000)); a.StatusCode != 401 {
				t.Fatal(a.StatusCode)
			}
		}
		told := h.logged("refused")
		if len(told) != 10 || len(told[0]["path"].(string)) != 256 {
			t.Errorf("told %d times: %v", len(told), told[0])
		}
		time.Sleep(time.Second) // virtual
		h.admin("/metrics")
		if told = h.logged("refused"); len(told) != 11 || fmt.Sprint(told[10]["silent"]) != "15" {
			t.Errorf("then told %v", told[len(told)-1])
		}
		h.wantMetric(26, "requests_refused_total", "listener", "admin", "reason", kpi.Other)
	})
}

func TestTheAdminListenerReadsThePROXYHeaderOfItsConnections(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.Admin.ACL = acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromProxy, Allow: []string{"192.0.2.7"}}
	}}, serve(http.NotFoundHandler()))
	for client, status := range map[string]string{"192.0.2.7": "200", "192.0.2.8": "403"} {
		conn, err := net.Dial("tcp", h.Addr("admin").String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "PROXY TCP4 "+client+" 192.0.2.1 4711 80\r\nGET /livez HTTP/1.0\r\n\r\n")
		if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.0 "+status) {
			t.Errorf("%s: %.100s", client, answer)
		}
		_ = conn.Close()
	}
}

func TestTheStatusPageTellsWhoMayCall(t *testing.T) {
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprintf("/r%02d", i)] = "allow 10.0.0.0/8 deny 10.0.0.1"
	}
	h := start(t, options{
		settings: func(s *chassis.Settings) { s.Admin.ACL = acl.Config{Routes: many} },
		http: chassis.HTTPConfig{ACL: acl.Config{
			TrustedProxies: []string{"10.0.0.0/8", "10.1.0.1"}, ClientFrom: acl.FromForwarded, Deny: []string{"127.0.0.0/8"}, Routes: map[string]string{"/open": "allow 127.0.0.1"},
		}},
	}, func(ctx context.Context, s *chassis.Service, c conf) error {
		if err := s.HTTP("open", chassis.HTTPConfig{Addr: "127.0.0.1:0"}, http.NotFoundHandler()); err != nil {
			return err
		}
		return serve(http.NotFoundHandler())(ctx, s, c)
	})
	h.get("/")
	h.get("/open")
	p := parse[struct{ Tables []chassis.StatusTable }](t, h.admin("/status?format=json").body)
	first := "/r00: allow 1, deny 1; /r01: allow 1, deny 1"
	if len(p.Tables) != 1 || len(p.Tables[0].Rows) != 3 || !strings.HasPrefix(p.Tables[0].Rows[0][1], first) || !strings.HasSuffix(p.Tables[0].Rows[0][1], "; 1 more") {
		t.Fatalf("tables %q", p.Tables)
	}
	p.Tables[0].Rows[0][1] = first
	want := [][]string{
		{"admin", first, "nobody", "0"},
		{"open", "everybody", "nobody", "0"},
		{"http", "deny 1; /open: allow 1", "2 trusted, by forwarded", "1"},
	}
	if got := p.Tables[0]; got.Title != "Access rules" || fmt.Sprint(got.Rows) != fmt.Sprint(want) {
		t.Errorf("table %q, want %q", got, want)
	}
	if page := h.admin("/status").body; !strings.Contains(page, "<td>deny 1; /open: allow 1</td>") {
		t.Error("the page does not show it")
	}
}

func TestThePROXYHeaderOfAConnectionNamesItsClient(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{ACL: acl.Config{
		TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromProxy, Deny: []string{"192.0.2.66"},
	}}}, serve(routes(map[string]chassis.Handler{"GET /who": who})))
	const get = "GET /who HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n":          "127.0.0.1 for 192.0.2.7 trusted=true",
		"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n":      "127.0.0.1 for 2001:db8::7 trusted=true",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00":              "127.0.0.1 for 127.0.0.1 trusted=true", // LOCAL: the proxy itself
		"PROXY TCP4 192.0.2.66 192.0.2.1 4711 80\r\n":         "403",
		"PROXY UNKNOWN\r\n":                                   "403",
		"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80 and more\r\n": "", // closed without an answer
		"": "",
	} {
		conn := h.dial()
		if _, err := io.WriteString(conn, header+get+get); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		for range 2 { // all requests of the connection
			res, err := http.ReadResponse(answers, nil)
			if want == "" {
				if err == nil {
					t.Errorf("%q: answered with %d", header, res.StatusCode)
				}
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", header, err)
			}
			if a := read(res); a.body != want && fmt.Sprint(a.StatusCode) != want {
				t.Errorf("%q: %d %s, want %s", header, a.StatusCode, a.body, want)
			}
		}
		_ = conn.Close()
	}
	h.wantMetric(2, "connections_refused_total", "listener", "http", "reason", "proxy_header")
	h.wantMetric(4, "requests_refused_total", "listener", "http", "reason", "acl")
}
