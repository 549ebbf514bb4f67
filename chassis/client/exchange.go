package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// exchange is a request with its attempts. Its context carries it past retryablehttp.
type exchange struct {
	client     *Client
	request    *retry.Request
	idempotent bool
	body       content
	sent       atomic.Int32  // attempts begun
	last       result        // of the last attempt, or of the two that raced
	wait       time.Duration // before the next
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

// result is what came of an attempt.
type result struct {
	resp    *http.Response
	err     error
	outcome retry.Outcome
}

// attempts is the transport below retryablehttp.
type attempts struct{ *Client }

// RoundTrip sends a request once or, where it is hedged, twice.
func (a attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req.Context())
	if a.policy.Hedge() > 0 && x.idempotent && x.body.again != nil {
		x.last = x.race(req)
	} else {
		x.last = x.attempt(req.Context(), req)
	}
	return x.last.resp, x.last.err
}

// attempt sends req once, as long as ctx lives, and counts it.
func (x *exchange) attempt(ctx context.Context, req *http.Request) result {
	var asked, connected atomic.Bool
	out := req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	x.client.carry(out)
	if err := x.body.put(out, x.sent.Add(1) == 1); err != nil {
		return result{err: err, outcome: retry.Abandoned}
	}
	resp, err := x.client.transport.RoundTrip(out)
	r := result{resp, err, outcome(ctx, resp, err, connected.Load())}
	if err != nil && !asked.Load() {
		r.outcome = retry.Abandoned // a request that cannot be sent anywhere
	}
	x.request.Attempted(r.outcome)
	return r
}

// drop closes the answer that nobody wants.
func (r result) drop() {
	if r.resp != nil {
		_ = r.resp.Body.Close()
	}
}

// outcome is how an attempt ended.
func outcome(ctx context.Context, resp *http.Response, err error, connected bool) retry.Outcome {
	switch {
	case err == nil:
		switch resp.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
			return retry.Rejected
		case http.StatusGatewayTimeout:
			return retry.Expired
		}
		return retry.Accepted
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return retry.Expired
	case ctx.Err() != nil:
		return retry.Abandoned
	case !connected:
		return retry.Unreachable
	}
	return retry.Broken
}

// again decides whether the request is sent once more, and for how long to wait before.
func (x *exchange) again(ctx context.Context, resp *http.Response, err error) bool {
	if x.body.again == nil || err != nil && x.last.err == nil { // it was answered, with a redirect that cannot be read
		return false
	}
	var f retry.Failure
	switch x.last.outcome {
	case retry.Unreachable:
		f.Safe = true
	case retry.Broken:
		f.Safe = x.idempotent
	case retry.Rejected:
		if !x.idempotent || resp.StatusCode == http.StatusTooManyRequests {
			return false
		}
		p := peek(resp)
		f = retry.Failure{Safe: true, Never: p.Code != 0 && !p.Retryable, After: p.RetryAfter}
	default:
		return false
	}
	again := false
	x.wait, again = x.request.Again(ctx, f)
	return again
}

// peek is the problem that resp tells of; its body can be read as if nobody had.
func peek(resp *http.Response) *failure.Problem {
	body, read := resp.Body, &bytes.Buffer{}
	type both struct {
		io.Reader
		io.Closer
	}
	resp.Body = both{io.TeeReader(body, read), body}
	p, _ := failure.ReadProblem(resp) // one that is none has its header's Retry-After still
	resp.Body = both{io.MultiReader(read, body), body}
	return p
}

// carry sends the id and the trace of the request being served on, and the time that is left.
func (c *Client) carry(out *http.Request) {
	ctx, h := out.Context(), out.Header
	if info := request.From(ctx); info != nil && info.ID != "" {
		setNew(h, "X-Request-Id", info.ID)
		if !info.Trace.IsZero() {
			setNew(h, "Traceparent", info.Trace.Child(c.rand).Header())
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		h.Set(request.TimeoutHeader, request.FormatTimeout(time.Until(deadline)))
	}
}

func setNew(h http.Header, name, value string) {
	if len(h[name]) == 0 {
		h.Set(name, value)
	}
}
