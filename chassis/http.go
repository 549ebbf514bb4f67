package chassis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/netutil"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// HTTP serves h on the listener called name: HTTP/1.1, HTTP/2 with TLS, and HTTP/2 without it
// where cfg says so. h is a [Router] or any other handler; each request it answers gives one
// line in the access log and one observation in the metrics, panics become problem documents,
// and the bounds of cfg hold. The error says which listener could not be opened and why.
func (s *Service) HTTP(name string, cfg HTTPConfig, h http.Handler) error {
	cfg.SetDefaults()
	tlsConfig, err := cfg.TLS.Load("h2", "http/1.1")
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	e := &endpoint{service: s, name: name, cfg: cfg, inner: h, inFlight: s.metrics.InFlight(name)}
	e.handler = e.dress(h)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(tlsConfig != nil)
	protocols.SetUnencryptedHTTP2(cfg.H2C)
	e.server = &http.Server{
		Handler:           e,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: max(cfg.HeaderTimeout, 0),
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHeader),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ErrorLog:          log.New(debugWriter{s.log.Named("http")}, "", 0),
	}
	protocol := "http"
	if tlsConfig != nil {
		protocol = "https"
	}
	return s.Serve(name, protocol, cfg.Addr, e, routesOf(h))
}

// endpoint is one HTTP listener.
type endpoint struct {
	service *Service
	name    string
	cfg     HTTPConfig
	inner   http.Handler // as handed in
	handler http.Handler // with CORS and compression around it
	server  *http.Server
	// inFlight counts the requests being answered.
	inFlight prometheus.Gauge
}

// dress puts around h what the settings ask for.
func (e *endpoint) dress(h http.Handler) http.Handler {
	if e.cfg.Compress {
		wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.ContentTypeFilter(compressible))
		if err != nil {
			panic(err) // the options are constants
		}
		h = wrap(h)
	}
	if len(e.cfg.CORSOrigins) > 0 {
		h = cors.New(cors.Options{
			AllowedOrigins: e.cfg.CORSOrigins,
			AllowedMethods: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
			AllowedHeaders: []string{"*"},
			ExposedHeaders: []string{"X-Request-Id", "Retry-After"},
		}).Handler(h)
	}
	return h
}

// compressible leaves out event streams: a compressor would hold events back.
func compressible(contentType string) bool {
	return !strings.HasPrefix(contentType, "text/event-stream") && gzhttp.DefaultContentTypeFilter(contentType)
}

// Serve implements Server.
func (e *endpoint) Serve(l net.Listener) error {
	if e.cfg.MaxConns > 0 {
		l = netutil.LimitListener(l, e.cfg.MaxConns)
	}
	var err error
	if e.server.TLSConfig != nil {
		err = e.server.ServeTLS(l, "", "")
	} else {
		err = e.server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Drain implements Server.
func (e *endpoint) Drain(ctx context.Context) error { return e.server.Shutdown(ctx) }

// Close implements Server.
func (e *endpoint) Close() error { return e.server.Close() }

// exchange is one HTTP request and its answer.
type exchange struct {
	request.Info
	endpoint *endpoint
	response response
	start    time.Time
	failed   *failure.Error // what was answered instead of a result
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

// ServeHTTP takes a request through the chain: identity, handler, failure, log line, metrics.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ex := &exchange{endpoint: e, start: time.Now(), response: response{ResponseWriter: w}}
	var id string
	if e.cfg.TrustRequestID {
		id = r.Header.Get("X-Request-Id")
	}
	ex.Info = e.service.NewRequest(e.name, id, r.Header.Get("Traceparent"))
	w.Header().Set("X-Request-Id", ex.ID)
	if e.cfg.BodyTimeout > 0 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(ex.start.Add(e.cfg.BodyTimeout))
	}
	ctx := context.WithValue(request.With(r.Context(), &ex.Info), exchangeKey{}, ex)
	r = r.WithContext(ctx)
	e.inFlight.Inc()
	defer ex.end(r)
	e.handle(ex, r)
}

// handle calls the handler and answers its panic.
func (e *endpoint) handle(ex *exchange, r *http.Request) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		ex.fail(&ex.response, r, failure.Recovered(v, debug.Stack()))
	}()
	if _, ok := e.inner.(*Router); ok {
		e.handler.ServeHTTP(&ex.response, r)
		return
	}
	// An adopted handler has one route; the router applies bounds and faults for others.
	if err := ex.intercept(r, "/"); err != nil {
		ex.fail(&ex.response, r, err)
		return
	}
	r, done := ex.limit(&ex.response, r, route{streams: e.cfg.Timeout < 0})
	defer done()
	e.handler.ServeHTTP(&ex.response, r)
	if ex.Route == "" {
		ex.Route = r.Pattern
	}
}

// fail answers err.
func (ex *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, id := ex.endpoint.service.Fail(r.Context(), err)
	ex.failed = f
	if ex.response.status != 0 || ex.response.hijacked {
		// Half an answer is out: cutting it is the only way left to say so.
		panic(http.ErrAbortHandler)
	}
	if f.Code() == failure.TooLarge || f.Code() == failure.TooSlow {
		// What is left of the body is not worth reading.
		w.Header().Set("Connection", "close")
	}
	p := f.Problem(id)
	if rt, ok := ex.endpoint.inner.(*Router); ok && rt.page != nil && rt.page(w, r, p) {
		return
	}
	failure.WriteProblem(w, r, p)
}

// end writes the access line and counts the request.
func (ex *exchange) end(r *http.Request) {
	e, took := ex.endpoint, time.Since(ex.start)
	e.inFlight.Dec()
	status := ex.response.status
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	route := ex.Route
	e.service.metrics.Route(e.name, route, r.Method).Observe(status, took, ex.response.bytes)
	rec := accesslog.Record{
		Client: clientAddr(r.RemoteAddr), Start: ex.start, Method: r.Method, URI: r.RequestURI, Proto: r.Proto,
		Status: status, Bytes: ex.response.bytes, Referer: r.Referer(), UserAgent: r.UserAgent(),
		Duration: took, Route: route, RequestID: ex.ID, Listener: e.name,
	}
	rec.User, _, _ = r.BasicAuth()
	if ex.failed != nil {
		rec.FailureCode = ex.failed.Code().Number()
	}
	e.service.LogAccess(&rec)
}

// clientAddr is the peer's address in its canonical form, the zero Addr for unix sockets.
func clientAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// debugWriter takes net/http's own complaints (broken handshakes, mostly) at debug level.
type debugWriter struct{ log *zap.Logger }

func (d debugWriter) Write(b []byte) (int, error) {
	if ce := d.log.Check(zapcore.DebugLevel, strings.TrimSpace(string(b))); ce != nil {
		ce.Write()
	}
	return len(b), nil
}
