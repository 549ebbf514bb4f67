package lossbench_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// closeIdle ends each connection after its first answer.
func closeIdle(c net.Conn, s http.ConnState) {
	if s == http.StateIdle {
		_ = c.Close()
	}
}

func TestAConnectionClosedUnderARequestIsAFailure(t *testing.T) {
	t.Parallel()
	// The FIN is on its way when the next request is written.
	addr := serve(t, work, closeIdle)
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"h1"}, Delay: 30 * time.Millisecond, Rate: 1500}, failing)
	if n := r.Causes["reused: EOF"] + r.Causes["reused: reset"] + r.Causes["reused: cut off"]; n != r.Failed {
		t.Errorf("causes %v, want reused connections that were closed", r.Causes)
	}
}

func TestAConnectionSeenToBeClosedIsNoFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, work, closeIdle)
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"h1-idle"}, Idle: 4 * time.Second, Rate: 100},
		func(r lossbench.Result) bool { return r.SeenClose >= 3 })
	if r.Failed > 0 || r.Connections < r.SeenClose {
		t.Errorf("%d failed %v, %d connections for %d closes seen", r.Failed, r.Causes, r.Connections, r.SeenClose)
	}
}

func TestAWrongAnswerIsAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cause   string
	}{
		"a status":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "fresh: status 503"},
		"a body unread": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "1 3\n") }, "fresh: wrong answer"},
		"a short body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "1 2")
		}, "fresh: body: cut off"},
		"a slow answer": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "fresh: timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, c.handler)
			r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"h1-fresh"}, Timeout: 200 * time.Millisecond}, by(c.cause))
			wantCause(t, r, c.cause)
			if r.Failed != r.Requests {
				t.Errorf("%d of %d failed, want all", r.Failed, r.Requests)
			}
		})
	}
}

func TestARefusedConnectionIsAFailure(t *testing.T) {
	t.Parallel()
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	for protocol, cause := range map[string]string{"h1": "dial: refused", "h1-idle": "dial: refused", "h1-fresh": "dial: refused",
		"h2c-post": "refused", "h2c-get": "refused", "tls-h1": "dial: refused", "tls-h2": "refused",
		"tls-h1-idle": "dial: refused", "tls-h2-idle": "refused", "sse": "dial: refused",
		"ws": "open: refused", "grpc": "Unavailable: refused", "grpc-bidi": "open: Unavailable: refused", "get": "dial: refused", "health": "Unavailable: refused"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			o := lossbench.Options{HTTP: addrs[0], HTTPS: addrs[0], GRPC: addrs[0], HealthAddr: addrs[0],
				URLs: []string{"http://" + addrs[0] + "/"}, Protocols: []string{protocol}, Rate: 300, Idle: 100 * time.Millisecond}
			wantCause(t, one(t, o, by(cause)), cause)
		})
	}
}

// leave has each connection end after an answer in the worst way HTTP/2 allows: a GOAWAY with the last stream
// that was seen, while others are on their way.
func leave(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	work(w, r)
}

func TestABodyRefusedByGOAWAYIsAFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, leave)
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"h2c-post"}, Delay: 20 * time.Millisecond, Rate: 6000}, by("refused by GOAWAY, body cannot be sent again"))
	wantCause(t, r, "refused by GOAWAY, body cannot be sent again")
}

func TestARequestThatTheLibrarySendsAgainIsAFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, leave)
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"h2c-get"}, Delay: 20 * time.Millisecond, Rate: 6000}, by("sent twice"))
	wantCause(t, r, "sent twice")
}

func TestTLSConnectionsThatAreCutAreFailures(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"tls-h1", "tls-h2", "tls-h1-idle", "tls-h2-idle"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 != strings.HasPrefix(protocol, "tls-h2") {
					t.Errorf("%s speaks %s", protocol, r.Proto)
				}
				panic(http.ErrAbortHandler)
			}))
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			addr := strings.TrimPrefix(srv.URL, "https://")
			r := one(t, lossbench.Options{HTTPS: addr, Protocols: []string{protocol}}, failing)
			if r.Failed != r.Requests {
				t.Errorf("%d of %d failed, want all", r.Failed, r.Requests)
			}
		})
	}
}

func TestAFailedHandshakeIsAFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, work) // speaks no TLS
	for _, protocol := range []string{"tls-h1", "tls-h2"} {
		r := one(t, lossbench.Options{HTTPS: addr, Protocols: []string{protocol}, Rate: 100}, failing)
		if r.Failed != r.Requests {
			t.Errorf("%s: %d of %d failed, want all", protocol, r.Failed, r.Requests)
		}
	}
}

func TestURLsOfAnyServiceAreAsked(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/a?b=c" && r.URL.Path != "/missing" || r.Host == "" {
			t.Errorf("%s asked at host %q", r.URL, r.Host)
		}
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
		}
	})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
	}))
	defer srv.Close()
	r := one(t, lossbench.Options{URLs: []string{"http://" + addr + "/a?b=c", srv.URL}}, answered(60))
	if r.Protocol != "get" || r.Failed > 0 || r.Connections <= 8 || r.Connections > 16 {
		t.Errorf("%s: %d failed %v over %d connections, want none over 2 a client", r.Protocol, r.Failed, r.Causes, r.Connections)
	}
	wantCause(t, one(t, lossbench.Options{URLs: []string{"http://" + addr + "/missing"}}, by("fresh: status 404")), "fresh: status 404")
}

func TestAConnectionThatEndsAfterTheHandshakeIsAFailure(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(work))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateActive {
			_ = c.(*tls.Conn).NetConn().Close()
		}
	}
	srv.StartTLS()
	defer srv.Close()
	r := one(t, lossbench.Options{HTTPS: strings.TrimPrefix(srv.URL, "https://"), Protocols: []string{"tls-h1"}}, failing)
	if r.Failed != r.Requests {
		t.Errorf("%d of %d failed, want all", r.Failed, r.Requests)
	}
}
