package chassis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// conf is the configuration of the services under test.
type conf struct {
	HTTP  chassis.HTTPConfig `config:"http"`
	Motto string             `doc:"what the service says"`
}

type setup func(ctx context.Context, s *chassis.Service, c conf) error

// codes are the failures of the services under test.
var (
	codes    = failure.NewSet("test")
	errFull  = codes.Caller(1001, "column is full", failure.HTTPStatus(http.StatusConflict))
	errStore = codes.Dependency(1201, "the store does not answer", failure.HTTPStatus(http.StatusServiceUnavailable))
	errGone  = codes.Dependency(1002, "the store is gone")
	errMiss  = codes.NotProblem(1003, "not cached")
	errWho   = codes.Caller(1004, "say who you are", failure.HTTPStatus(http.StatusUnauthorized))
)

// host runs a service and keeps what it logs.
type host struct {
	*chassis.Instance
	tb     testing.TB
	s      *chassis.Service
	client *http.Client
	logs   *observer.ObservedLogs
	access *buffer
}

// options change how a host starts its service. The zero options are good.
type options struct {
	http     chassis.HTTPConfig
	settings func(*chassis.Settings)
	world    func(*chassis.World)
	pipes    bool // a network inside the process, for bubbles of virtual time
}

// start runs a service until the test ends.
func start(tb testing.TB, o options, f setup) *host {
	tb.Helper()
	h, err := try(tb, o, f)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// try is start for services that may not start.
func try(tb testing.TB, o options, f setup) (*host, error) {
	tb.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	h := &host{tb: tb, logs: logs, access: new(buffer)}
	world := chassis.World{Log: zap.New(core), Stdout: h.access, Stderr: io.Discard}
	transport := &http.Transport{}
	if o.pipes {
		pipes := &network{listeners: map[string]*pipeListener{}}
		world.Listen = pipes.listen
		transport.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
			name, _, _ := net.SplitHostPort(addr)
			return pipes.dial(ctx, name)
		}
	}
	if o.world != nil {
		o.world(&world)
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	spec := chassis.Spec[conf]{Name: "test", Failures: codes, Defaults: conf{Motto: "onwards"}, Setup: f}
	i, err := chassis.Start(tb.Context(), spec, func(s *chassis.Settings, c *conf) {
		c.HTTP = o.http
		if o.settings != nil {
			o.settings(s)
		}
	}, world)
	if err != nil {
		return h, err
	}
	h.Instance, h.s = i, i.Service()
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = i.Stop(context.Background())
	})
	return h, nil
}

// serve is a setup that serves h on the listener "http".
func serve(h http.Handler) setup {
	return func(_ context.Context, s *chassis.Service, c conf) error { return s.HTTP("http", c.HTTP, h) }
}

// routes makes a router.
func routes(handlers map[string]chassis.Handler) *chassis.Router {
	r := chassis.NewRouter()
	for pattern, h := range handlers {
		r.Handle(pattern, h)
	}
	return r
}

// stop ends the service and expects nothing to have gone wrong.
func (h *host) stop() {
	h.tb.Helper()
	h.client.CloseIdleConnections()
	if err := h.Stop(context.Background()); err != nil {
		h.tb.Errorf("stop: %v", err)
	}
}

// url is the address of a path on a listener.
func (h *host) url(listener, path string) string {
	if addr := h.Addr(listener); addr.Network() == "tcp" {
		return "http://" + addr.String() + path
	}
	return "http://" + listener + path
}

// answer is an HTTP response that has been read.
type answer struct {
	*http.Response
	body string
	err  error // that reading the body ended with
}

func (h *host) request(method, path string, body io.Reader, header ...string) *http.Request {
	h.tb.Helper()
	req, err := http.NewRequestWithContext(h.tb.Context(), method, h.url("http", path), body)
	if err != nil {
		h.tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return req
}

// do sends a request and reads the answer.
func (h *host) do(req *http.Request) answer {
	h.tb.Helper()
	res, err := h.client.Do(req)
	if err != nil {
		h.tb.Fatal(err)
	}
	return read(res)
}

func read(res *http.Response) answer {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res, string(body), err}
}

// get asks the listener "http" for a path.
func (h *host) get(path string, header ...string) answer {
	h.tb.Helper()
	return h.do(h.request("GET", path, nil, header...))
}

// admin asks the admin listener for a path.
func (h *host) admin(path string, header ...string) answer {
	h.tb.Helper()
	req, err := http.NewRequestWithContext(h.tb.Context(), "GET", h.url("admin", path), nil)
	if err != nil {
		h.tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return h.do(req)
}

// problem reads a problem document and checks that it is one.
func (a answer) problem(tb testing.TB) *failure.Problem {
	tb.Helper()
	if got := a.Header.Get("Content-Type"); got != failure.ContentType {
		tb.Errorf("%s %s: content type %q with body %q", a.Request.Method, a.Request.URL.Path, got, a.body)
	}
	p, err := failure.ParseProblem(strings.NewReader(a.body))
	if err != nil {
		tb.Fatalf("%s %s: %v", a.Request.Method, a.Request.URL.Path, err)
	}
	if p.Status != a.StatusCode {
		tb.Errorf("%s %s: status %d in the document, %d in the answer", a.Request.Method, a.Request.URL.Path, p.Status, a.StatusCode)
	}
	return p
}

// lines are the access lines written. The service must have been stopped.
func (h *host) lines() []accesslog.Record {
	h.tb.Helper()
	var records []accesslog.Record
	for line := range strings.Lines(h.access.String()) {
		rec, err := accesslog.Parse([]byte(line))
		if err != nil {
			h.tb.Fatal(err)
		}
		records = append(records, rec)
	}
	return records
}

// headerOf is a header of the request that a line shows.
func headerOf(rec accesslog.Record, name string) string {
	if values := rec.Request.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// metric is the value of one series, or of the count of one histogram. It is false when there
// is none. Labels are "name", "value", ….
func (h *host) metric(name string, labels ...string) (float64, bool) {
	h.tb.Helper()
	families, err := h.s.Registry().Gather()
	if err != nil {
		h.tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if hasLabels(m, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
			}
		}
	}
	return 0, false
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}) {
			return false
		}
	}
	return true
}

// wantMetric expects a series to get a value: a caller may have its answer before it is counted.
func (h *host) wantMetric(want float64, name string, labels ...string) {
	h.tb.Helper()
	got, ok := h.metric(name, labels...)
	for end := time.Now().Add(30 * time.Second); (got != want || !ok) && time.Now().Before(end); got, ok = h.metric(name, labels...) {
		time.Sleep(time.Millisecond) // between two looks
	}
	if got != want || !ok {
		h.tb.Errorf("%s%v = %v (there: %v), want %v", name, labels, got, ok, want)
	}
}

// logged are the application log's lines with a message.
func (h *host) logged(message string) []map[string]any {
	var found []map[string]any
	for _, e := range h.logs.FilterMessage(message).All() {
		fields := e.ContextMap()
		fields["level"] = e.Level.String()
		fields["logger"] = e.LoggerName
		found = append(found, fields)
	}
	return found
}

// buffer is a bytes.Buffer for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// network is a World.Listen whose connections are pipes inside the process, so that they can be
// waited for in a bubble of virtual time.
type network struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

func (n *network) listen(_ context.Context, name, _, _ string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &pipeListener{name: name, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[name] = l
	return l, nil
}

func (n *network) dial(ctx context.Context, name string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[name]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens as %q", name)
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	name   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
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

func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.name) }

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }

// parse reads a JSON document.
func parse[T any](tb testing.TB, text string) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return v
}

// receive waits for a channel in a test.
func receive[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-tb.Context().Done():
		tb.Fatalf("%s did not happen", what)
		panic("unreachable")
	}
}
