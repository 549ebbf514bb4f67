package chassis_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// What the chain may take of a request is never raised. Bytes have room for the memory of log and
// metrics, which grows now and then.
func TestTheChainTakesLittleMemoryOfARequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool forget things")
	}
	hello := []byte("hello")
	plain := routes(map[string]chassis.Handler{"GET /hello": func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write(hello)
		return err
	}})
	for name, c := range map[string]struct {
		http          chassis.HTTPConfig
		allocs, bytes int64
	}{
		"with id, trace and deadline in its context": {chassis.HTTPConfig{}, 2, 620},
		"with a bare context":                        {chassis.HTTPConfig{BareContext: true}, 1, 72},
	} {
		h := start(t, options{http: c.http, world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }}, serve(plain))
		chain := chassis.ListenerHandler(h.s, "http")
		got := testing.Benchmark(func(b *testing.B) { run(b, connected(h), chain, "/hello") })
		if got.AllocsPerOp() > c.allocs || got.AllocedBytesPerOp() > c.bytes {
			t.Errorf("%s: %d allocations, %d bytes, want %d and %d at most", name, got.AllocsPerOp(), got.AllocedBytesPerOp(), c.allocs, c.bytes)
		}
	}
	if chassis.ExchangeSize > chassis.MaxExchangeSize {
		t.Errorf("an exchange has %d bytes; the next size that is allocated is beyond %d", chassis.ExchangeSize, chassis.MaxExchangeSize)
	}
}

// objects is how many objects the process allocates for a request that the server at addr answers with
// "hello" in the end.
func objects(t *testing.T, addr string) float64 {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const warm, requests = 200, 2000
	request, buf := []byte("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), make([]byte, 4096)
	var before, after runtime.MemStats
	for i := range warm + requests {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("hello")) {
			t.Fatalf("answer %q, %v", buf[:n], err)
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / requests
}

func TestAServerAllocatesLittleMoreThanABareOne(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool forget things")
	}
	hello := []byte("hello")
	answer := func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/plain")
		_, err := w.Write(hello)
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { _ = answer(w, r) })
	bare := httptest.NewServer(mux)
	defer bare.Close()
	h := start(t, options{world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }}, serve(routes(map[string]chassis.Handler{"GET /hello": answer})))
	conn := h.dial()
	addr := conn.RemoteAddr().String()
	conn.Close()
	// The exchange and the copy of the request that has it for its context; less, now and then, the error that
	// ends the read beside the handler.
	most := objects(t, bare.Listener.Addr().String()) + 2.5
	if got := objects(t, addr); got > most {
		t.Errorf("%.2f objects a request, want %.2f at most", got, most)
	}
}

func TestAServerAllocatesLittleMoreThanABareOneOverHTTP2(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool forget things")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	bare := httptest.NewUnstartedServer(mux)
	bare.Config.Protocols = protocols
	bare.Start()
	defer bare.Close()
	h := start(t, options{http: chassis.HTTPConfig{H2C: true}, world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }}, serve(routes(map[string]chassis.Handler{"GET /hello": say("hello")})))
	conn := h.dial()
	addr := conn.RemoteAddr().String()
	conn.Close()
	// objects counts the client's as well, which are the same for both.
	objects := func(addr string) float64 {
		transport := &http.Transport{Protocols: protocols}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		const warm, requests = 200, 2000
		var before, after runtime.MemStats
		for i := range warm + requests {
			if i == warm {
				runtime.ReadMemStats(&before)
			}
			res, err := client.Get("http://" + addr + "/hello")
			if err != nil {
				t.Fatal(err)
			}
			if a := read(res); a.body != "hello" || a.ProtoMajor != 2 {
				t.Fatalf("%s over %s", a.body, a.Proto)
			}
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / requests
	}
	// The client has the id of the answer to read, which takes a few of them.
	most := objects(bare.Listener.Addr().String()) + 19
	if got := objects(addr); got > most {
		t.Errorf("%.2f objects a request, want %.2f at most", got, most)
	}
}

// counted is an output that counts how often it is written to.
type counted struct {
	net.Conn
	writes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if c.Conn == nil {
		return len(p), nil // the access log
	}
	return c.Conn.Write(p)
}

type countedListener struct {
	net.Listener
	writes *atomic.Int64
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return counted{c, l.writes}, err
}

func TestARequestTakesLittleMoreThanOneWrite(t *testing.T) {
	var writes atomic.Int64
	h := start(t, options{world: func(w *chassis.World) {
		w.Stdout = counted{nil, &writes}
		w.Listen = func(ctx context.Context, name, network, address string) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(ctx, network, address)
			return countedListener{l, &writes}, err
		}
	}}, serve(routes(map[string]chassis.Handler{"GET /hello": func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "hello")
		return err
	}})))
	conn := h.dial()
	defer conn.Close()
	r := bufio.NewReader(conn)
	const requests = 2000
	for range requests {
		if _, err := io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer := read(res); answer.body != "hello" {
			t.Fatalf("answer %q", answer.body)
		}
	}
	h.stop()
	if got := float64(writes.Load()) / requests; got > 1.2 { // a busy machine holds some up for longer than headers are held
		t.Errorf("%.3f writes a request, want 1.2 at most", got)
	}
}

func TestABareContextHasNoRequestInIt(t *testing.T) {
	h := start(t, options{http: chassis.HTTPConfig{BareContext: true, Timeout: 1}}, serve(routes(map[string]chassis.Handler{
		"GET /context": func(w http.ResponseWriter, r *http.Request) error {
			if _, ok := r.Context().Deadline(); ok || chassis.Draining(r.Context()) == nil {
				t.Error("a deadline, or nothing that tells of the drain")
			}
			return nil
		},
		"GET /fails":  fails(errFull.New()),
		"GET /panics": func(http.ResponseWriter, *http.Request) error { panic("oops") },
		"POST /body": func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		},
	})))
	ids := map[string]bool{}
	for range 20 {
		for path, status := range map[string]int{"/context": 200, "/fails": 409, "/panics": 500, "/unknown": 404} {
			a := h.get(path)
			if a.StatusCode != status {
				t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
			}
			ids[a.Header.Get("X-Request-Id")] = true
		}
	}
	if len(ids) != 80 {
		t.Errorf("%d ids of 80 requests", len(ids))
	}
	h.stop()
	routes := map[string]int{}
	for _, line := range h.lines() {
		routes[line.URI]++
	}
	for path, n := range routes {
		if n != 20 {
			t.Errorf("%d lines of %s, want 20", n, path)
		}
	}
	h.wantMetric(20, "requests_total", "route", "GET /fails", "code", "409")
	h.wantMetric(20, "requests_total", "route", "(unmatched)", "code", "404")
}

func TestAnsweredRequestsAreNotKeptByTheirConnection(t *testing.T) {
	for name, protocols := range map[string]func(*http.Protocols){
		"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			var infos []weak.Pointer[request.Info]
			h := start(t, options{http: chassis.HTTPConfig{H2C: true}}, serve(routes(map[string]chassis.Handler{
				"GET /": func(_ http.ResponseWriter, r *http.Request) error {
					infos = append(infos, weak.Make(request.From(r.Context())))
					return nil
				},
			})))
			transport := h.client.Transport.(*http.Transport)
			transport.Protocols = new(http.Protocols)
			protocols(transport.Protocols)
			for range 40 {
				if a := h.get("/"); a.StatusCode != 200 || a.Proto[:len(name)] != name {
					t.Fatalf("%d over %s", a.StatusCode, a.Proto)
				}
			}
			kept := len(infos)
			for end := time.Now().Add(30 * time.Second); kept > 5 && time.Now().Before(end); {
				runtime.GC()
				kept = 0
				for _, info := range infos {
					if info.Value() != nil {
						kept++
					}
				}
			}
			if kept > 5 {
				t.Errorf("%d of %d requests are kept", kept, len(infos))
			}
		})
	}
}
