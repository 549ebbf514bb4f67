package drain_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// chunked is a request whose body comes in chunks, with a trailer.
func chunked(path string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"5;x=y\r\nhello\r\n" + "3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\nX-Sum: 1\r\n\r\n"
}

// metered reads the body, answers with it, and tells what the request moved.
func metered(told chan drain.Traffic) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		if !drain.WhenSent(r.Context(), func(t drain.Traffic) { told <- t }) {
			close(told)
		}
	})
}

// counting counts the bytes that a client has sent and received.
type counting struct {
	net.Conn
	sent, received atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

func TestTheTrafficOfARequestIsWhatItsClientSentAndGot(t *testing.T) {
	server, _ := certificate(t)
	for what, o := range map[string]drain.Options{"in plain text": {}, "beside HTTP/2": {H2C: true}, "with TLS": {TLS: server}} {
		t.Run(what, func(t *testing.T) {
			clean(t)
			told := make(chan drain.Traffic, 1)
			o.Entry.Measure = true
			s := start(t, metered(told), o)
			count := &counting{Conn: dial(t, s.addr).Conn}
			var conn net.Conn = count
			if o.TLS != nil {
				conn = tls.Client(count, &tls.Config{InsecureSkipVerify: true})
			}
			c := clientOn(t, conn)
			for i, request := range []string{get("/"), post("/long", 50000), chunked("/"), get("/last"), "GET / HTTP/1.0\r\n\r\n"} {
				sent, received := count.sent.Load(), count.received.Load()
				c.send(t, request)
				if _, _, err := c.receive(); err != nil {
					t.Fatal(err)
				}
				got := <-told
				want := drain.Traffic{In: count.sent.Load() - sent, Out: count.received.Load() - received}
				if i == 4 {
					want.Out = got.Out // what closes TLS may have come
				}
				if got != want || want.In < int64(len(request)) {
					t.Errorf("%.20q: %+v, want %+v", request, got, want)
				}
			}
		})
	}
}

func TestTheTrafficOfRequestsSentTogetherIsExact(t *testing.T) {
	clean(t)
	told := make(chan drain.Traffic, 8)
	s := start(t, metered(told), drain.Options{Entry: drain.Entry{Measure: true}})
	requests := []string{get("/"), post("/a", 3000), get("/b"), "PUT / HTTP/1.1\nHost: x\ncontent-length: 2 \n\nab", get("/c"), chunked("/")}
	for _, cut := range []int{1, 7, 1000, 1 << 20} {
		c := dial(t, s.addr)
		all := strings.Join(requests, "")
		for len(all) > 0 {
			n := min(cut, len(all))
			c.send(t, all[:n])
			all = all[n:]
		}
		for _, request := range requests {
			if _, _, err := c.receive(); err != nil {
				t.Fatal(err)
			}
			if got := <-told; got.In != int64(len(request)) {
				t.Errorf("cut after %d: %.20q of %d bytes: %+v", cut, request, len(request), got)
			}
		}
	}
}

func TestLineBreaksBehindABodyAreNoRequest(t *testing.T) {
	clean(t)
	told := make(chan drain.Traffic, 8)
	s := start(t, metered(told), drain.Options{Entry: drain.Entry{Measure: true}})
	c := dial(t, s.addr)
	for _, request := range []string{
		post("/a", 10), "\r\n" + post("/b", 10), "\r\n\r\n" + post("/c", 10), "\n\n\n\n" + post("/d", 10), "\r\r\n\n" + get("/e"), get("/f"),
	} {
		c.send(t, request)
		if _, _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
		if got := <-told; got.In != int64(len(request)) {
			t.Errorf("%q of %d bytes: %+v", request, len(request), got)
		}
	}
}

func TestTheTrafficOfARequestThatIsRefusedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{Entry: drain.Entry{Measure: true}})
		s := virtual(t, &http.Server{Handler: named("s"), ReadHeaderTimeout: 200 * time.Millisecond}, o)
		for request, status := range map[string]int{"nonsense\r\n\r\n": 400, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": 200, "GET /slow HTTP/1.1\r\nHost:": 0} {
			c := s.dial(t)
			c.send(t, get("/"))
			c.want(t, "s / 0")
			synctest.Wait() // until the connection is idle
			c.send(t, request)
			answer, err := io.ReadAll(c.r)
			if err != nil {
				t.Fatal(err)
			}
			r := <-refusals
			if r.Status != status || r.Traffic != (drain.Traffic{In: int64(len(request)), Out: int64(len(answer))}) {
				t.Errorf("%q: refusal %+v, %d bytes of answer", request, r, len(answer))
			}
		}
	})
}

func TestTheTrafficOfAnUpgradeIsAllUntilItsHandlerEnds(t *testing.T) {
	clean(t)
	told := make(chan drain.Traffic, 1)
	upgrade := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n')
		next, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, line+next)
		drain.WhenSent(r.Context(), func(t drain.Traffic) { told <- t })
	})
	s := start(t, upgrade, drain.Options{Entry: drain.Entry{Measure: true}})
	c := dial(t, s.addr)
	request := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"
	c.send(t, request+"one\n")
	c.send(t, "two\n")
	if b, err := io.ReadAll(c.r); err != nil || string(b) != "one\ntwo\n" {
		t.Fatalf("%q, %v", b, err)
	}
	if got := <-told; got != (drain.Traffic{In: int64(len(request) + 8), Out: 8}) {
		t.Errorf("%+v", got)
	}
}

func TestTheTrafficOfAConnectionThatWasCutIsTold(t *testing.T) {
	clean(t)
	begun, told := make(chan bool), make(chan drain.Traffic, 1)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		drain.WhenSent(r.Context(), func(t drain.Traffic) { told <- t })
	}), drain.Options{Entry: drain.Entry{Measure: true}})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := <-told; got != (drain.Traffic{In: int64(len(get("/")))}) {
		t.Errorf("%+v", got)
	}
}

func TestNobodyCountsTheTrafficOfRequestsUnlessAskedToAndOfHTTP2(t *testing.T) {
	clean(t)
	if drain.WhenSent(t.Context(), nil) {
		t.Error("counted without a server")
	}
	told := make(chan drain.Traffic)
	s := start(t, metered(told), drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	c.want(t, "")
	<-told // closed
	counted := make(chan bool, 1)
	s = start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted <- drain.WhenSent(r.Context(), func(drain.Traffic) {})
	}), drain.Options{H2C: true, Entry: drain.Entry{Measure: true}})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 || <-counted {
		t.Errorf("%s is counted", res.Proto)
	}
}

// ends are where net/http finds the ends of the requests in p.
func ends(p []byte) (ends []int) {
	all := bytes.NewReader(p)
	r := bufio.NewReader(all)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return ends
		}
		if _, err = io.Copy(io.Discard, req.Body); err != nil {
			return ends
		}
		if !req.ProtoAtLeast(1, 1) && bytes.Contains(bytes.ToLower(p), []byte("transfer-encoding")) {
			return ends // it is the last: HTTP/1.0 knows no such thing
		}
		ends = append(ends, len(p)-all.Len()-r.Buffered())
	}
}

// FuzzRequestsEndWhereNetHTTPEndsThem wants the ends that net/http finds, however bytes are cut.
func FuzzRequestsEndWhereNetHTTPEndsThem(f *testing.F) {
	f.Add([]byte(get("/")+post("/", 10)+chunked("/")+get("/")), uint64(1))
	f.Add([]byte("PUT / HTTP/1.1\nHost: x\nContent-Length:  007\t\n\n1234567"+get("/")), uint64(2))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n Content-Length: 5\r\n\r\n"+get("/")), uint64(3))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nContent-Length: 3\r\n\r\n0 \t;a\r\n\r\n"+get("/")), uint64(4))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n00\r\nA: b\r\n\r\n"), uint64(5))
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		for line := range bytes.Lines(p) {
			if len(line) > 256 {
				t.Skip("a line that is cut would not be read to its end")
			}
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		want, got := ends(p), drain.Requests(p, func() int { return rnd.IntN(20) })
		if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%q: ends %v, want %v", p, got, want)
		}
	})
}
