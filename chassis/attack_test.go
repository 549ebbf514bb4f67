package chassis_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// Each of these tests is an attack on a service as it is configured by default, with shorter times
// where it would last, over real sockets. What is to be seen is that it fails, and that others
// are served meanwhile.

// dripping sends one byte of text every d until the connection ends, and returns what came.
func dripping(c net.Conn, text string, d time.Duration) string {
	go func() {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(d) // slowness is the attack
		}
	}()
	b, _ := io.ReadAll(c) // it may be reset, as bytes are underway
	return string(b)
}

func TestASlowHeaderIsCut(t *testing.T) {
	t.Parallel()
	h := start(t, options{http: chassis.HTTPConfig{HeaderTimeout: 2 * time.Second}}, serve(routes(map[string]chassis.Handler{"GET /": say("")})))
	c := h.dial()
	defer c.Close()
	begun := time.Now()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	got := dripping(c, "Host: x\r\nX-Long: "+strings.Repeat("x", 10_000), 5*time.Millisecond)
	// Where the cut falls into a line, net/http mostly takes the half for a malformed one.
	silent, malformed := got == "", strings.HasPrefix(got, "HTTP/1.1 400")
	if took := time.Since(begun); !silent && !malformed || took > 30*time.Second {
		t.Errorf("answer %q after %v", got, took)
	}
	h.stop()
	lines := h.lines()
	if len(lines) != 1 || lines[0].Method != "GET" || silent && lines[0].Status != 408 || malformed && lines[0].Status != 400 {
		t.Errorf("lines %+v", lines)
	}
}

func TestASlowBodyIsCut(t *testing.T) {
	t.Parallel()
	h := start(t, options{http: chassis.HTTPConfig{BodyTimeout: 200 * time.Millisecond}}, serve(routes(map[string]chassis.Handler{"POST /": bodies})))
	c := h.dial()
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got := dripping(c, strings.Repeat("x", 10_000), 20*time.Millisecond) // 50 bytes a second
	if !strings.HasPrefix(got, "HTTP/1.1 408") || !strings.Contains(got, "Connection: close") {
		t.Errorf("answer %q", got)
	}
}

func TestABodyThatKeepsComingHasMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, c := range map[string]struct {
			cfg     chassis.HTTPConfig
			rate    int // bytes a second
			status  int
			atLeast time.Duration
			atMost  time.Duration
		}{
			"fast":                         {chassis.HTTPConfig{}, 1000, 200, 49 * time.Second, 50 * time.Second},
			"just fast enough":             {chassis.HTTPConfig{}, 250, 200, 199 * time.Second, 200 * time.Second},
			"too slow":                     {chassis.HTTPConfig{}, 100, 408, 30 * time.Second, 60 * time.Second},
			"a byte now and then":          {chassis.HTTPConfig{}, 1, 408, 30 * time.Second, 31 * time.Second},
			"fast where none has more":     {chassis.HTTPConfig{MinBodyRate: -1}, 1000, 408, 30 * time.Second, 30 * time.Second},
			"slow where a body may be so":  {chassis.HTTPConfig{MinBodyRate: 50}, 100, 200, 499 * time.Second, 500 * time.Second},
			"slow where there is no bound": {chassis.HTTPConfig{BodyTimeout: -1}, 10, 200, 4999 * time.Second, 5000 * time.Second},
		} {
			c.cfg.Timeout = -1
			h := start(t, options{pipes: true, http: c.cfg}, serve(routes(map[string]chassis.Handler{"POST /": bodies})))
			begin := time.Now()
			conn, answers := h.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n")
			var sender sync.WaitGroup
			sender.Go(func() {
				for sent := 0; sent < 50_000; sent += c.rate {
					if _, err := conn.Write(make([]byte, c.rate)); err != nil {
						return
					}
					time.Sleep(time.Second) // virtual
				}
			})
			a := answerFrom(t, answers)
			if took := time.Since(begin); a.StatusCode != c.status || took < c.atLeast || took > c.atMost {
				t.Errorf("%s: %d after %v", what, a.StatusCode, took)
			}
			_ = conn.Close()
			sender.Wait()
			h.stop()
		}
	})
}

func TestHeadersThatAreTooLargeAreRefusedAndLogged(t *testing.T) {
	t.Parallel()
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
	for what, header := range map[string]string{
		"1.2 MiB in one line":    "X-Long: " + strings.Repeat("x", 1_258_291) + "\r\n",
		"1.2 MiB in short lines": strings.Repeat("X-A: b\r\n", 1_258_291/8),
		"40 KiB":                 "X-Long: " + strings.Repeat("x", 40<<10) + "\r\n",
	} {
		c := h.dial()
		go func() { _, _ = io.WriteString(c, "GET /"+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n") }() // it is not read to the end
		status := make([]byte, len("HTTP/1.1 431"))
		if _, err := io.ReadFull(c, status); err != nil || string(status) != "HTTP/1.1 431" {
			t.Errorf("%s: %q, %v", what, status, err)
		}
		_ = c.Close()
	}
	if a := h.get("/", "X-Fits", strings.Repeat("x", 30<<10)); a.StatusCode != 200 {
		t.Errorf("30 KiB: %d", a.StatusCode)
	}
	h.stop()
	refused := 0
	for _, line := range h.lines() {
		if line.Status == 431 && line.Method == "GET" && line.URI == "/" && line.Client.String() == "127.0.0.1" {
			refused++
		}
	}
	if refused != 3 {
		t.Errorf("lines %+v", h.lines())
	}
	h.wantMetric(3, "requests_refused_total", "listener", "http", "reason", "header_too_large")
	if len(h.logged("refused")) != 3 {
		t.Errorf("the application log has %d", len(h.logged("refused")))
	}
}

func TestARequestWithTwoLengthsSmugglesNothing(t *testing.T) {
	t.Parallel()
	var served atomic.Int32
	h := start(t, options{}, serve(routes(map[string]chassis.Handler{
		"POST /": bodies,
		"GET /admin": func(http.ResponseWriter, *http.Request) error {
			served.Add(1)
			return nil
		},
	})))
	for _, head := range []string{
		"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"Content-Length: 4\r\nContent-Length: 5\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: xchunked\r\n", "Transfer-Encoding : chunked\r\n",
	} {
		h.raw("POST / HTTP/1.1\r\nHost: x\r\n" + head + "\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	h.stop()
	if n := served.Load(); n != 0 {
		t.Errorf("%d requests were smuggled", n)
	}
	if n := len(h.lines()); n != 6 {
		t.Errorf("%d lines for 6 requests: %+v", n, h.lines())
	}
}

// spread has the connections of a listener come from one address and then from others.
type spread struct {
	net.Listener
	from func() netip.AddrPort
}

func (l spread) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return from{c, net.TCPAddrFromAddrPort(l.from())}, nil
}

type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

func TestOneClientCannotTakeAllConnections(t *testing.T) {
	t.Parallel()
	var other atomic.Bool
	h := start(t, options{world: func(w *chassis.World) {
		w.Listen = func(_ context.Context, name, network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return spread{l, func() netip.AddrPort {
				if other.Load() {
					return netip.MustParseAddrPort("198.51.100.1:1")
				}
				return netip.MustParseAddrPort("192.0.2.1:1")
			}}, err
		}
	}}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
	const most = 256
	for range most {
		c := h.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if a := answerFrom(t, bufio.NewReader(c)); a.StatusCode != 200 {
			t.Fatalf("answer %d", a.StatusCode)
		}
	}
	for range 3 {
		c := h.dial()
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
			t.Errorf("one more is answered %q, %v", b, err)
		}
		_ = c.Close()
	}
	other.Store(true)
	if a := h.get("/"); a.StatusCode != 200 {
		t.Errorf("another client is answered %d", a.StatusCode)
	}
	h.stop()
	h.wantMetric(3, "connections_refused_total", "listener", "http", "reason", "client_limit")
	if n := len(h.logged("refused")); n != 3 || len(h.lines()) != most+1 {
		t.Errorf("%d refusals, %d access lines", n, len(h.lines()))
	}
}

func TestATrustedProxyHasAsManyConnectionsAsItLikes(t *testing.T) {
	t.Parallel()
	cfg := chassis.HTTPConfig{MaxConnsPerClient: 1}
	cfg.ACL.TrustedProxies, cfg.ACL.ClientFrom = []string{"192.0.2.0/24"}, "x-forwarded-for"
	h := start(t, options{http: cfg, world: func(w *chassis.World) {
		w.Listen = func(_ context.Context, _, network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return spread{l, func() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:1") }}, err
		}
	}}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
	for range 3 {
		c := h.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if a := answerFrom(t, bufio.NewReader(c)); a.StatusCode != 200 {
			t.Errorf("answer %d", a.StatusCode)
		}
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	large := func(w http.ResponseWriter, _ *http.Request) error {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				panic(http.ErrAbortHandler)
			}
		}
	}
	r := routes(map[string]chassis.Handler{"GET /": large})
	r.Handle("GET /stream", large, chassis.Stream())
	h := start(t, options{http: chassis.HTTPConfig{WriteTimeout: 100 * time.Millisecond, H2C: true}}, serve(r))
	for _, path := range []string{"/", "/stream"} {
		c := h.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, ended, "the end of the handler"); err == nil {
			t.Error("no error")
		}
	}
	a := h.attack(t, nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	a.get(t, 1, "/")
	a.get(t, 3, "/stream")
	for range 2 {
		receive(t, ended, "the end of the handler of a stream")
	}
}

// attacker is a client of HTTP/2 that does as it likes with its frames.
type attacker struct {
	*http2.Framer
	conn    net.Conn
	headers *hpack.Encoder
	block   *bytes.Buffer
}

// attack opens a connection, over TLS unless config is nil.
func (h *host) attack(t *testing.T, config *tls.Config, settings ...http2.Setting) *attacker {
	t.Helper()
	c := h.dial()
	if config != nil {
		config = config.Clone()
		config.NextProtos, config.ServerName = []string{"h2"}, "127.0.0.1"
		c = tls.Client(c, config)
	}
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	a := &attacker{Framer: http2.NewFramer(c, bufio.NewReader(c)), conn: c, block: new(bytes.Buffer)}
	a.headers = hpack.NewEncoder(a.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return a
}

// encoded is a header for GET with more fields.
func (a *attacker) encoded(path string, more ...hpack.HeaderField) []byte {
	a.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: path},
	}, more...) {
		_ = a.headers.WriteField(f) // to a buffer
	}
	return a.block.Bytes()
}

func (a *attacker) open(id uint32, path string, more ...hpack.HeaderField) error {
	return a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.encoded(path, more...), EndHeaders: true, EndStream: true})
}

func (a *attacker) get(t *testing.T, id uint32, path string) {
	t.Helper()
	if err := a.open(id, path); err != nil {
		t.Fatal(err)
	}
}

// goAway reads until the server ends the connection, and returns why.
func (a *attacker) goAway() (code http2.ErrCode, end error) {
	for {
		f, err := a.ReadFrame()
		if err != nil {
			return code, err
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = g.ErrCode
		}
	}
}

// overHTTP2 runs an attack in plain text and over TLS, at the same time, each on a service of its own.
func overHTTP2(t *testing.T, handler func(*load) chassis.Handler, f func(t *testing.T, l *load, a *attacker)) {
	pair := certificate(t)
	for what, c := range map[string]struct {
		cfg    chassis.HTTPConfig
		client *tls.Config
	}{"in plain text": {chassis.HTTPConfig{H2C: true}, nil}, "over TLS": {chassis.HTTPConfig{TLS: pair.config}, pair.client()}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := new(load)
			h := start(t, options{http: c.cfg}, serve(routes(map[string]chassis.Handler{"GET /": handler(l), "GET /other": say("hello")})))
			a := h.attack(t, c.client)
			f(t, l, a)
			// Others are served.
			if c.client != nil {
				transport := h.client.Transport.(*http.Transport)
				transport.TLSClientConfig, transport.ForceAttemptHTTP2 = c.client, true
			}
			req := h.request("GET", "/other", nil)
			if c.client != nil {
				req.URL.Scheme = "https"
			}
			if a := h.do(req); a.StatusCode != 200 {
				t.Errorf("others are answered %d", a.StatusCode)
			}
			_ = a.conn.Close()
			h.stop()
		})
	}
}

// load knows how many handlers run, and how many there were at most.
type load struct{ now, most atomic.Int64 }

// enter counts a handler until what it returns is called.
func (l *load) enter() (leave func()) {
	n := l.now.Add(1)
	for old := l.most.Load(); n > old && !l.most.CompareAndSwap(old, n); old = l.most.Load() {
	}
	return func() { l.now.Add(-1) }
}

// waiting is a handler that waits for its caller to leave.
func waiting(l *load) chassis.Handler {
	return func(_ http.ResponseWriter, r *http.Request) error {
		defer l.enter()()
		<-r.Context().Done()
		return r.Context().Err()
	}
}

// silent is a handler that answers nothing at once.
func silent(*load) chassis.Handler { return say("") }

func TestMoreStreamsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	overHTTP2(t, waiting, func(t *testing.T, l *load, a *attacker) {
		for i := range uint32(150) {
			a.get(t, 2*i+1, "/")
		}
		refused := 0
		for refused < 50 {
			f, err := a.ReadFrame()
			if err != nil {
				t.Fatalf("after %d refused streams: %v", refused, err)
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if v, ok := f.Value(http2.SettingMaxConcurrentStreams); ok && v != 100 {
					t.Errorf("%d streams are allowed", v)
				}
			case *http2.RSTStreamFrame:
				if f.ErrCode != http2.ErrCodeRefusedStream && f.ErrCode != http2.ErrCodeProtocol {
					t.Errorf("refused with %v", f.ErrCode)
				}
				refused++
			}
		}
		if n := l.most.Load(); n > 100 {
			t.Errorf("%d handlers at a time", n)
		}
	})
}

// CVE-2023-44487: a stream that is reset at once does not count as open, but its handler runs.
func TestStreamsThatAreResetAtOnceDoNotPileUp(t *testing.T) {
	t.Parallel()
	overHTTP2(t, func(l *load) chassis.Handler {
		return func(http.ResponseWriter, *http.Request) error {
			defer l.enter()()
			time.Sleep(2 * time.Second) // it does not look whether the caller is there
			return nil
		}
	}, func(t *testing.T, l *load, a *attacker) {
		go func() {
			for id := uint32(1); ; id += 2 {
				if a.open(id, "/") != nil || a.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
		}()
		if code, err := a.goAway(); code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("the connection ended with %v, %v", code, err)
		}
		if n := l.most.Load(); n > 100 {
			t.Errorf("%d handlers at a time", n)
		}
	})
}

// CVE-2023-45288: the header never ends, and what is too much of it is decoded all the same.
func TestAHeaderWithoutEndIsCut(t *testing.T) {
	t.Parallel()
	overHTTP2(t, silent, func(t *testing.T, _ *load, a *attacker) {
		block := a.encoded("/")
		if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true}); err != nil {
			t.Fatal(err)
		}
		sent := make(chan int, 1)
		go func() {
			n := 0
			for ; n < 64<<20; n += 8 << 10 {
				field := hpack.HeaderField{Name: "x-flood", Value: strings.Repeat("x", 8<<10), Sensitive: true}
				a.block.Reset()
				_ = a.headers.WriteField(field) // to a buffer
				if a.WriteContinuation(1, false, a.block.Bytes()) != nil {
					break
				}
			}
			sent <- n
		}()
		if _, err := a.goAway(); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it goes on: %v", err)
		}
		_ = a.conn.Close()
		if n := receive(t, sent, "the end of the flood"); n >= 64<<20 {
			t.Errorf("%d bytes were taken", n)
		}
	})
}

// A field is put into the compression table once and named by one byte each time after that.
func TestAHeaderThatUnfoldsIsRefused(t *testing.T) {
	t.Parallel()
	overHTTP2(t, silent, func(t *testing.T, _ *load, a *attacker) {
		bomb := hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("x", 3000)}
		fields := make([]hpack.HeaderField, 5000) // 15 MB of 8 kB
		for i := range fields {
			fields[i] = bomb
		}
		if err := a.open(1, "/", fields...); err != nil {
			t.Fatal(err)
		}
		for {
			f, err := a.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				fields, err := hpack.NewDecoder(4096, nil).DecodeFull(h.HeaderBlockFragment())
				if err != nil || fields[0].Value != "431" {
					t.Errorf("answer %v, %v", fields, err)
				}
				return
			}
			if _, ok := f.(*http2.RSTStreamFrame); ok {
				return
			}
			if _, ok := f.(*http2.GoAwayFrame); ok {
				return
			}
		}
	})
}

func TestWhatHTTP2RefusesIsCountedAndLogged(t *testing.T) {
	t.Parallel()
	h := start(t, options{http: chassis.HTTPConfig{H2C: true}}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
	a := h.attack(t, nil)
	fields := make([]hpack.HeaderField, 100) // 300 kB
	for i := range fields {
		fields[i] = hpack.HeaderField{Name: "x-bomb", Value: strings.Repeat("x", 3000)}
	}
	for i, err := range []error{a.open(1, "/", fields...), a.open(3, "/", hpack.HeaderField{Name: "te", Value: "gzip"}), a.open(5, "no path")} {
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	for ended := 0; ended < 3; {
		f, err := a.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() || f.Header().Type == http2.FrameRSTStream {
			ended++
		}
	}
	_ = a.conn.Close()
	h.stop()
	var statuses []int
	for _, line := range h.lines() {
		if line.URI != "" || line.Client.String() != "127.0.0.1" || line.Method != "" {
			t.Errorf("line %+v", line)
		}
		statuses = append(statuses, line.Status)
	}
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{0, 400, 431}) {
		t.Errorf("statuses %v", statuses)
	}
	h.wantMetric(1, "requests_refused_total", "listener", "http", "reason", "header_too_large")
	h.wantMetric(2, "requests_refused_total", "listener", "http", "reason", "malformed")
}

// CVE-2019-9512: frames that want an answer, from a client that reads none.
func TestAnswersThatNobodyReadsDoNotPileUp(t *testing.T) {
	t.Parallel()
	// A unix socket keeps less unread than TCP does. No time is needed for what is counted.
	cfg := chassis.HTTPConfig{Addr: "unix:" + filepath.Join(t.TempDir(), "s"), H2C: true, WriteTimeout: -1}
	h := start(t, options{http: cfg}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
	a := h.attack(t, nil)
	var flood bytes.Buffer
	for framer := http2.NewFramer(&flood, nil); flood.Len() < 64<<10; {
		_ = framer.WritePing(false, [8]byte{1}) // to a buffer
	}
	for sent := 0; ; sent += flood.Len() {
		if sent > 64<<20 {
			t.Fatal("64 MiB were taken")
		}
		if _, err := a.conn.Write(flood.Bytes()); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is still open: %v", err)
			}
			break
		}
	}
	if text := h.raw("GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(text, "hello") {
		t.Errorf("others are answered %q", text)
	}
}

// footprint is what the process holds: goroutines, and bytes of live heap.
func footprint() (goroutines int, heap uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// CVE-2019-9515: each SETTINGS wants an answer. It runs alone, to know what it costs.
func TestAFloodOfSettingsDoesNotPileUp(t *testing.T) {
	for what, reads := range map[string]bool{"from a client that reads": true, "from one that does not": false} {
		t.Run(what, func(t *testing.T) {
			cfg := chassis.HTTPConfig{Addr: "unix:" + filepath.Join(t.TempDir(), "s"), H2C: true, WriteTimeout: 500 * time.Millisecond}
			if reads {
				cfg.WriteTimeout = time.Minute // a busy machine may be late to read
			}
			h := start(t, options{http: cfg}, serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
			a := h.attack(t, nil)
			most := 64 << 20
			if reads {
				most = 2 << 20 // 140,000 frames, each of which is answered
				go func() { _, _ = io.Copy(io.Discard, a.conn) }()
			}
			goroutines, heap := footprint()
			var flood bytes.Buffer
			framer := http2.NewFramer(&flood, nil)
			for i := 0; flood.Len() < 256<<10; i++ {
				_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1<<16 + i)}) // to a buffer
			}
			var end error
			for sent := 0; sent < most && end == nil; sent += flood.Len() {
				_, end = a.conn.Write(flood.Bytes())
				if g, b := footprint(); g > goroutines+10 || b > heap+16<<20 {
					t.Fatalf("after %d bytes there are %d goroutines and %d bytes of heap; there were %d and %d", sent, g, b, goroutines, heap)
				}
			}
			if reads && end != nil || !reads && (end == nil || errors.Is(end, os.ErrDeadlineExceeded)) {
				t.Errorf("the flood ended with %v", end)
			}
			if text := h.raw("GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(text, "hello") {
				t.Errorf("others are answered %q", text)
			}
		})
	}
}
