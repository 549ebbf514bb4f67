package chassis_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// comesFrom has the connections of a listener that is a pipe come from what client says at the time.
func comesFrom(client *atomic.Pointer[netip.AddrPort]) func(*chassis.World) {
	return func(w *chassis.World) {
		listen := w.Listen
		w.Listen = func(ctx context.Context, name, network, address string) (net.Listener, error) {
			l, err := listen(ctx, name, network, address)
			return spread{l, func() netip.AddrPort { return *client.Load() }}, err
		}
	}
}

func addr(text string) *netip.AddrPort {
	a := netip.MustParseAddrPort(text)
	return &a
}

// trickle has many requests on one connection of HTTP/2 send a byte of their bodies every second, until
// the end of it.
func (h *host) trickle(t *testing.T, requests int) (end func()) {
	t.Helper()
	conn, r := h.talk(http2.ClientPreface)
	var work sync.WaitGroup
	work.Go(func() { _, _ = io.Copy(io.Discard, r) }) // what is answered is seen in the access log
	a := &attacker{Framer: http2.NewFramer(conn, r), conn: conn, block: new(bytes.Buffer)}
	a.headers = hpack.NewEncoder(a.block)
	if err := a.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		a.block.Reset()
		for _, f := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: "/upload"},
		} {
			_ = a.headers.WriteField(f) // to a buffer
		}
		if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: a.block.Bytes(), EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
	}
	work.Go(func() {
		for {
			for i := range requests {
				if a.WriteData(uint32(2*i+1), false, []byte("x")) != nil {
					return
				}
			}
			time.Sleep(time.Second) // virtual
		}
	})
	return func() {
		_ = conn.Close()
		work.Wait()
		synctest.Wait()
	}
}

func TestOneClientCannotHoldAllWorkersWithBodiesThatTrickle(t *testing.T) {
	for name, c := range map[string]struct {
		bound, refused int
		starves        bool
	}{
		"without a bound":          {-1, 0, true},
		"by default":               {0, 10, false},
		"with a bound of its own":  {3, 17, false},
		"with one that bounds not": {20, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var client atomic.Pointer[netip.AddrPort]
				client.Store(addr("192.0.2.1:1"))
				cfg := chassis.HTTPConfig{H2C: true, Admission: chassis.AdmissionConfig{Workers: 20, Capacity: 20, BodiesPerClient: c.bound}}
				h := start(t, options{pipes: true, http: cfg, world: comesFrom(&client)}, serve(routes(map[string]chassis.Handler{
					"POST /upload": bodies, "GET /job": sleeps(time.Millisecond),
				})))
				end := h.trickle(t, 20)
				synctest.Wait()
				h.wantMetric(float64(c.refused), "queue_rejected_total", "queue", "http", "reason", "client_share", "class", "critical")
				h.wantMetric(float64(20-c.refused), "queue_inflight", "queue", "http")
				client.Store(addr("192.0.2.2:1"))
				time.Sleep(5 * time.Second) // virtual
				want := 200
				if c.starves {
					want = 503
				}
				if a := <-h.ask("/job"); a.StatusCode != want {
					t.Errorf("another client is answered %d after %v", a.StatusCode, a.took)
				}
				if a := h.do(h.request("POST", "/upload", strings.NewReader(`"x"`))); a.StatusCode != want {
					t.Errorf("another client with a body is answered %d", a.StatusCode)
				}
				end()
				h.wantMetric(0, "queue_inflight", "queue", "http")
				client.Store(addr("192.0.2.1:2"))
				h.client.CloseIdleConnections()
				if a := h.do(h.request("POST", "/upload", strings.NewReader(`"x"`))); a.StatusCode != 200 {
					t.Errorf("afterwards the client is answered %d", a.StatusCode)
				}
				h.stop()
				refused := 0
				for _, line := range h.lines() {
					if line.Status == 429 && line.Client.String() == "192.0.2.1" && line.Method == "POST" {
						refused++
					}
				}
				if refused != c.refused {
					t.Errorf("%d lines of refusals, want %d", refused, c.refused)
				}
			})
		})
	}
}

// one is a listener of which a client may hold one worker of ten with what is arriving.
func one() chassis.HTTPConfig {
	return chassis.HTTPConfig{Admission: chassis.AdmissionConfig{Workers: 10, Capacity: 10, BodiesPerClient: 1}}
}

func TestARefusalForTheShareSaysWhyAndWhenToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := one()
		cfg.ACL.TrustedProxies, cfg.ACL.ClientFrom = []string{"198.51.100.1"}, "x-forwarded-for"
		var proxy atomic.Pointer[netip.AddrPort]
		proxy.Store(addr("198.51.100.1:1"))
		h := start(t, options{pipes: true, http: cfg, world: comesFrom(&proxy)}, serve(routes(map[string]chassis.Handler{"POST /": bodies, "GET /": say("hello")})))
		conn, _ := h.talk("POST / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: 10\r\n\r\n")
		defer conn.Close()
		synctest.Wait()
		post := func(client string) answer {
			r := h.request("POST", "/", strings.NewReader(`"x"`))
			r.Header.Set("X-Forwarded-For", client)
			return h.do(r)
		}
		a := post("192.0.2.1")
		if p := a.problem(t); a.StatusCode != 429 || p.Code != 429 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s %v", a.StatusCode, a.body, a.Header)
		}
		// The proxy is not the client.
		if a := post("192.0.2.2"); a.StatusCode != 200 {
			t.Errorf("another client of the proxy is answered %d", a.StatusCode)
		}
		if a := <-h.ask("/", "X-Forwarded-For", "192.0.2.1"); a.StatusCode != 200 {
			t.Errorf("a request without a body is answered %d", a.StatusCode)
		}
	})
}

// What keeps a worker when the body has arrived is the handler.
func TestABodyThatHasArrivedHoldsNoShare(t *testing.T) {
	slow := func() { time.Sleep(time.Minute) } // virtual
	r := chassis.NewRouter()
	for path, take := range map[string]func(r *http.Request){
		"POST /end":    func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"POST /value":  func(r *http.Request) { var s string; _ = json.NewDecoder(r.Body).Decode(&s) },
		"POST /closed": func(r *http.Request) { _ = r.Body.Close() },
	} {
		r.Handle(path, func(_ http.ResponseWriter, r *http.Request) error {
			take(r)
			slow()
			return nil
		})
	}
	r.Handle("POST /large", func(_ http.ResponseWriter, r *http.Request) error {
		_, _ = io.Copy(io.Discard, r.Body)
		slow()
		return nil
	}, chassis.MaxBody(1))
	r.Handle("POST /unread", func(http.ResponseWriter, *http.Request) error { slow(); return nil })
	for path, want := range map[string]int{"/end": 200, "/value": 200, "/closed": 200, "/large": 200, "/unread": 429} {
		t.Run(path[1:], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var client atomic.Pointer[netip.AddrPort]
				client.Store(addr("192.0.2.1:1"))
				h := start(t, options{pipes: true, http: one(), world: comesFrom(&client)}, serve(r))
				var work sync.WaitGroup
				var status [2]int
				for i := range status {
					work.Go(func() { status[i] = h.do(h.request("POST", path, strings.NewReader(`"value"`))).StatusCode })
					synctest.Wait()
				}
				work.Wait()
				if status != [2]int{200, want} {
					t.Errorf("answers %v, want 200 and %d", status, want)
				}
			})
		})
	}
}

func TestTheQueueOfARouteHasSharesAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var client atomic.Pointer[netip.AddrPort]
		client.Store(addr("192.0.2.1:1"))
		h := start(t, options{pipes: true, world: comesFrom(&client)}, func(_ context.Context, s *chassis.Service, c conf) error {
			store := s.Queue("store", queue.Limits{Workers: 4, Capacity: 4, PerClient: 1})
			r := chassis.NewRouter()
			r.Handle("POST /", bodies, chassis.Admit(store))
			return s.HTTP("http", c.HTTP, r)
		})
		conn, r := h.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
		defer conn.Close()
		synctest.Wait()
		if a := h.do(h.request("POST", "/", strings.NewReader(`"x"`))); a.StatusCode != 429 {
			t.Errorf("the second: %d", a.StatusCode)
		}
		if _, err := io.WriteString(conn, `"x"`); err != nil {
			t.Fatal(err)
		}
		if a := answerFrom(t, bufio.NewReader(r)); a.StatusCode != 200 {
			t.Errorf("the first: %d", a.StatusCode)
		}
		h.wantMetric(1, "queue_rejected_total", "queue", "store", "reason", "client_share", "class", "critical")
	})
}

// Middleware may take the body before the request is admitted by the queue of a route inside.
func TestABodyThatArrivedBeforeTheTurnHoldsNoShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var client atomic.Pointer[netip.AddrPort]
		client.Store(addr("192.0.2.1:1"))
		h := start(t, options{pipes: true, http: one(), world: comesFrom(&client)}, func(_ context.Context, s *chassis.Service, c conf) error {
			store := s.Queue("store", queue.Limits{Workers: 4, Capacity: 4, PerClient: 1})
			inner, outer := chassis.NewRouter(), chassis.NewRouter()
			inner.Handle("POST /", func(http.ResponseWriter, *http.Request) error {
				time.Sleep(time.Minute) // virtual
				return nil
			}, chassis.Admit(store))
			outer.Handle("POST /", func(w http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				inner.ServeHTTP(w, r)
				return err
			})
			return s.HTTP("http", c.HTTP, outer)
		})
		var work sync.WaitGroup
		for range 2 {
			work.Go(func() {
				if a := h.do(h.request("POST", "/", strings.NewReader(`"x"`))); a.StatusCode != 200 {
					t.Errorf("answer %d %s", a.StatusCode, a.body)
				}
			})
			synctest.Wait()
		}
		work.Wait()
	})
}

// Before it answers, net/http waits for what is left of a body of HTTP/1, unless the connection ends: who sends
// slowly would hear of the refusal when the time for bodies is over.
func TestWhoHasItsShareIsToldAtOnceOverHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var client atomic.Pointer[netip.AddrPort]
		client.Store(addr("192.0.2.1:1"))
		cfg := chassis.HTTPConfig{Admission: chassis.AdmissionConfig{Workers: 20, Capacity: 20, BodiesPerClient: 1}}
		h := start(t, options{pipes: true, http: cfg, world: comesFrom(&client)}, serve(routes(map[string]chassis.Handler{"POST /upload": bodies})))
		const header = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
		first, _ := h.talk(header)
		defer first.Close()
		synctest.Wait()
		begun := time.Now()
		second, r := h.talk(header)
		defer second.Close()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || !res.Close || time.Since(begun) != 0 {
			t.Errorf("%d after %v, closed: %v", res.StatusCode, time.Since(begun), res.Close)
		}
	})
}
