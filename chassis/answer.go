package chassis

import (
	"context"
	"net/http"
	"runtime/debug"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// rescue, when deferred, answers a panic, and a handler that has ended its goroutine: then returned
// is false, and what is not flushed now is never sent.
func (ex *exchange) rescue(w http.ResponseWriter, r *http.Request, returned *bool) {
	v := recover()
	if *returned {
		return
	}
	if v == nil {
		ex.fail(w, r, failure.Recovered(nil, debug.Stack()))
		_ = http.NewResponseController(w).Flush()
		return
	}
	if err, ok := v.(error); ok && wary.Is(err, http.ErrAbortHandler) {
		ex.aborted = true
		panic(v)
	}
	ex.fail(w, r, failure.Recovered(v, debug.Stack()))
}

// fail answers err. Once an answer has begun, cutting it is the only way left to say that it is
// none.
func (ex *exchange) fail(w http.ResponseWriter, r *http.Request, err error) {
	f, id := ex.endpoint.service.Fail(ex.known(r), ex.blameBody(err), asked(r))
	ex.failed = &failed{f, id}
	ex.mustNotHaveBegun()
	code := f.Code()
	if f.HTTPStatus() == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		// RFC 9110, section 15.5.2, demands one; handlers that want another scheme set it.
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+ex.endpoint.service.name+`"`)
	}
	if r.ProtoMajor == 1 && (code == failure.TooLarge || code == failure.TooSlow || code == failure.Draining || hasShare(err)) {
		// What is left of the body is not worth reading, and net/http would wait for it before it
		// answers; of a draining service nothing is to be had. HTTP/2 says so for a whole connection, and its Shutdown already does.
		w.Header().Set("Connection", "close")
	}
	p := f.Problem(id)
	if !ex.page(w, r, p) {
		failure.WriteProblem(w, r, p)
	}
}

// asked is what a failure is told of its request's header.
func asked(r *http.Request) Asked {
	user, _, _ := r.BasicAuth()
	return Asked{Protocol: "http", Method: r.Method, User: user}
}

// hasShare reports whether a queue has turned a request away because its client's bodies come slowly.
func hasShare(err error) bool {
	r, ok := wary.As[*queue.Rejected](err)
	return ok && r.Reason == queue.ClientShare
}

// known is what a failure is told of its request: who it is, and whether the caller left.
func (ex *exchange) known(r *http.Request) context.Context {
	info := ex.Info // an exchange may be used again
	return request.With(ex.caller(r), &info)
}

// page has the router's page for people answer p, and reports whether it did.
func (ex *exchange) page(w http.ResponseWriter, r *http.Request, p failure.Problem) (done bool) {
	if ex.endpoint.router == nil || ex.endpoint.router.page == nil {
		return false
	}
	defer func() {
		if v := recover(); v != nil {
			ex.endpoint.service.Fail(ex.known(r), failure.Recovered(v, debug.Stack()), asked(r))
			ex.mustNotHaveBegun()
			done = false
		}
	}()
	return ex.endpoint.router.page(w, r, p)
}

// mustNotHaveBegun cuts the answer off if some of it is out.
func (ex *exchange) mustNotHaveBegun() {
	if ex.status != 0 || ex.outer != nil && ex.outer.status != 0 {
		ex.aborted = true
		panic(http.ErrAbortHandler)
	}
}

// blameBody returns why the body could not be read when a handler made something else of that:
// it took half a body for a malformed one, say. Failures that are no caller's fault stand.
func (ex *exchange) blameBody(err error) error {
	if ex.body == nil {
		return err
	}
	unread := ex.body.unread.Load()
	if unread == nil {
		return err
	}
	switch code := failure.From(err).Code(); {
	case code == unread.Code(), code.Class() == failure.Service, code.Class() == failure.Dependency:
		return err
	}
	return unread.Wrap(err)
}

// connState is what becomes of the connection, as far as the answer tells.
func (ex *exchange) connState(r *http.Request) accesslog.ConnState {
	switch {
	case ex.aborted || ex.caller(r).Err() != nil:
		return accesslog.ConnAborted
	case r.Close || first(ex.Header()["Connection"]) == "close":
		return accesslog.ConnClosed
	}
	return accesslog.ConnKept
}

// end writes the access line and counts the request.
func (ex *exchange) end(r *http.Request) {
	ex.Release()
	e := ex.endpoint
	took := clock.Since(e.service.world.Clock, ex.start)
	e.inFlight.Dec()
	status, bytes := int(ex.status), ex.bytes
	if status == 0 && !ex.aborted {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	if r.Method == http.MethodHead {
		bytes = 0 // handlers write a body, net/http keeps it
	}
	if ex.metrics == nil {
		ex.metrics = e.service.metrics.Route(e.name, ex.Route, r.Method)
	}
	ex.metrics.ObserveAnswer(ex.observed(status, took, bytes))
	rec := ex.record(r)
	rec.Status, rec.Bytes, rec.Duration, rec.Response, rec.Conn = status, bytes, took, ex.Header(), ex.connState(r)
	if e.service.logs.reuse {
		rec.Reused = reused(r, 1)
	}
	if ex.failed != nil {
		rec.FailureCode, rec.ErrorID = ex.failed.Code().Number(), ex.failed.id
	}
	if e.service.logs.traffic && e.service.logSent(ex.caller(r), rec) {
		return
	}
	e.service.LogAccess(&rec)
}

// begun writes the line of a stream's start, where that is asked for.
func (ex *exchange) begun(r *http.Request) {
	if !ex.endpoint.service.logs.starts {
		return
	}
	rec := ex.record(r)
	rec.Conn = accesslog.ConnKept
	if ex.endpoint.service.logs.reuse {
		rec.Reused = reused(r, 0)
	}
	ex.endpoint.service.LogStart(&rec)
}

// record is what an access line tells of the request itself.
func (ex *exchange) record(r *http.Request) accesslog.Record {
	e := ex.endpoint
	rec := accesslog.Record{
		Peer: ex.origin.Peer, Client: ex.origin.Client, Start: ex.start, Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: r.Host, Server: e.service.name,
		Request: r.Header, Route: ex.Route, RequestID: ex.ID, TraceID: ex.Trace.TraceID, Listener: e.name,
		QueueWait: ex.waited,
	}
	if r.Header["Authorization"] != nil {
		var given bool
		rec.User, _, given = r.BasicAuth()
		rec.EmptyUser = given && rec.User == ""
	}
	if e.service.logs.local {
		rec.Local = localAddr(r)
	}
	return rec
}
