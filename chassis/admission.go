package chassis

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/internal/timeout"
)

// AdmissionConfig bounds what a listener does at a time: a [queue.Queue] that every request passes
// before its handler is called and its body read, streams excepted. A unary call of gRPC passes it when
// its message has come. A zero field means its default.
//
// The defaults keep a service from growing without a bound, and no more: what a service can do at a
// time is not known here. docs/overload.md tells how to find out.
type AdmissionConfig struct {
	Workers  int           `config:"workers" doc:"requests answered at a time, streams aside; negative: no bound but that of connections"`
	Capacity int           `config:"capacity" doc:"requests that may wait besides"`
	MaxWait  time.Duration `config:"max_wait" doc:"how long a request may wait, unless its own deadline comes first"`
	Dark     bool          `config:"dark" doc:"turn no request away, and only count which would have been"`
	// BodiesPerClient keeps one client, which over HTTP/2 has hundreds of requests on a few connections,
	// from holding all workers with bodies that it sends slowly. The client is who the access rules say it
	// is: behind a trusted proxy that is whom the proxy names, and over a unix socket without one it is
	// nobody, who has no bound. A request has arrived when its handler has read the body to its end or closed it.
	//
	// A proxy that is not declared makes one client of everybody. It has all workers for what has no
	// body or has arrived, and half of them, 8 at least, for the rest; most have a body whole before they
	// pass the request on. Where one passes large bodies on as slowly as they come, declare it in
	// acl.trusted_proxies, or raise the bound.
	// Calls of gRPC come to a worker when they have arrived, and have no such bound.
	BodiesPerClient int `config:"bodies_per_client" doc:"requests of one client answered at a time while their bodies are still coming; 0: half of the workers and at least 8; negative: no bound"`
}

// SetDefaults fills what is zero.
func (c *AdmissionConfig) SetDefaults() {
	set(&c.Workers, 1000)
	set(&c.Capacity, 1000)
	set(&c.MaxWait, time.Second)
}

// Validate refuses a queue without a bound.
func (c *AdmissionConfig) Validate() error {
	switch {
	case c.Workers < 0:
		return nil
	case c.Capacity < 0:
		return config.Invalid("capacity", "want 1 or more, got %d; workers: -1 is for a listener without admission", c.Capacity)
	case c.MaxWait < 0:
		return config.Invalid("max_wait", "want more than 0, got %v", c.MaxWait)
	}
	return nil
}

// Admission opens the queue that the requests of a listener pass, nil where cfg wants none. It is
// for packages that speak a protocol, as grpcserver does, and called when the listener has been
// opened. The queue has the listener's name; the error is that another queue has it.
func (s *Service) Admission(listener string, cfg AdmissionConfig) (*queue.Queue, error) {
	if cfg.Workers < 0 {
		return nil, nil
	}
	limits := queue.Limits{Workers: cfg.Workers, Capacity: cfg.Capacity, MaxWait: cfg.MaxWait, PerClient: max(cfg.BodiesPerClient, -1)}
	return s.openQueue(listener, limits, cfg.Dark, func(q *queue.Queue, _ context.Context) error {
		// The listener has been drained, and has told of handlers that do not end.
		ended, end := context.WithCancel(context.Background())
		end()
		_ = q.Close(ended)
		return nil
	})
}

// Admit has the requests of a route wait in q instead of the listener's queue. Routes that share
// something scarce, such as a database's connections, share a queue ([Service.Queue]). A route of a
// router that stands inside another one waits in q as well as where the route around it does, unless
// that is q, and keeps the worker that it has there meanwhile.
func Admit(q *queue.Queue) RouteOption { return func(r *route) { r.queue = q } }

// Class says how much the requests of a route matter when not all can be answered;
// [queue.Critical] is the default.
func Class(c queue.Class) RouteOption { return func(r *route) { r.class = c } }

// Tenant has f say on whose behalf a request is, for the turns that tenants take while requests
// wait: a customer, say. Without it, and where f returns "", that is the address of the client. f is
// called before the handler, for each request; it must be quick and not read the body.
func (rt *Router) Tenant(f func(r *http.Request) string) { rt.tenant = f }

// queue is the one that r has to pass on its route, nil if there is none or it has passed one.
func (ex *exchange) queue(r *http.Request, o *route) *queue.Queue {
	switch {
	case ex.streams, ex.entered && (o.queue == nil || r.Context().Value(o.queue) != nil):
		return nil
	case o.queue != nil:
		return o.queue
	}
	return ex.endpoint.queue
}

// passed is the context of a request that was admitted by a queue of its route's own: routers inside
// of it ask for that queue by itself. A request that passed the listener's alone needs none.
type passed struct {
	context.Context
	queue *queue.Queue
}

// Value implements context.Context.
func (p *passed) Value(key any) any {
	if key == p.queue {
		return p
	}
	return p.Context.Value(key)
}

// serve has h answer, as soon as ex has been admitted.
func (ex *exchange) serve(w http.ResponseWriter, r *http.Request, o *route, pattern string, h Handler) (err error) {
	if q := ex.queue(r, o); q != nil {
		a, refused := ex.enter(q, r, queue.Meta{
			Tenant: ex.tenant(r), Client: ex.origin.Client, Class: o.class, Arriving: ex.body != nil && ex.body.rest() != 0,
		})
		if refused != nil {
			return errors.Join(refused, r.Context().Err())
		}
		ex.entered = true
		ex.waited += a.Waited()
		if ex.body != nil {
			ex.body.admitted(a)
		}
		if o.queue != nil {
			r = r.WithContext(&passed{r.Context(), q})
		}
		returned := false
		defer func() {
			if !returned {
				err = errPanicked
			}
			if err != nil && !ex.endpoint.service.AtFault(ex.caller(r), ex.blameBody(err)) {
				a.Leave(nil)
				return
			}
			a.Leave(err)
		}()
		err = ex.handle(w, r, pattern, h)
		returned = true
		return err
	}
	return ex.handle(w, r, pattern, h)
}

// enter waits until q admits r.
func (ex *exchange) enter(q *queue.Queue, r *http.Request, m queue.Meta) (queue.Admission, error) {
	ctx := r.Context()
	if ex.Parent == nil { // under bare_context it is no context yet, so that it can be one here
		ex.Parent = ctx
		defer func() { ex.Context = timeout.Context{} }()
		return q.Enter((*visitor)(ex), m)
	}
	if own, _ := ctx.(*exchange); own == ex {
		return q.Enter((*visitor)(ex), m)
	}
	return q.Enter(patient{ctx}, m) // of middleware
}

// patient is a context that does not say that its caller has left, which net/http takes a client of HTTP/1
// for that has closed its sending side, and may well read the answer: it gets one if a worker is free. It
// does not wait for one.
type patient struct{ context.Context }

func (p patient) Err() error { return unlessLeft(p.Context.Err()) }

// visitor is an exchange as the same, so that it takes no memory.
type visitor exchange

func (v *visitor) Deadline() (time.Time, bool) { return v.Context.Deadline() }
func (v *visitor) Done() <-chan struct{}       { return v.Context.Done() }
func (v *visitor) Value(key any) any           { return v.Context.Value(key) }

// Err leaves the deadline to who asks for it anyway, until somebody waits for it: a look at the clock is
// half of what admission costs.
func (v *visitor) Err() error { return unlessLeft(v.Noticed()) }

func unlessLeft(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// errPanicked is what a queue is told of a handler that did not return.
var errPanicked = errors.New("the handler panicked")

// tenant is on whose behalf ex is, as far as the service says.
func (ex *exchange) tenant(r *http.Request) string {
	if rt := ex.endpoint.router; rt != nil && rt.tenant != nil {
		return rt.tenant(r)
	}
	return ""
}
