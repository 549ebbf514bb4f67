package chassis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestAccessLogSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, change := range map[string]func(*chassis.AccessLogConfig){
		"": func(*chassis.AccessLogConfig) {},
		"format: access log format: column 1: %y is no directive":                                                       func(c *chassis.AccessLogConfig) { c.Format = "%y" },
		"format: access log format: column 1: Authorization carries secrets":                                            func(c *chassis.AccessLogConfig) { c.Format = "%{authorization}i" },
		`format: access log format: allowed header "a b": " " cannot be`:                                                func(c *chassis.AccessLogConfig) { c.Headers = []string{"a b"} },
		`privacy: want full, truncate, hmac or drop, got "some"`:                                                        func(c *chassis.AccessLogConfig) { c.Privacy = "some" },
		"format: X-Forwarded-For holds addresses, of which privacy=drop hides what it can: leave it out, or list it in": func(c *chassis.AccessLogConfig) { c.Format, c.Privacy = "%{x-forwarded-for}i", "drop" },
		`query: want true, false or auto, got "yes"`:                                                                    func(c *chassis.AccessLogConfig) { c.Query = "yes" },
		`streams: want end or start, got "both"`:                                                                        func(c *chassis.AccessLogConfig) { c.Streams = "both" },
		"flush_every: want more than 0, got -1s":                                                                        func(c *chassis.AccessLogConfig) { c.FlushEvery = -time.Second },
		"buffer: want 4KiB to 16MiB, got 1KiB":                                                                          func(c *chassis.AccessLogConfig) { c.Buffer = keys.KiB },
		"buffer: want 4KiB to 16MiB, got 17MiB":                                                                         func(c *chassis.AccessLogConfig) { c.Buffer = 17 * keys.MiB },
		"privacy_key: want 16 bytes or more, got 5: whoever guesses it finds the addresses":                             func(c *chassis.AccessLogConfig) { c.PrivacyKey = keys.NewSecret("short") },
	} {
		var c chassis.AccessLogConfig
		c.SetDefaults()
		change(&c)
		if got := errorText(c.Validate()); got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
	c := chassis.AccessLogConfig{
		Format: "%{X-Forwarded-For}i %{Cookie}i", Headers: []string{"cookie", "x-forwarded-for"}, Privacy: "hmac",
		PrivacyKey: keys.NewSecret("0123456789abcdef"), Query: "true", Exclude: []string{}, FlushEvery: time.Second, Buffer: 8 * keys.KiB,
	}
	c.SetDefaults()
	if err := c.Validate(); err != nil || len(c.Exclude) != 0 || c.FlushEvery != time.Second || c.Path != "-" {
		t.Errorf("%+v: %v", c, err)
	}
	_, err := try(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Format = "%y" }}, serve(routes(nil)))
	if err == nil || !strings.Contains(err.Error(), "key \"access_log.format\": access log format: column 1: %y is no directive") {
		t.Errorf("error %v", err)
	}
}

// accessLines starts a service with these settings, has use ask it and returns its access lines.
func accessLines(t *testing.T, settings func(*chassis.AccessLogConfig), use func(h *host)) []string {
	t.Helper()
	h := start(t, options{http: chassis.HTTPConfig{H2C: true}, settings: func(s *chassis.Settings) { settings(&s.AccessLog) }}, serve(routes(map[string]chassis.Handler{
		"GET /hello":   say("hello"),
		"GET /healthz": say("ok"),
		"GET /abort":   func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
	})))
	use(h)
	h.stop()
	return strings.Split(strings.TrimSuffix(h.access.String(), "\n"), "\n")
}

func TestLinesHaveTheFormatOfTheSettings(t *testing.T) {
	port := ""
	lines := accessLines(t, func(c *chassis.AccessLogConfig) {
		c.Format = `%v %V %A:%p %{c}a %k %X %>s %{Content-Type}o %{X-Request-Id}o=%{request_id}x %{trace_id}x %{route}x %{listener}x %{failure}x %u`
	}, func(h *host) {
		conn := h.dial()
		defer conn.Close()
		_, port, _ = strings.Cut(conn.RemoteAddr().String(), ":")
		r := bufio.NewReader(conn)
		for _, request := range []string{
			"GET /hello HTTP/1.1\r\nHost: Games.test:1\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nAuthorization: Basic Og==\r\n\r\n",
			"GET /nope HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRhOnB3\r\nConnection: close\r\n\r\n",
		} {
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			read(res)
		}
		if _, err := h.client.Get(h.url("http", "/abort")); err == nil {
			t.Error("an answer that was cut off came whole")
		}
	})
	if len(lines) != 3 {
		t.Fatalf("lines %q", lines)
	}
	for i, want := range []string{
		"test games.test 127.0.0.1:" + port + " 127.0.0.1 0 + 200 - ID=ID 0af7651916cd43dd8448eb211c80319c GET /hello http - \"\"",
		"test x 127.0.0.1:" + port + " 127.0.0.1 1 - 404 application/problem+json ID=ID TRACE - http 404 ada",
		"test 127.0.0.1 127.0.0.1:" + port + " 127.0.0.1 0 X - - ID=ID TRACE GET /abort http - -",
	} {
		var id, trace string
		for _, word := range strings.Fields(lines[i]) {
			if sent, logged, ok := strings.Cut(word, "="); ok && sent == logged && len(sent) == 36 {
				id = sent
			}
			if len(word) == 32 {
				trace = word
			}
		}
		got := strings.ReplaceAll(lines[i], id, "ID")
		if strings.Contains(want, "TRACE") {
			got = strings.ReplaceAll(got, trace, "TRACE")
		}
		if id == "" || trace == "" || got != want {
			t.Errorf("line %d\n got %s\nwant %s", i, got, want)
		}
	}
}

func TestProbesHaveNoLinesUnlessTheyAreAskedFor(t *testing.T) {
	use := func(h *host) { h.get("/healthz?verbose"); h.get("/hello") }
	for want, exclude := range map[string][]string{"/hello": nil, "/healthz?verbose": {"/hello"}, "/healthz?verbose /hello": {}} {
		uris := accessLines(t, func(c *chassis.AccessLogConfig) { c.Exclude, c.Format = exclude, "%U%q" }, use)
		if got := strings.Join(uris, " "); got != want {
			t.Errorf("excluding %q: lines of %q, want %q", exclude, got, want)
		}
	}
}

func TestPrivacyHidesAddressesAndQueries(t *testing.T) {
	key := keys.NewSecret("0123456789abcdef")
	use := func(h *host) { h.get("/hello?token=x") }
	lines := func(privacy, query string, key keys.Secret) string {
		got := accessLines(t, func(c *chassis.AccessLogConfig) {
			c.Format, c.Privacy, c.Query, c.PrivacyKey = `%h "%r"`, privacy, query, key
		}, use)
		return strings.Join(got, "\n")
	}
	const bare, whole = ` "GET /hello HTTP/1.1"`, ` "GET /hello?token=x HTTP/1.1"`
	for _, c := range []struct{ privacy, query, want string }{
		{"full", "", "127.0.0.1" + whole},
		{"full", "false", "127.0.0.1" + bare},
		{"truncate", "", "127.0.0.0" + bare},
		{"truncate", "true", "127.0.0.0" + whole},
		{"drop", "auto", "-" + bare},
	} {
		if got := lines(c.privacy, c.query, keys.Secret{}); got != c.want {
			t.Errorf("%s, query %q: %s, want %s", c.privacy, c.query, got, c.want)
		}
	}
	first, random := lines("hmac", "", key), lines("hmac", "", keys.Secret{})
	if !strings.HasPrefix(first, "100::") || !strings.HasSuffix(first, bare) || lines("hmac", "", key) != first {
		t.Errorf("with a key: %s", first)
	}
	if !strings.HasPrefix(random, "100::") || random == first || lines("hmac", "", keys.Secret{}) == random {
		t.Errorf("without one: %s", random)
	}
	_, err := try(t, options{
		settings: func(s *chassis.Settings) { s.AccessLog.Privacy = "hmac" },
		world:    func(w *chassis.World) { w.Rand = strings.NewReader("thirty-two bytes for request ids, and too little") },
	}, serve(routes(nil)))
	if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "access_log.privacy_key: make one") {
		t.Errorf("without randomness for a key: %v", err)
	}
	_, err = try(t, options{world: func(w *chassis.World) { w.Rand = strings.NewReader("too little") }}, serve(routes(nil)))
	if err == nil || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "ids of requests") {
		t.Errorf("without randomness: %v", err)
	}
}

func TestStreamsHaveALineAtTheirStartWhereItIsAskedFor(t *testing.T) {
	for streams, want := range map[string]string{
		"end":   "GET /plain 200 2 0\nGET /stream 200 3 1\n",
		"start": "GET /plain 200 2 0\nGET /stream - - 1\nGET /stream 200 3 1\n",
	} {
		router := chassis.NewRouter()
		router.Handle("GET /plain", say("hi"))
		router.Handle("GET /stream", say("all"), chassis.Stream())
		h := start(t, options{settings: func(s *chassis.Settings) {
			s.AccessLog.Format, s.AccessLog.Streams = "%{route}x %>s %b %k", streams
		}}, serve(router))
		h.get("/plain")
		h.get("/stream")
		h.stop()
		if got := h.access.String(); got != want {
			t.Errorf("%s: lines\n%s, want\n%s", streams, got, want)
		}
	}
}

func TestALogDirectoryThatVanishesUnderLoadCostsNothing(t *testing.T) {
	root := t.TempDir()
	dir := root + "/log"
	path := dir + "/access.log"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.AccessLog.Path, s.AccessLog.FlushEvery, s.AccessLog.Format = path, time.Millisecond, "%U"
	}}, serve(routes(map[string]chassis.Handler{"GET /{n}": say("hi")})))
	const removals = 20
	removed, asked := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-removed:
				asked <- n
				return
			default:
			}
			if a := h.get(fmt.Sprintf("/%d", n)); a.StatusCode != http.StatusOK {
				t.Errorf("answer %d", a.StatusCode)
			}
		}
	}()
	for n := range removals {
		gone := fmt.Sprintf("%s/gone%d", root, n)
		eventually(t, func() bool {
			_, err := os.Stat(path)
			return err == nil && os.Rename(dir, gone) == nil
		}, "removal %d: the log is not back", n)
	}
	close(removed)
	requests := <-asked + 1
	h.get("/last")
	h.stop()
	h.wantMetric(float64(requests), "access_log_lines_total")
	h.wantMetric(0, "access_log_dropped_total")
	logs, err := filepath.Glob(root + "/*/access.log")
	if err != nil || len(logs) != removals+1 {
		t.Errorf("%d log files after %d removals, %v", len(logs), removals, err)
	}
	seen := map[string]bool{}
	for _, file := range logs {
		for line := range strings.Lines(readFile(t, file)) {
			seen[line] = true
		}
	}
	if len(seen) != requests {
		t.Errorf("%d different lines of %d requests", len(seen), requests)
	}
}

func TestLinesTellWhatARequestMovesOverTheNetwork(t *testing.T) {
	var sent, received []int
	lines := accessLines(t, func(c *chassis.AccessLogConfig) { c.Format = "%I %O %S %>s %H" }, func(h *host) {
		for _, request := range []string{
			"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
			"GET /hello HTTP/1.1\r\n\r\n",
		} {
			conn := h.dial()
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.Close()
			sent, received = append(sent, len(request)), append(received, len(got))
		}
	})
	for i, want := range []string{"200 HTTP/1.1", "200 HTTP/1.1", "405 HTTP/1.1", "400 HTTP/1.1"} {
		if want = fmt.Sprintf("%d %d %d %s", sent[i], received[i], sent[i]+received[i], want); i >= len(lines) || lines[i] != want {
			t.Errorf("line %d: want %s in %q", i, want, lines)
		}
	}
}

func TestRequestsOfHTTP2HaveNoTrafficAndNoneBeforeThem(t *testing.T) {
	lines := accessLines(t, func(c *chassis.AccessLogConfig) { c.Format = "%I %O %S %k %B %H" }, func(h *host) {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		for range 2 {
			res, err := (&http.Client{Transport: transport}).Get(h.url("http", "/hello"))
			if err != nil {
				t.Fatal(err)
			}
			read(res)
		}
	})
	for _, line := range lines {
		if line != "- - - - 5 HTTP/2.0" {
			t.Errorf("line %s", line)
		}
	}
	if len(lines) != 2 {
		t.Errorf("lines %q", lines)
	}
}
