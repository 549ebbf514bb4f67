package chassis

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// exchange is one HTTP request and its answer. It is the context of the request as well, which
// spares allocations: a deadline costs nothing until somebody waits for it.
type exchange struct {
	context.Context // of the request as net/http made it, with Info: it ends when the caller leaves
	request.Info
	endpoint *endpoint
	response response  // what reaches the connection
	outer    *response // what the handler writes, when a compressor stands between; else nil
	id       [1]string // the value of the answer's X-Request-Id
	start    time.Time
	failed   *failure.Error // what was answered instead of a result
	// unread is why the request's body could not be read. It may be read by goroutines of the
	// handler's.
	unread  atomic.Pointer[failure.Error]
	aborted bool // the answer was cut off

	mu       sync.Mutex
	deadline time.Time       // of the handler, zero for none
	bounded  context.Context // Context with the deadline, once somebody has asked for Done
	cancel   context.CancelFunc
}

// bound sets the deadline, and reports false when it is too late for that: it has been set
// already, or somebody waits for the context's end.
func (ex *exchange) bound(deadline time.Time) bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.bounded != nil || !ex.deadline.IsZero() {
		return false
	}
	ex.deadline = deadline
	return true
}

// whole is Context with the deadline.
func (ex *exchange) whole() context.Context {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	switch {
	case ex.bounded != nil:
	case ex.deadline.IsZero():
		ex.bounded = ex.Context
	default:
		ex.bounded, ex.cancel = context.WithDeadline(ex.Context, ex.deadline)
	}
	return ex.bounded
}

// release frees what waiting for the deadline took.
func (ex *exchange) release() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.cancel != nil {
		ex.cancel()
	}
}

// Deadline implements context.Context.
func (ex *exchange) Deadline() (time.Time, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.deadline, !ex.deadline.IsZero()
}

// Done implements context.Context.
func (ex *exchange) Done() <-chan struct{} { return ex.whole().Done() }

// Err implements context.Context.
func (ex *exchange) Err() error { return ex.whole().Err() }

type exchangeKey struct{}

// Value implements context.Context. Asked by package context for the context that Done is of, it
// must answer with the same, or each context made of this one would need a goroutine.
func (ex *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return ex
	}
	ex.mu.Lock()
	ctx := ex.bounded
	ex.mu.Unlock()
	if ctx == nil {
		ctx = ex.Context
	}
	return ctx.Value(key)
}

func exchangeOf(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

// intercept asks the world whether the handler may run.
func (ex *exchange) intercept(r *http.Request, route string) error {
	return ex.endpoint.service.Intercept(r.Context(), Call{Listener: ex.endpoint.name, Method: r.Method, Route: route})
}

// limit applies the bounds of the route: size of the body, time of the handler.
func (ex *exchange) limit(r *http.Request, options route) (*http.Request, func()) {
	cfg := &ex.endpoint.cfg
	if r.Body != nil && r.Body != http.NoBody {
		size := cfg.MaxBody
		if options.maxBody != 0 {
			size = options.maxBody
		}
		b := &body{ReadCloser: r.Body, exchange: ex}
		if size > 0 {
			b.ReadCloser = http.MaxBytesReader(ex.response.ResponseWriter, r.Body, int64(size))
		}
		r.Body = b
	}
	if options.streams {
		// The body may come at any pace as well.
		_ = http.NewResponseController(ex.response.ResponseWriter).SetReadDeadline(time.Time{})
		return r, func() {}
	}
	timeout := cfg.Timeout
	if options.timeout != 0 {
		timeout = options.timeout
	}
	if timeout <= 0 || ex.bound(time.Now().Add(timeout)) {
		return r, func() {}
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return r.WithContext(ctx), cancel
}

// body is a request's body. Its errors are failures that say why it could not be read.
type body struct {
	io.ReadCloser
	exchange *exchange
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil, err == io.EOF, errors.Is(err, http.ErrBodyReadAfterClose):
		return n, err
	}
	var f *failure.Error
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case large:
		f = failure.From(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		f = failure.TooSlow.Wrap(err)
	case b.exchange.Context.Err() != nil:
		f = failure.CallerLeft.Wrap(err)
	default:
		f = failure.Malformed.Wrap(err)
	}
	b.exchange.unread.Store(f)
	return n, f
}

// rescue, when deferred, answers a panic.
func (ex *exchange) rescue(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		ex.aborted = true
		panic(v)
	}
	ex.fail(w, r, failure.Recovered(v, debug.Stack()))
}

// fail answers err. Once an answer has begun, cutting it is the only way left to say that it is
// none.
func (ex *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, id := ex.endpoint.service.Fail(ex.Context, ex.blameBody(err))
	ex.failed = f
	ex.mustNotHaveBegun()
	code := f.Code()
	if f.HTTPStatus() == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		// RFC 9110, section 15.5.2, demands one; handlers that want another scheme set it.
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+ex.endpoint.service.name+`"`)
	}
	if r.ProtoMajor == 1 && (code == failure.TooLarge || code == failure.TooSlow || code == failure.Draining) {
		// What is left of the body is not worth reading; of a draining service nothing is to be
		// had. HTTP/2 says so for a whole connection, and its Shutdown already does.
		w.Header().Set("Connection", "close")
	}
	p := f.Problem(id)
	if !ex.page(w, r, p) {
		failure.WriteProblem(w, r, p)
	}
}

// page has the router's page for people answer p, and reports whether it did.
func (ex *exchange) page(w http.ResponseWriter, r *http.Request, p failure.Problem) (done bool) {
	if ex.endpoint.router == nil || ex.endpoint.router.page == nil {
		return false
	}
	defer func() {
		if v := recover(); v != nil {
			ex.endpoint.service.Fail(ex.Context, failure.Recovered(v, debug.Stack()))
			ex.mustNotHaveBegun()
			done = false
		}
	}()
	return ex.endpoint.router.page(w, r, p)
}

// mustNotHaveBegun cuts the answer off if some of it is out.
func (ex *exchange) mustNotHaveBegun() {
	if ex.response.status != 0 || ex.outer != nil && ex.outer.status != 0 {
		ex.aborted = true
		panic(http.ErrAbortHandler)
	}
}

// blameBody returns why the body could not be read when a handler made something else of that:
// it took half a body for a malformed one, say. Failures that are no caller's fault stand.
func (ex *exchange) blameBody(err error) error {
	unread := ex.unread.Load()
	if unread == nil {
		return err
	}
	switch code := failure.From(err).Code(); {
	case code == unread.Code(), code.Class() == failure.Service, code.Class() == failure.Dependency:
		return err
	}
	return unread.Wrap(err)
}

// end writes the access line and counts the request.
func (ex *exchange) end(r *http.Request) {
	ex.release()
	e := ex.endpoint
	took := e.service.world.Clock.Now().Sub(ex.start)
	e.inFlight.Dec()
	status, bytes := ex.response.status, ex.response.bytes
	if status == 0 && !ex.aborted {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	if r.Method == http.MethodHead {
		bytes = 0 // handlers write a body, net/http keeps it
	}
	e.service.metrics.Route(e.name, ex.Route, r.Method).Observe(status, took, bytes)
	rec := accesslog.Record{
		Client: clientAddr(r.RemoteAddr), Start: ex.start, Method: r.Method, URI: r.RequestURI, Proto: r.Proto,
		Status: status, Bytes: bytes, Referer: r.Referer(), UserAgent: r.UserAgent(),
		Duration: took, Route: ex.Route, RequestID: ex.ID, Listener: e.name,
	}
	rec.User, _, _ = r.BasicAuth()
	if ex.failed != nil {
		rec.FailureCode = ex.failed.Code().Number()
	}
	e.service.LogAccess(&rec)
}
