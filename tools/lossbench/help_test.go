package lossbench_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// within is how long a test waits for what must happen.
const within = time.Minute

// eventually waits until f returns true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !f(); <-time.After(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// one runs the clients of a single protocol until its result is as wanted, and returns the last one.
func one(t *testing.T, o lossbench.Options, until func(lossbench.Result) bool) lossbench.Result {
	t.Helper()
	load, err := lossbench.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer load.Stop()
	eventually(t, "the result wanted", func() bool { return until(load.Results()[0]) })
	r := load.Stop()
	if len(r) != 1 {
		t.Fatalf("%d results, want one", len(r))
	}
	return r[0]
}

func answered(n int64) func(lossbench.Result) bool {
	return func(r lossbench.Result) bool { return r.Requests >= n }
}

func failing(r lossbench.Result) bool { return r.Failed > 0 }

// by is true of a result in which something has failed for the cause. On a slow machine other requests may
// have been too slow before.
func by(cause string) func(lossbench.Result) bool {
	return func(r lossbench.Result) bool { return r.Causes[cause] > 0 }
}

// wantCause checks that failures of the cause were counted, and that the causes add up.
func wantCause(t *testing.T, r lossbench.Result, cause string) {
	t.Helper()
	var sum int64
	for _, n := range r.Causes {
		sum += n
	}
	if sum != r.Failed {
		t.Errorf("the causes %v add up to %d, but %d failed", r.Causes, sum, r.Failed)
	}
	if r.Causes[cause] == 0 {
		t.Errorf("causes %v, want %q among them", r.Causes, cause)
	}
}

// serve answers HTTP/1.1 and h2c on loopback.
func serve(t *testing.T, h http.HandlerFunc, hooks ...func(net.Conn, http.ConnState)) (addr string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	for _, hook := range hooks {
		srv.Config.ConnState = hook
	}
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	return strings.TrimPrefix(srv.URL, "http://")
}

// work answers as target's /work does.
func work(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "1 %d\n", n)
}

// serveGRPC answers gRPC on loopback as register says.
func serveGRPC(t *testing.T, register func(*grpc.Server)) (addr string, srv *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv = grpc.NewServer()
	register(srv)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	return l.Addr().String(), srv
}

// startTarget runs the service made for this in the test's process.
func startTarget(t *testing.T, change func(*target.Config)) *chassis.Instance {
	t.Helper()
	cert, key, err := lossbench.WriteCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	i, err := chassis.Start(t.Context(), target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr = "off"
		s.AccessLog.Path = "off"
		c.HTTP.Addr, c.HTTPS.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		c.HTTPS.TLS = chassis.TLSConfig{Cert: cert, Key: key}
		if change != nil {
			change(c)
		}
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Stop(t.Context()) })
	return i
}
