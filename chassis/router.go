package chassis

import (
	"errors"
	"fmt"
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
// hold as well, so that its own options can only tighten them. What an inner router says of admission and streams
// has an effect only where the route around it is a [Stream], which leaves both to the inner one; [Service.HTTP] refuses
// a router that was mounted in another way and says so. It sees those that were handed to [Router.Mount] as
// they are, and not what other handlers hide.
type Router struct {
	mux        *http.ServeMux
	routes     []string
	options    []*route // of routes, in the same order
	mounted    []mount  // routers that stand inside of this one
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
	rt.routes, rt.options = append(rt.routes, pattern), append(rt.options, options)
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

// Mount has an ordinary handler answer what matches pattern. One that is a router is best mounted with [Stream]:
// its routes then have the bounds of the listener each, unless they say otherwise, and are admitted one by one.
func (rt *Router) Mount(pattern string, h http.Handler, opts ...RouteOption) {
	rt.Handle(pattern, func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}, opts...)
	if inner, ok := h.(*Router); ok {
		rt.mounted = append(rt.mounted, mount{pattern, inner, rt.options[len(rt.options)-1]})
	}
}

// mount is a router that stands inside of another one, and the route around it.
type mount struct {
	pattern string
	inner   *Router
	route   *route
}

// unheard says what routers inside of rt say that nobody would hear.
func (rt *Router) unheard() error {
	var errs []error
	for _, m := range rt.mounted {
		in := m.inner
		if in.tenant != nil {
			errs = append(errs, fmt.Errorf("the router mounted at %q has a Tenant that nobody would ask: set it on the router that the listener serves", m.pattern))
		}
		for i, o := range in.options {
			switch {
			case m.route.streams:
			case o.streams:
				errs = append(errs, fmt.Errorf("route %q is a Stream inside of %q, which is none: it would hold the worker of that route and be cut off at its timeout; mount the router with chassis.Stream(), which leaves both to its routes", in.routes[i], m.pattern))
			case o.class != queue.Critical && o.queue == nil:
				errs = append(errs, fmt.Errorf("route %q has a Class, and is admitted already as %q when that is read: give Mount the Class, or mount the router with chassis.Stream(), which leaves admission to its routes", in.routes[i], m.pattern))
			}
		}
		errs = append(errs, in.unheard())
	}
	return errors.Join(errs...)
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
