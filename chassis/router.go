package chassis

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Handler answers a request or returns why it cannot. An error is answered, logged and counted
// by the chassis: a failure of the service's set as what it declares, anything else as an
// internal error whose text stays inside. A handler that returns an error must not have
// written; if it has, the connection is cut so that the caller sees a broken answer.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router sends requests to handlers by the patterns of [http.ServeMux]
// ("GET /v1/games/{id}"). Requests that match nothing are answered with a problem document,
// 404 or 405. Register everything before the router is served. Use [NewRouter].
//
// A router may stand inside another handler or router; then the bounds of what is around it
// hold as well, so that its own options can only tighten them.
type Router struct {
	mux        *http.ServeMux
	routes     []string
	middleware []func(http.Handler) http.Handler
	handler    http.Handler // route, with the middleware around it
	page       func(http.ResponseWriter, *http.Request, failure.Problem) bool
}

// NewRouter returns a router without routes.
func NewRouter() *Router {
	rt := &Router{mux: http.NewServeMux()}
	rt.handler = http.HandlerFunc(rt.route)
	return rt
}

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

// Timeout bounds the handler's time on a route in place of the listener's timeout; a negative d
// removes the bound.
func Timeout(d time.Duration) RouteOption { return func(r *route) { r.timeout = d } }

// Handle has h answer what matches pattern. A pattern that is malformed or in conflict with
// another one panics, as in [http.ServeMux.Handle].
func (rt *Router) Handle(pattern string, h Handler, opts ...RouteOption) {
	var options route
	for _, o := range opts {
		o(&options)
	}
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		g := w.(*unmatched)
		g.matched = true
		w = g.ResponseWriter
		ex := exchangeOf(w, r)
		if ex == nil {
			// Served without the chassis, in a test of a handler.
			if err := h(w, r); err != nil {
				failure.WriteProblem(w, r, failure.From(err).Problem(""))
			}
			return
		}
		ex.Route = pattern
		r, done := ex.limit(r, options)
		defer done()
		err := ex.intercept(r, pattern)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			ex.fail(w, r, err)
		}
	})
	rt.routes = append(rt.routes, pattern)
}

// Use puts middleware around everything the router answers, refusals of unknown routes
// included. What is used first is outermost.
func (rt *Router) Use(middleware ...func(http.Handler) http.Handler) {
	rt.middleware = append(rt.middleware, middleware...)
	rt.handler = http.HandlerFunc(rt.route)
	for _, m := range slices.Backward(rt.middleware) {
		rt.handler = m(rt.handler)
	}
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
func (rt *Router) Routes() []string { return slices.Clone(rt.routes) }

// ServeHTTP implements [http.Handler].
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) { rt.handler.ServeHTTP(w, r) }

// route has the handler answer whose pattern matches.
func (rt *Router) route(w http.ResponseWriter, r *http.Request) {
	var g *unmatched
	if ex, ok := w.(*exchange); ok && ex.gate.ResponseWriter == nil {
		g = &ex.gate
	} else {
		g = new(unmatched) // inside of middleware, or of another router
	}
	g.ResponseWriter = w
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
		err = failure.Malformed.With("status", int(g.status))
	}
	Fail(w, r, err)
}

// unmatched stands between the mux and the response: it lets the answers of registered
// handlers and redirects through and keeps the mux's own plain-text refusals back.
type unmatched struct {
	http.ResponseWriter
	status  int32 // a refusal of the mux
	matched bool
}

func (u *unmatched) WriteHeader(status int) {
	if status >= 400 {
		u.status = int32(status)
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
	if ex := exchangeOf(w, r); ex != nil {
		ex.fail(w, r, err)
		return
	}
	failure.WriteProblem(w, r, failure.From(err).Problem(""))
}

// routesOf lists what h serves, as far as it says.
func routesOf(h http.Handler) func() []string {
	if r, ok := h.(interface{ Routes() []string }); ok {
		return r.Routes
	}
	return func() []string { return []string{"/"} }
}
