package chassis

import (
	"context"
	"net/http"
	"time"
	"unsafe"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/timeout"
)

// exchange is one HTTP request and its answer: the writer of the answer, which notes what is
// written, and the context of the request. To be both, and to have everything of a request in one piece of memory, is what makes the
// chain cheap: a test holds its size.
//
// A handler may keep the context when it has returned, so an exchange is not used again, but
// under bare_context: there it is no context.
type exchange struct {
	response
	timeout.Context // its Parent is of net/http, and ends when the caller leaves; nil under bare_context
	request.Info
	endpoint *endpoint
	origin   *origin     // where it came from
	outer    *compressed // what the handler writes to, when a compressor stands between; else nil
	failed   *failed     // what was answered instead of a result
	body     *body       // of the request, when it has one
	start    time.Time
	waited   time.Duration // until it was admitted
	metrics  *kpi.Route    // that the router has found for it
	refused  int32         // status by which the router's mux has refused it
	id       [request.IDLen]byte
	gated    bool // its router has seen it
	entered  bool // it was admitted
	matched  bool // a pattern of its router
	aborted  bool // the answer was cut off
	streams  bool // it takes as long as the caller listens
}

// failed is a failure that was answered, and its error id.
type failed struct {
	*failure.Error
	id string
}

type exchangeKey struct{}

// Value implements context.Context.
func (ex *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return ex
	case request.Key{}:
		return &ex.Info
	case request.OriginKey{}:
		return &ex.origin.Origin
	}
	return ex.Context.Value(key)
}

// exchangeOf finds the exchange of a request by what its handler was given; nil when it is none of
// the chassis.
func exchangeOf(w http.ResponseWriter, r *http.Request) *exchange {
	if ex, ok := w.(*exchange); ok {
		return ex
	}
	if ex, _ := r.Context().Value(exchangeKey{}).(*exchange); ex != nil {
		return ex
	}
	// Under bare_context, inside of middleware.
	for {
		switch v := w.(type) {
		case *exchange:
			return v
		case *compressed:
			return v.exchange
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// identify gives the exchange its id and trace, and the answer the id.
func (ex *exchange) identify(r *http.Request) {
	s := ex.endpoint.service
	var given, trace string
	if ex.endpoint.cfg.TrustRequestID || ex.origin.Trusted {
		given = first(r.Header["X-Request-Id"])
	}
	trace = first(r.Header["Traceparent"])
	if ex.Parent == nil {
		// What net/http sends after the handler has returned must not be in memory that is used again.
		apart := new(struct {
			text  [request.IDLen]byte
			value [1]string
		})
		ex.Info = s.Identify(ex.start, ex.endpoint.name, given, trace, &apart.text)
		apart.value[0] = ex.ID
		ex.Header()["X-Request-Id"] = apart.value[:]
		return
	}
	made := &ex.id
	if r.ProtoMajor == 2 {
		// The table by which a connection compresses its headers (RFC 7541, section 2.3.2) keeps the last
		// fifty ids, and with them what they are a part of.
		made = new([request.IDLen]byte)
	}
	ex.Info = s.Identify(ex.start, ex.endpoint.name, given, trace, made)
	ex.Header()["X-Request-Id"] = unsafe.Slice(&ex.ID, 1)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// caller is the context that ends when the caller leaves, and not with the handler's deadline.
func (ex *exchange) caller(r *http.Request) context.Context {
	if ex.Parent != nil {
		return ex.Parent
	}
	return r.Context()
}

// handle has h answer, if the world lets it.
func (ex *exchange) handle(w http.ResponseWriter, r *http.Request, pattern string, h Handler) error {
	s := ex.endpoint.service
	if !s.Intercepts() {
		return h(w, r)
	}
	call := &Call{
		Listener: ex.endpoint.name, Method: r.Method, Route: pattern, Tenant: ex.tenant(r), Peer: ex.origin.Peer, Stream: ex.streams,
		Header: r.Header.Get, Request: r, Response: w,
	}
	if err := s.Intercept(r.Context(), call); err != nil {
		return err
	}
	if call.After == nil {
		return h(call.Response, call.Request)
	}
	returned := false
	defer func() {
		if !returned {
			_ = call.After(errPanicked) // what is answered is the chassis's to say
		}
	}()
	err := h(call.Response, call.Request)
	returned = true
	if err == nil && ex.failed != nil { // by Fail, which has answered
		if instead := call.After(ex.failed.Error); instead != error(ex.failed.Error) {
			return instead
		}
		return nil
	}
	return call.After(err)
}

// begun is a time that the service's clock has just told, on the machine's, which deadlines are by.
func (s *Service) begun(now time.Time) time.Time {
	if s.world.Clock == clock.Real() {
		return now
	}
	return time.Now()
}

// limit applies the bounds of the route: size of the body, time of the handler.
func (ex *exchange) limit(r *http.Request, options *route) (*http.Request, func()) {
	cfg, s := &ex.endpoint.cfg, ex.endpoint.service
	if r.Body != nil && r.Body != http.NoBody {
		size := cfg.MaxBody
		if options.maxBody != 0 {
			size = options.maxBody
		}
		left := r.ContentLength
		if ex.body != nil { // of the router around this one
			left = ex.body.rest()
		}
		b := &body{ReadCloser: r.Body, ctx: ex.caller(r), arrival: arrival{left: left}}
		if !options.streams {
			b.pace = newPace(ex.response.ResponseWriter, cfg)
		}
		if size > 0 {
			b.ReadCloser = http.MaxBytesReader(ex.response.ResponseWriter, r.Body, int64(size))
		}
		r.Body, ex.body = b, b
		if ex.streams && !options.streams && cfg.BodyTimeout > 0 { // the stream that this route is inside of has lifted it
			_ = http.NewResponseController(ex.response.ResponseWriter).SetReadDeadline(time.Now().Add(cfg.BodyTimeout))
		}
	}
	if ex.streams = options.streams; ex.streams {
		// The body may come at any pace as well.
		_ = http.NewResponseController(ex.response.ResponseWriter).SetReadDeadline(time.Time{})
		ex.begun(r)
		return r, nothing
	}
	most, bound := ex.allotted(r, options)
	if !bound || ex.Parent == nil || ex.BoundFrom(s.begun(ex.start), most) {
		return r, nothing
	}
	ctx, cancel := context.WithTimeout(r.Context(), most)
	return r.WithContext(ctx), cancel
}

// allotted is how long the handler may take, and whether there is a bound: as long as its route says or
// else its listener, and no longer than the caller says that it waits. A caller who says it in a way
// that cannot be read gets as long as one who says nothing: the service's own bound stands.
func (ex *exchange) allotted(r *http.Request, options *route) (most time.Duration, bound bool) {
	most = ex.endpoint.cfg.Timeout
	if options.timeout != 0 {
		most = options.timeout
	}
	if waits, ok := request.ParseTimeout(first(r.Header[request.TimeoutHeader])); ok && (most <= 0 || waits < most) {
		return waits, true
	}
	return most, most > 0
}

func nothing() {}
