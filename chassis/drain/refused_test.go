package drain_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// told collects refusals.
func told(o drain.Options) (drain.Options, chan drain.Refusal) {
	refusals := make(chan drain.Refusal, 16)
	o.Entry.Refused = func(r drain.Refusal) { refusals <- r }
	return o, refusals
}

func wantRefusal(t *testing.T, refusals chan drain.Refusal, reason drain.Reason, status int, line string) drain.Refusal {
	t.Helper()
	select {
	case r := <-refusals:
		if r.Reason != reason || r.Status != status || string(r.Line) != line {
			t.Errorf("refused for %s with %d: %q (%v), want %s with %d: %q", r.Reason, r.Status, r.Line, r.Err, reason, status, line)
		}
		return r
	case <-time.After(30 * time.Second):
		t.Fatalf("no refusal for %s", reason)
		panic("unreachable")
	}
}

func TestRequestsThatNeverReachAHandlerAreTold(t *testing.T) {
	clean(t)
	o, refusals := told(drain.Options{H2C: true})
	s := serve(t, listen(t), &http.Server{Handler: named("s"), MaxHeaderBytes: 1 << 10}, o)
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		what, request, line string
		status              int
	}{
		{"no request", "nonsense and more\r\n\r\n", "nonsense and more", 400},
		{"no host", "GET /nohost HTTP/1.1\r\n\r\n", "GET /nohost HTTP/1.1", 400},
		{"a version to come", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "GET / HTTP/9.9", 505},
		{"an unknown coding", "POST /coded HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: rot13\r\n\r\nabc", "POST /coded HTTP/1.1", 501},
		{"an unknown expectation", "GET /e HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n", "GET /e HTTP/1.1", 417},
		{"bare line feeds", "GET /\x01 HTTP/1.1\nHost: x\n\n", "GET /\x01 HTTP/1.1", 400},
		{"a header of 64 KiB", "GET /bomb HTTP/1.1\r\nHost: x\r\nBomb: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "GET /bomb HTTP/1.1", 431},
		{"a long line", "GET /" + long + " HTTP/1.1\r\n\r\n", "GET /" + long[:507], 400},
		{"a question to all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1", 200},
	} {
		t.Run(c.what, func(t *testing.T) {
			conn := dial(t, s.addr)
			_, _ = io.WriteString(conn, c.request) // that of 64 KiB may be answered before it is written
			r := wantRefusal(t, refusals, drain.ReasonRequest, c.status, c.line)
			if r.Peer.String() != conn.LocalAddr().String() || r.Note == nil || r.Err != nil {
				t.Errorf("refusal %+v", r)
			}
			if _, res, _ := conn.receive(); res != nil && res.StatusCode != c.status {
				t.Errorf("answered with %d", res.StatusCode)
			}
		})
	}
	t.Run("after others on the same connection", func(t *testing.T) {
		conn := dial(t, s.addr)
		conn.send(t, get("/good"))
		conn.want(t, "s /good 0")
		conn.send(t, post("/good", 3))
		conn.want(t, "s /good 3")
		// One that comes before net/http is done with the one before is as if sent with it.
		until(t, "the connection is idle", func() bool { return s.States().Active == 0 })
		conn.send(t, "GET /bad HTTP/1.1\r\n\r\n")
		wantRefusal(t, refusals, drain.ReasonRequest, 400, "GET /bad HTTP/1.1")
	})
	t.Run("sent with the one before, its line is not known", func(t *testing.T) {
		conn := dial(t, s.addr)
		conn.send(t, get("/good")+"GET /bad HTTP/1.1\r\n\r\n")
		conn.want(t, "s /good 0")
		wantRefusal(t, refusals, drain.ReasonRequest, 400, "")
	})
	t.Run("and what a handler answers is not told", func(t *testing.T) {
		conn := dial(t, s.addr)
		conn.send(t, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n")
		if _, res, err := conn.receive(); err != nil || res.StatusCode != 400 {
			t.Errorf("answer %v, %v", res, err)
		}
		conn.wantEnd(t)
		select {
		case r := <-refusals:
			t.Errorf("told of %+v", r)
		default:
		}
	})
}

func TestAHeaderThatDoesNotComeInTimeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{})
		s := virtual(t, &http.Server{Handler: named("s"), ReadHeaderTimeout: 50 * time.Millisecond}, o)
		idle := s.dial(t) // has sent nothing, which is no request
		c := s.dial(t)
		c.send(t, "GET /slow HTTP/1.1\r\nHost:")
		c.wantEnd(t)
		idle.wantEnd(t)
		wantRefusal(t, refusals, drain.ReasonTimeout, 0, "GET /slow HTTP/1.1")
		if len(refusals) != 0 {
			t.Errorf("also told of %+v", <-refusals)
		}
	})
}

func TestALineBreakBehindABodyIsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{H2C: true})
		s := virtual(t, &http.Server{Handler: named("s"), ReadHeaderTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond}, o)
		for _, next := range []struct {
			sent, line string
			reason     drain.Reason
			status     int
		}{
			{"", "", "", 0},
			{"nonsense and more\r\n\r\n", "nonsense and more", drain.ReasonRequest, 400},
			{"GET /slow HTTP/1.1\r\nHost: x\r\n", "GET /slow HTTP/1.1", drain.ReasonTimeout, 0},
		} {
			c := s.dial(t)
			c.send(t, post("/p", 4))
			c.want(t, "s /p 4")
			synctest.Wait()                            // until the connection is idle
			_, _ = io.WriteString(c, "\r\n"+next.sent) // all but what a refusal leaves unread
			_, _ = io.ReadAll(c.r)                     // to the end of the connection
			if next.reason != "" {
				wantRefusal(t, refusals, next.reason, next.status, next.line)
			}
			c = s.dial(t)
			c.send(t, post("/p", 4))
			c.want(t, "s /p 4")
			c.send(t, "\r\n"+get("/g"))
			c.want(t, "s /g 0")
			_ = c.Close()
			synctest.Wait()
			if n := s.Stats().Conns; n != 0 {
				t.Errorf("%d connections are left", n)
			}
		}
		if len(refusals) > 0 {
			t.Errorf("refused: %+v", <-refusals)
		}
	})
}

func TestTheLineIsTheRequestsWhereverItsHeaderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{})
		s := virtual(t, &http.Server{Handler: named("s"), ReadHeaderTimeout: 50 * time.Millisecond}, o)
		// net/http keeps what it has not looked at where the line was, and may answer instead of being silent.
		for _, header := range []string{"", "H", "Host", "Host: x", "Host: x\r\n", "Host: x\r\nX", "Host: x\r\nX-Long: 1234567890123456789012345"} {
			c := s.dial(t)
			c.send(t, "GET /slow HTTP/1.1\r\n"+header)
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Fatal(err)
			}
			if r := <-refusals; string(r.Line) != "GET /slow HTTP/1.1" {
				t.Errorf("with the header %q: refused for %s with %d: %q", header, r.Reason, r.Status, r.Line)
			}
		}
	})
}

func TestHandshakesThatFailAreTold(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	o, refusals := told(drain.Options{TLS: config})
	s := serve(t, listen(t), &http.Server{Handler: named("s"), ErrorLog: log.New(new(complaints), "", 0)}, o)
	probe := dial(t, s.addr) // of a load balancer: nothing to tell
	until(t, "it is open", func() bool { return s.Stats().Conns == 1 })
	probe.Close()
	until(t, "it is closed", func() bool { return s.Stats().Conns == 0 })
	c := dial(t, s.addr)
	c.send(t, get("/"))
	if r := wantRefusal(t, refusals, drain.ReasonPlain, 400, ""); r.Err == nil {
		t.Error("without a cause")
	}
	c = dial(t, s.addr)
	c.send(t, "nonsense that is no TLS\r\n")
	wantRefusal(t, refusals, drain.ReasonHandshake, 0, "")
	old := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if _, err := tls.Dial("tcp", s.addr, old); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	wantRefusal(t, refusals, drain.ReasonHandshake, 0, "")
	// What is spoken is not what was negotiated.
	h2, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer h2.Close()
	if _, err := io.WriteString(h2, get("/h1")); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, refusals, drain.ReasonRequest, 0, "GET /h1 HTTP/1") // what was read by then
	if b, err := io.ReadAll(h2); len(b) > 0 || err != nil {
		t.Errorf("answer %q, %v", b, err)
	}
}

func TestAClientThatBreaksTheRulesOfHTTP2IsTold(t *testing.T) {
	clean(t)
	o, refusals := told(drain.Options{H2C: true})
	s := start(t, named("s"), o)
	c := dial(t, s.addr)
	c.send(t, http2.ClientPreface)
	framer := http2.NewFramer(c, c.r)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteWindowUpdate(0, 1<<31-1); err != nil { // more than 2^31-1 in all: RFC 9113, 6.9.1
		t.Fatal(err)
	}
	if r := wantRefusal(t, refusals, drain.ReasonHTTP2, 0, ""); !strings.Contains(r.Err.Error(), "code 3") {
		t.Errorf("error %v", r.Err)
	}
}

// Who hears of a refusal writes it into a log that ends with the drain.
func TestADrainWaitsUntilARefusalHasBeenTold(t *testing.T) {
	hears, heard := make(chan bool), make(chan bool)
	s := start(t, named("s"), drain.Options{H2C: true, Entry: drain.Entry{Refused: func(drain.Refusal) {
		close(hears)
		<-heard
	}}})
	c := dial(t, s.addr)
	dialH2(t, c, 1<<16).get(t, 1, "no path")
	<-hears
	_ = c.Close()
	done := draining(t, s, drain.Leave{})
	select {
	case err := <-done:
		t.Errorf("the drain has ended before: %v", err)
		close(heard)
	case <-time.After(200 * time.Millisecond): // it ended in a few without
		close(heard)
		drained(t, done)
	}
}

func TestRequestsOfHTTP2ThatNeverReachAHandlerAreTold(t *testing.T) {
	clean(t)
	config, _ := certificate(t)
	for what, o := range map[string]drain.Options{"in plain text": {H2C: true}, "with TLS": {TLS: config}} {
		t.Run(what, func(t *testing.T) {
			o, refusals := told(o)
			s := serve(t, listen(t), &http.Server{Handler: named("s"), MaxHeaderBytes: 8 << 10}, o)
			c := dial(t, s.addr)
			if o.TLS != nil {
				c = clientOn(t, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}))
			}
			c.send(t, http2.ClientPreface)
			framer := http2.NewFramer(c, c.r)
			if err := framer.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			var block bytes.Buffer
			encoder := hpack.NewEncoder(&block)
			id := uint32(1)
			ask := func(path string, fields ...string) {
				t.Helper()
				block.Reset()
				all := append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "x"}, fields...)
				for i := 0; i < len(all); i += 2 {
					_ = encoder.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}) // to a buffer
				}
				if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
					t.Fatal(err)
				}
				id += 2
			}
			want := func(status int, err string) {
				t.Helper()
				r := wantRefusal(t, refusals, drain.ReasonRequest, status, "")
				if !r.HTTP2 || r.Peer.String() != c.LocalAddr().String() || err != fmt.Sprint(r.Err) {
					t.Errorf("refusal %+v, want %s", r, err)
				}
			}
			var bomb []string // 20 kB of one that is within bounds
			for range 10 {
				bomb = append(bomb, "x-bomb", strings.Repeat("x", 2000))
			}
			for range 2 { // the second comes compressed
				ask("/", bomb...)
				want(431, "<nil>")
				ask("/", "connection", "keep-alive")
				want(400, `request header "Connection" is not valid in HTTP/2`)
				ask("/", "te", "gzip")
				want(400, `request header "TE" may only be "trailers" in HTTP/2`)
			}
			ask("no path")
			want(0, "HTTP/2 error code 1 for stream 13")
			ask("/", "x-bad", "\x00")
			want(0, "HTTP/2 error code 1 for stream 15")
			ask("/good")
			for {
				f, err := framer.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if d, ok := f.(*http2.DataFrame); ok && d.StreamID == id-2 {
					if string(d.Data()) != "s /good 0" {
						t.Errorf("answer %q", d.Data())
					}
					break
				}
			}
			if len(refusals) != 0 {
				t.Errorf("also told of %+v", <-refusals)
			}
		})
	}
}

// elsewhere has connections come from another address than they do.
type elsewhere struct {
	net.Listener
	from func(n int) string
	n    int
}

func (l *elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.n++
	return distant{c, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(l.from(l.n)), 1000))}, nil
}

type distant struct {
	net.Conn
	addr net.Addr
}

func (d distant) RemoteAddr() net.Addr { return d.addr }

func TestAClientHasNoMoreConnectionsThanAllowed(t *testing.T) {
	clean(t)
	for what, c := range map[string]struct {
		from    func(n int) string
		allowed bool
	}{
		"one IPv4 address":          {func(int) string { return "192.0.2.7" }, false},
		"one mapped into IPv6":      {func(n int) string { return []string{"192.0.2.7", "::ffff:192.0.2.7"}[n%2] }, false},
		"one IPv6 network":          {func(n int) string { return fmt.Sprintf("2001:db8:0:1::%d", n) }, false},
		"one link":                  {func(n int) string { return fmt.Sprintf("fe80::1%%eth%d", n) }, false},
		"many IPv4 addresses":       {func(n int) string { return fmt.Sprintf("192.0.2.%d", n) }, true},
		"many IPv6 networks":        {func(n int) string { return fmt.Sprintf("2001:db8:0:%d::1", n) }, true},
		"a trusted proxy":           {func(int) string { return "198.51.100.1" }, true},
		"this machine":              {func(int) string { return "127.0.0.1" }, true},
		"this machine through IPv6": {func(int) string { return "::1" }, true},
	} {
		t.Run(what, func(t *testing.T) {
			o, refusals := told(drain.Options{Entry: drain.Entry{
				MaxConnsPerClient: 2,
				Exempt:            func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.1") },
			}})
			s := serve(t, &elsewhere{Listener: listen(t), from: c.from}, &http.Server{Handler: named("s")}, o)
			open := []*client{dial(t, s.addr), dial(t, s.addr)}
			for _, o := range open {
				o.send(t, get("/"))
				o.want(t, "s / 0")
			}
			third := dial(t, s.addr)
			if c.allowed {
				third.send(t, get("/"))
				third.want(t, "s / 0")
				return
			}
			third.wantEnd(t)
			wantRefusal(t, refusals, drain.ReasonClient, 0, "")
			open[0].Close()
			until(t, "the first is off the books", func() bool { return s.Stats().Conns == 1 })
			fourth := dial(t, s.addr)
			fourth.send(t, get("/"))
			fourth.want(t, "s / 0")
		})
	}
}

func TestAdoptedConnectionsCountForTheirClientAndAreLetIn(t *testing.T) {
	clean(t)
	o, refusals := told(drain.Options{Entry: drain.Entry{MaxConnsPerClient: 1}})
	s := serve(t, &elsewhere{Listener: listen(t), from: func(int) string { return "192.0.2.7" }}, &http.Server{Handler: named("s")}, o)
	l := listen(t)
	defer l.Close()
	for range 2 {
		c := dial(t, l.Addr().String())
		near, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Adopt(distant{near, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.7:1"))}, nil, nil); err != nil {
			t.Fatal(err)
		}
		c.send(t, get("/"))
		c.want(t, "s / 0")
	}
	dial(t, s.addr).wantEnd(t)
	wantRefusal(t, refusals, drain.ReasonClient, 0, "")
}

func TestWhoseRequestHasTwoLengthsIsDisconnected(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{})
	chunks := "3\r\nabc\r\n0\r\n\r\n"
	for _, c := range []struct {
		what, head string
		closed     bool
	}{
		{"both", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", true},
		{"both, written oddly", "POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding:chunked\r\ncONTENT-lENGTH:3\r\n\r\n", true},
		{"both, with bare line feeds", "POST / HTTP/1.1\nHost: x\nContent-Length: 3\nTransfer-Encoding: chunked\n\n", true},
		{"one", "POST / HTTP/1.1\r\nHost: x\r\nX: Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"a header too long to be seen whole", "POST / HTTP/1.1\r\nHost: x\r\nLong: " + strings.Repeat("x", 5000) + "\r\nTransfer-Encoding: chunked\r\n\r\n", true},
	} {
		conn := dial(t, s.addr)
		conn.send(t, c.head+chunks)
		if res := conn.want(t, "s / 3"); res.Close != c.closed {
			t.Errorf("%s: the connection is closed: %v", c.what, res.Close)
		}
		if c.closed {
			conn.wantEnd(t)
		}
	}
	old := dial(t, s.addr)
	old.send(t, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc")
	if res := old.want(t, "s / 3"); !res.Close {
		t.Error("HTTP/1.0: the connection is not closed")
	}
	kept := dial(t, s.addr)
	for range 2 {
		kept.send(t, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc")
		kept.want(t, "s / 3")
	}
}

func TestAPipelinedRequestWithTwoLengthsEndsTheConnection(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{})
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	smuggled := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/admin")
	if _, err := io.WriteString(conn, get("/")+smuggled); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil && !errors.Is(err, io.EOF) {
		t.Log(err) // a reset: what was smuggled was not read
	}
	if text := string(b); strings.Count(text, "200 OK") != 2 || strings.Contains(text, "/admin") {
		t.Errorf("answers %q", text)
	}
}
