package chassis

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// Handler answers a request or returns why it cannot. An error is answered, logged and counted
// by the chassis: a failure of the service's set as what it declares, anything else as an
// internal error whose text stays inside. A handler that returns an error must not have
// written; if it has, the connection is cut so that the caller sees a broken answer.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router sends requests to handlers by the patterns of [http.ServeMux]
// ("GET /v1/games/{id}"). Requests that match nothing are answered with a problem document,
// 404 or 405. Register everything before the router is served. Use [NewRouter].
type Router struct {
	mux    *http.ServeMux
	routes []string
	page   func(http.ResponseWriter, *http.Request, failure.Problem) bool
}

// NewRouter returns a router without routes.
func NewRouter() *Router { return &Router{mux: http.NewServeMux()} }

// RouteOption changes what the listener's settings say for one route.
type RouteOption func(*route)

type route struct {
	streams bool
	maxBody config.Size
	timeout time.Duration
}

// Stream exempts a route from the handler's deadline: it answers for as long as both sides
// like, as Server-Sent Events do. Its handler ends when [Draining] says so.
func Stream() RouteOption { return func(r *route) { r.streams = true } }

// MaxBody bounds the request's body on a route in place of the listener's max_body; a negative
// size removes the bound.
func MaxBody(size config.Size) RouteOption { return func(r *route) { r.maxBody = size } }

// Timeout bounds the handler's time on a route in place of the listener's timeout.
func Timeout(d time.Duration) RouteOption { return func(r *route) { r.timeout = d } }

// Handle has h answer what matches pattern. A pattern that is malformed or in conflict with
// another one panics, as in [http.ServeMux.Handle].
func (rt *Router) Handle(pattern string, h Handler, opts ...RouteOption) {
	var options route
	for _, o := range opts {
		o(&options)
	}
	rt.routes = append(rt.routes, pattern)
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		g := w.(*unmatched)
		g.matched = true
		w = g.ResponseWriter
		if info := request.From(r.Context()); info != nil {
			info.Route = pattern
		}
		ex := exchangeOf(r.Context())
		if ex == nil {
			// Served without the chassis, in a test of a handler.
			if err := h(w, r); err != nil {
				failure.WriteProblem(w, r, failure.From(err).Problem(""))
			}
			return
		}
		if err := ex.intercept(r, pattern); err != nil {
			ex.fail(w, r, err)
			return
		}
		r, done := ex.limit(w, r, options)
		defer done()
		if err := h(w, r); err != nil {
			ex.fail(w, r, err)
		}
	})
}

// Mount has an ordinary handler answer what matches pattern.
func (rt *Router) Mount(pattern string, h http.Handler, opts ...RouteOption) {
	rt.Handle(pattern, func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}, opts...)
}

// FailurePage has f answer the failures of a router that [Service.HTTP] serves, in place of the
// problem document: where people rather than programs read them. They are counted and logged
// all the same. f writes the whole answer (status, header, Retry-After) and returns true, or
// writes nothing and returns false, which leaves the answer to the problem document. It is
// also called for panics and for requests that match no route. Set it before the router is
// served; nil, as at first, is problem documents only.
func (rt *Router) FailurePage(f func(w http.ResponseWriter, r *http.Request, p failure.Problem) bool) {
	rt.page = f
}

// Routes returns the patterns in the order of their registration.
func (rt *Router) Routes() []string { return append([]string(nil), rt.routes...) }

// ServeHTTP implements [http.Handler].
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := &unmatched{ResponseWriter: w}
	rt.mux.ServeHTTP(g, r)
	if g.matched || g.status == 0 {
		return
	}
	var err *failure.Error
	switch g.status {
	case http.StatusNotFound:
		err = failure.UnknownRoute.With("path", failure.Safe(r.URL.Path))
	case http.StatusMethodNotAllowed:
		err = failure.MethodNotAllowed.With("method", failure.Safe(r.Method)).With("allowed", failure.Safe(w.Header().Get("Allow")))
	default:
		err = failure.Malformed.With("status", g.status)
	}
	Fail(w, r, err)
}

// unmatched stands between the mux and the response: it lets the answers of registered
// handlers and redirects through and keeps the mux's own plain-text refusals back.
type unmatched struct {
	http.ResponseWriter
	matched bool
	status  int // a refusal of the mux
}

func (u *unmatched) WriteHeader(status int) {
	if status >= 400 {
		u.status = status
		h := u.Header()
		h.Del("Content-Type")
		h.Del("X-Content-Type-Options")
		return
	}
	u.ResponseWriter.WriteHeader(status)
}

func (u *unmatched) Write(b []byte) (int, error) {
	if u.status != 0 {
		return len(b), nil
	}
	return u.ResponseWriter.Write(b)
}

// Fail answers err as the chassis would if a [Handler] had returned it. It is for adopted
// handlers that cannot return errors; outside a request of the chassis it only writes the
// problem document.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	if ex := exchangeOf(r.Context()); ex != nil {
		ex.fail(w, r, err)
		return
	}
	failure.WriteProblem(w, r, failure.From(err).Problem(""))
}

// limit applies the bounds of the route: size of the body, time of the handler.
func (ex *exchange) limit(w http.ResponseWriter, r *http.Request, options route) (*http.Request, func()) {
	cfg := &ex.endpoint.cfg
	maxBody := cfg.MaxBody
	if options.maxBody != 0 {
		maxBody = options.maxBody
	}
	if maxBody > 0 && r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, int64(maxBody))
	}
	timeout := cfg.Timeout
	if options.timeout != 0 {
		timeout = options.timeout
	}
	if options.streams {
		// The body's deadline would otherwise end the stream.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return r, func() {}
	}
	if timeout <= 0 {
		return r, func() {}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	limited := r.WithContext(ctx)
	return limited, cancel
}

// intercept asks the world whether the handler may run.
func (ex *exchange) intercept(r *http.Request, route string) error {
	return ex.endpoint.service.Intercept(r.Context(), Call{Listener: ex.endpoint.name, Method: r.Method, Route: route})
}

// routesOf lists what h serves, as far as it says.
func routesOf(h http.Handler) func() []string {
	if r, ok := h.(interface{ Routes() []string }); ok {
		return r.Routes
	}
	return func() []string { return []string{"/"} }
}
