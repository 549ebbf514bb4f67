package chassis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/internal/timeout"
)

// HTTP serves h on the listener called name: HTTP/1.1, HTTP/2 with TLS, and HTTP/2 without it
// where cfg says so. h is a [Router] or any other handler, which is then adopted as one route;
// middleware belongs on the router ([Router.Use]), because what stands around a router hides it.
// Each request gives one line in the access log and one observation in the metrics, panics
// become problem documents, and the bounds of cfg hold. It belongs into Setup. The error says
// which listener could not be opened and why.
func (s *Service) HTTP(name string, cfg HTTPConfig, h http.Handler) error {
	cfg.SetDefaults()
	cfg.Admission.SetDefaults()
	if err := errors.Join(cfg.Validate(), cfg.TLS.Validate(), cfg.Admission.Validate()); err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	router, _ := h.(*Router)
	if router != nil {
		if err := router.unheard(); err != nil {
			return fmt.Errorf("listener %q: %w", name, err)
		}
	}
	tlsConfig, err := s.TLS(name, cfg.TLS, "h2", "http/1.1")
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	guard, err := acl.New(cfg.ACL)
	if err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	e := &endpoint{service: s, name: name, cfg: cfg, guard: guard, inner: h, counts: s.metrics.Listener(name), inFlight: s.metrics.InFlight(name)}
	e.call = func(w http.ResponseWriter, r *http.Request) error {
		e.inner.ServeHTTP(w, r)
		return nil
	}
	e.exchanges.New = func() any { return new(exchange) }
	e.router = router
	e.handler = e.dress(http.HandlerFunc(e.answer))
	server := &http.Server{
		Handler:           e,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ReadHeaderTimeout: max(cfg.HeaderTimeout, 0),
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    int(cfg.MaxHeader),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       e.connContext,
		ErrorLog:          log.New(debugWriter{s.log.Named("http")}, "", 0),
	}
	e.server = drain.New(server, drain.Options{TLS: tlsConfig, H2C: cfg.H2C, Entry: s.Entry(name, guard, drain.Entry{
		MaxConns: cfg.MaxConns, MaxConnsPerClient: cfg.MaxConnsPerClient, WriteTimeout: cfg.WriteTimeout,
	})})
	protocol := "http"
	if tlsConfig != nil {
		protocol = "https"
	}
	routes := routesOf(h)
	s.OnState(func(state State) {
		if state == StateReady {
			e.showRoutes(routes())
		}
	})
	if err := s.Serve(name, protocol, cfg.Addr, e, routes); err != nil {
		return err
	}
	if e.queue, err = s.Admission(name, cfg.Admission); err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	return nil
}

// endpoint is one HTTP listener.
type endpoint struct {
	service *Service
	name    string
	cfg     HTTPConfig
	guard   *acl.Guard
	counts  *kpi.Listener
	queue   *queue.Queue // that requests pass; nil if there is none
	inner   http.Handler // as handed in
	adopted route        // that inner is when it is no router
	call    Handler      // inner
	router  *Router      // inner, when it is one
	handler http.Handler // answer, with CORS and compression around it
	server  *drain.Server
	// inFlight counts the requests being answered.
	inFlight  prometheus.Gauge
	exchanges sync.Pool // under bare_context
}

// showRoutes makes the metrics of all routes, which stand at zero before the first request: a
// rate does not see the step from nothing to one.
func (e *endpoint) showRoutes(patterns []string) {
	for _, pattern := range patterns {
		method, _, found := strings.Cut(pattern, " ")
		if !found {
			method = http.MethodGet
		}
		e.service.metrics.Route(e.name, pattern, method)
	}
}

// dress puts around h what the settings ask for.
func (e *endpoint) dress(h http.Handler) http.Handler {
	if e.cfg.Compress {
		wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.EnableZstd(false), gzhttp.ContentTypeFilter(compressible),
			// Hides how well secrets and what an attacker sent compress together (BREACH).
			gzhttp.RandomJitter(32, 0, false))
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

// compressible leaves out event streams, which a compressor would hold back, and what is
// compressed already.
func compressible(contentType string) bool {
	for _, prefix := range []string{"text/event-stream", "image/", "font/woff"} {
		if strings.HasPrefix(contentType, prefix) {
			return strings.HasPrefix(contentType, "image/svg")
		}
	}
	return gzhttp.DefaultContentTypeFilter(contentType)
}

// HTTP2 tells the description whether HTTP/2 is spoken.
func (e *endpoint) HTTP2() bool { return e.cfg.TLS.Cert != "" || e.cfg.H2C }

// Serve implements Server.
func (e *endpoint) Serve(l net.Listener) error { return e.server.Serve(l) }

// HeadsUp implements warner. A stream that is told to end afterwards is opened anew in the
// successor, even if that happens at once and on the same connection.
func (e *endpoint) HeadsUp(ctx context.Context) {
	e.server.HeadsUp(ctx)
	e.server.Begin(e.service.leave(e.name))
}

// Drain implements Server.
func (e *endpoint) Drain(ctx context.Context) error {
	return e.server.Drain(ctx, e.service.leave(e.name))
}

// adopt implements adopter.
func (e *endpoint) adopt(c net.Conn, note []byte, taken func() error) error {
	return e.server.Adopt(c, note, taken)
}

// Close implements Server.
func (e *endpoint) Close() error { return e.server.Close() }

// ServeHTTP takes a request through the chain: identity, handler, failure, log line, metrics.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d := e.service.world.Divert; d != nil {
		if name := first(r.Header[d.Header]); name != "" {
			e.divert(w, r, name)
			return
		}
	}
	var ex *exchange
	if e.cfg.BareContext {
		ex = e.exchanges.Get().(*exchange)
	} else {
		ex = &exchange{Context: timeout.Context{Parent: r.Context()}}
	}
	ex.endpoint, ex.ResponseWriter, ex.start = e, w, e.service.world.Clock.Now()
	ex.origin = e.originOf(r)
	ex.identify(r)
	if e.cfg.BodyTimeout > 0 && r.ContentLength != 0 {
		// In real time, as the connection is; net/http lifts it at the body's end.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(e.cfg.BodyTimeout))
	}
	e.inFlight.Inc()
	if e.cfg.BareContext {
		e.serveBare(ex, r)
		return
	}
	r = r.WithContext(ex)
	defer ex.end(r)
	if ex.admit(r) {
		e.handler.ServeHTTP(ex, r)
	}
}

// serveBare is for exchanges that are used again. One whose handler panicked is not: somebody may
// have what was recovered from.
func (e *endpoint) serveBare(ex *exchange, r *http.Request) {
	whole := false
	defer func() {
		ex.end(r)
		if whole && !ex.hijacked {
			*ex = exchange{}
			e.exchanges.Put(ex)
		}
	}()
	if ex.admit(r) {
		e.handler.ServeHTTP(ex, r)
	}
	whole = true
}

// answer calls the handler, inside CORS and compression.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request) {
	ex := exchangeOf(w, r)
	if w != http.ResponseWriter(ex) {
		ex.outer = &compressed{response{ResponseWriter: w}, ex}
		w = ex.outer
	}
	returned := false
	defer ex.rescue(w, r, &returned)
	if e.router != nil {
		e.router.ServeHTTP(w, r)
	} else {
		e.serveAdopted(ex, w, r)
	}
	returned = true
}

// serveAdopted calls an adopted handler, which is one route.
func (e *endpoint) serveAdopted(ex *exchange, w http.ResponseWriter, r *http.Request) {
	ex.Route = "/"
	limited, done := ex.limit(r, &e.adopted)
	defer done()
	if err := ex.serve(w, limited, &e.adopted, ex.Route, e.call); err != nil {
		ex.fail(w, limited, err)
		return
	}
	if limited.Pattern != "" && ex.Route == "/" {
		ex.Route = limited.Pattern // of the http.ServeMux that it is
	}
}

// localAddr is the address that the connection came in by, the zero AddrPort for unix sockets.
func localAddr(r *http.Request) netip.AddrPort {
	tcp, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return acl.AddrPort(tcp)
}

// usesKey is where the context of a connection has the number of its requests, an *atomic.Int64.
type usesKey struct{}

func countUses(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, usesKey{}, new(atomic.Int64))
}

// reused is the number of requests that came over r's connection before, -1 where they do not come one
// after the other. It counts r as so many.
func reused(r *http.Request, as int64) int {
	if r.ProtoMajor != 1 {
		return -1
	}
	uses, ok := r.Context().Value(usesKey{}).(*atomic.Int64)
	if !ok {
		return 0
	}
	return int(uses.Add(as) - as)
}

// debugWriter takes net/http's own complaints (broken handshakes, mostly) at debug level.
type debugWriter struct{ log *zap.Logger }

func (d debugWriter) Write(b []byte) (int, error) {
	if ce := d.log.Check(zapcore.DebugLevel, strings.TrimSpace(string(b))); ce != nil {
		ce.Write()
	}
	return len(b), nil
}
