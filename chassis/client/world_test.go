package client_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

var _ client.Host = (*chassis.Service)(nil)

// service is a service that calls. Its clock is the machine's: that of a bubble in most tests.
type service struct {
	rand     io.Reader
	registry *prometheus.Registry
	names    []string
	closes   []func(context.Context) error
}

func (s *service) Rand() io.Reader                { return s }
func (s *service) Read(p []byte) (int, error)     { return s.rand.Read(p) }
func (s *service) Clock() clock.Clock             { return clock.Real() }
func (s *service) Registry() *prometheus.Registry { return s.registry }
func (s *service) OnClose(name string, f func(context.Context) error) {
	s.names, s.closes = append(s.names, name), append(s.closes, f)
}

// close ends the service.
func (s *service) close(t *testing.T) {
	t.Helper()
	for _, f := range s.closes {
		if err := f(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// counts has the metrics of the client in a line each, zeros left out.
func (s *service) counts(t *testing.T) string {
	t.Helper()
	out, err := testutil.GatherAndFormat(s.registry, expfmt.TypeTextPlain, "client_requests_total", "client_attempts_total",
		"client_retries_total", "client_hedges_total", "client_throttled_total", "client_retry_budget_exhausted_total")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "client_") && !strings.HasSuffix(line, " 0") {
			line = strings.NewReplacer("client_", "", `{client="game"}`, "", `client="game",`, "").Replace(line)
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// zeros is randomness that makes every wait none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// call serves h in the process and makes a client of it, both until the test ends: all of it can be
// waited for in a bubble of virtual time.
func call(t *testing.T, cfg client.Config, h http.Handler) (*client.Client, *service) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	games, s := connect(t, cfg, l.dial)
	t.Cleanup(func() {
		s.close(t)
		_ = srv.Close()
		<-served
	})
	return games, s
}

// connect makes a client of what dial reaches.
func connect(t *testing.T, cfg client.Config, dial func(context.Context, string, string) (net.Conn, error)) (*client.Client, *service) {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = "http://game.internal"
	}
	s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
	games, err := client.New(s, "game", cfg, func(tr *http.Transport) { tr.DialContext = dial })
	if err != nil {
		t.Fatal(err)
	}
	return games, s
}

// req makes a request to the service that the client is of.
func req(ctx context.Context, t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// answer is what came back.
type answer struct {
	status int
	body   string
	err    error
	took   time.Duration
}

// do sends a request and reads the answer.
func do(games interface {
	Do(*http.Request) (*http.Response, error)
}, req *http.Request) answer {
	begin := time.Now()
	resp, err := games.Do(req)
	if err != nil {
		return answer{err: err, took: time.Since(begin)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), err, time.Since(begin)}
}

// script answers each request with the next of some handlers, and the last of them from then on.
type script struct {
	mu       sync.Mutex
	handlers []http.HandlerFunc
	seen     []*http.Request
	bodies   []string
}

func play(handlers ...http.HandlerFunc) *script { return &script{handlers: handlers} }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	h := s.handlers[min(len(s.seen), len(s.handlers)-1)]
	s.seen, s.bodies = append(s.seen, r), append(s.bodies, string(body))
	s.mu.Unlock()
	h(w, r)
}

// requests are those that came, so far.
func (s *script) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// says answers with a status and pairs of header fields.
func says(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, http.StatusText(status))
	}
}

// pipeListener accepts pipes inside the process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// real makes a client of what is served at addr, over real sockets.
func real(t *testing.T, addr string, cfg client.Config) (*client.Client, *service) {
	t.Helper()
	cfg.URL = "http://" + addr
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second // a busy machine may be slow to answer
	}
	s := &service{rand: rand.Reader, registry: prometheus.NewRegistry()}
	games, err := client.New(s, "game", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(t) })
	return games, s
}
