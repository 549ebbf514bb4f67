package chassis

import (
	"context"
	"net/http"
	"sync"
	"time"
	"unsafe"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// exchange is one HTTP request and its answer: the writer of the answer, which notes what is
// written, and the context of the request, whose deadline costs nothing until somebody waits for
// it. To be both, and to have everything of a request in one piece of memory, is what makes the
// chain cheap: a test holds its size.
//
// A handler may keep the context when it has returned, so an exchange is not used again, but
// under bare_context: there it is no context.
type exchange struct {
	response
	context.Context // of the request as net/http made it: it ends when the caller leaves; nil under bare_context
	request.Info
	endpoint *endpoint
	outer    *compressed    // what the handler writes to, when a compressor stands between; else nil
	failed   *failure.Error // what was answered instead of a result
	body     *body          // of the request, when it has one
	start    time.Time
	gate     unmatched // of the router
	id       [request.IDLen]byte
	aborted  bool // the answer was cut off

	mu      sync.Mutex
	due     time.Duration // the handler's deadline, after epoch; 0 for none
	bounded *bounded      // once somebody has asked for Done
}

// epoch is what deadlines are counted from: a third of the size of a time.Time.
var epoch = time.Now()

// bounded is a request's context with its deadline.
type bounded struct {
	context.Context
	cancel context.CancelFunc
}

// bound sets the deadline, and reports false when it is too late for that: it has been set
// already, or somebody waits for the context's end.
func (ex *exchange) bound(timeout time.Duration) bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.bounded != nil || ex.due != 0 {
		return false
	}
	ex.due = time.Since(epoch) + timeout
	return true
}

// whole is the context with the deadline.
func (ex *exchange) whole() context.Context {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.bounded == nil {
		ex.bounded = &bounded{Context: ex.Context}
		if ex.due != 0 {
			ex.bounded.Context, ex.bounded.cancel = context.WithDeadline(ex.Context, epoch.Add(ex.due))
		}
	}
	return ex.bounded.Context
}

// release frees what waiting for the deadline took.
func (ex *exchange) release() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.bounded != nil && ex.bounded.cancel != nil {
		ex.bounded.cancel()
	}
}

// Deadline implements context.Context.
func (ex *exchange) Deadline() (time.Time, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.due == 0 {
		return time.Time{}, false
	}
	return epoch.Add(ex.due), true
}

// Done implements context.Context.
func (ex *exchange) Done() <-chan struct{} { return ex.whole().Done() }

// Err implements context.Context.
func (ex *exchange) Err() error { return ex.whole().Err() }

type exchangeKey struct{}

// Value implements context.Context. Asked by package context for the context that Done is of, it
// must answer with the same, or each context made of this one would need a goroutine.
func (ex *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return ex
	case request.Key{}:
		return &ex.Info
	}
	ex.mu.Lock()
	ctx := ex.Context
	if ex.bounded != nil {
		ctx = ex.bounded.Context
	}
	ex.mu.Unlock()
	return ctx.Value(key)
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
	if ex.endpoint.cfg.TrustRequestID {
		given = first(r.Header["X-Request-Id"])
	}
	trace = first(r.Header["Traceparent"])
	if ex.Context == nil {
		// What net/http sends after the handler has returned must not be in memory that is used again.
		apart := new(struct {
			text  [request.IDLen]byte
			value [1]string
		})
		ex.Info = s.identify(ex.endpoint.name, given, trace, &apart.text)
		apart.value[0] = ex.ID
		ex.Header()["X-Request-Id"] = apart.value[:]
		return
	}
	ex.Info = s.identify(ex.endpoint.name, given, trace, &ex.id)
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
	if ex.Context != nil {
		return ex.Context
	}
	return r.Context()
}

// intercept asks the world whether the handler may run.
func (ex *exchange) intercept(r *http.Request, route string) error {
	s := ex.endpoint.service
	if s.world.Intercept == nil {
		return nil
	}
	return s.world.Intercept(r.Context(), Call{Listener: ex.endpoint.name, Method: r.Method, Route: route})
}

// limit applies the bounds of the route: size of the body, time of the handler.
func (ex *exchange) limit(r *http.Request, options route) (*http.Request, func()) {
	cfg := &ex.endpoint.cfg
	if r.Body != nil && r.Body != http.NoBody {
		size := cfg.MaxBody
		if options.maxBody != 0 {
			size = options.maxBody
		}
		b := &body{ReadCloser: r.Body, ctx: ex.caller(r)}
		if size > 0 {
			b.ReadCloser = http.MaxBytesReader(ex.response.ResponseWriter, r.Body, int64(size))
		}
		r.Body, ex.body = b, b
	}
	if options.streams {
		// The body may come at any pace as well.
		_ = http.NewResponseController(ex.response.ResponseWriter).SetReadDeadline(time.Time{})
		return r, nothing
	}
	timeout := cfg.Timeout
	if options.timeout != 0 {
		timeout = options.timeout
	}
	if timeout <= 0 || ex.Context == nil || ex.bound(timeout) {
		return r, nothing
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return r.WithContext(ctx), cancel
}

func nothing() {}
