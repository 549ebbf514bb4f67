package chassis

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
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
	tenant     func(*http.Request) string
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
	queue   *queue.Queue // nil: the listener's
	class   queue.Class
	seen    atomic.Pointer[observer]
}

// observer is where requests of a route are counted that come by one listener with one method.
type observer struct {
	endpoint *endpoint
	method   string
	metrics  *kpi.Route
}

// observer finds where ex is counted. Only the first of a route is kept, which with most is the only
// one: to find it anew takes longer than to count.
func (o *route) observer(ex *exchange, method string) *kpi.Route {
	seen := o.seen.Load()
	if seen != nil && seen.endpoint == ex.endpoint && seen.method == method {
		return seen.metrics
	}
	e := ex.endpoint
	m := e.service.metrics.Route(e.name, ex.Route, method)
	if seen == nil {
		o.seen.CompareAndSwap(nil, &observer{e, method, m})
	}
	return m
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
	options := new(route)
	for _, o := range opts {
		o(options)
	}
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w = w.(gate).pass()
		ex := exchangeOf(w, r)
		if ex == nil {
			// Served without the chassis, in a test of a handler.
			if err := h(w, r); err != nil {
				failure.WriteProblem(w, r, failure.From(err).Problem(""))
			}
			return
		}
		ex.Route = pattern
		ex.metrics = options.observer(ex, r.Method)
		r, done := ex.limit(r, options)
		defer done()
		if err := ex.serve(w, r, options, pattern, h); err != nil {
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
	if ex, ok := w.(*exchange); ok && !ex.gated {
		ex.gated = true
		rt.mux.ServeHTTP((*atGate)(ex), r)
		rt.refuse(w, r, ex.matched, ex.refused)
		return
	}
	g := &unmatched{ResponseWriter: w} // inside of middleware, or of another router
	rt.mux.ServeHTTP(g, r)
	rt.refuse(w, r, g.matched, g.status)
}

// refuse answers for the mux what it has refused with status.
func (rt *Router) refuse(w http.ResponseWriter, r *http.Request, matched bool, status int32) {
	if matched || status == 0 {
		return
	}
	var err *failure.Error
	switch status {
	case http.StatusNotFound:
		err = failure.UnknownRoute.With("path", failure.Safe(r.URL.Path))
	case http.StatusMethodNotAllowed:
		err = failure.MethodNotAllowed.With("method", failure.Safe(r.Method)).With("allowed", failure.Safe(w.Header().Get("Allow")))
	default:
		err = failure.Malformed.With("status", int(status))
	}
	Fail(w, r, err)
}

// gate stands between the mux and the response: it lets the answers of registered handlers and
// redirects through and keeps the mux's own plain-text refusals back.
type gate interface {
	http.ResponseWriter
	// pass says that a pattern has matched, and returns what its handler answers on.
	pass() http.ResponseWriter
}

// unmatched is a gate.
type unmatched struct {
	http.ResponseWriter
	status  int32 // a refusal of the mux
	matched bool
}

func (u *unmatched) pass() http.ResponseWriter {
	u.matched = true
	return u.ResponseWriter
}

func (u *unmatched) WriteHeader(status int) {
	if !refusal(u, status, &u.status) {
		u.ResponseWriter.WriteHeader(status)
	}
}

func (u *unmatched) Write(b []byte) (int, error) {
	if u.status != 0 {
		return len(b), nil
	}
	return u.ResponseWriter.Write(b)
}

// refusal says whether status is one, which it keeps in refused.
func refusal(w http.ResponseWriter, status int, refused *int32) bool {
	if status < 400 {
		return false
	}
	*refused = int32(status)
	h := w.Header()
	h.Del("Content-Type")
	h.Del("X-Content-Type-Options")
	return true
}

// atGate is an exchange as its own gate, so that it takes no memory.
type atGate exchange

func (g *atGate) pass() http.ResponseWriter {
	g.matched = true
	return (*exchange)(g)
}

func (g *atGate) Header() http.Header { return g.response.Header() }

func (g *atGate) WriteHeader(status int) {
	if !refusal(g, status, &g.refused) {
		g.response.WriteHeader(status)
	}
}

func (g *atGate) Write(b []byte) (int, error) {
	if g.refused != 0 {
		return len(b), nil
	}
	return g.response.Write(b)
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
