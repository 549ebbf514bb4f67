package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// Host is what a client needs of the service that calls; *chassis.Service is one.
type Host interface {
	OnClose(name string, f func(context.Context) error)
	Clock() clock.Clock
	Rand() io.Reader
	Registry() *prometheus.Registry
}

// Client sends requests to one service. Make one with [New]. It is safe for concurrent use.
type Client struct {
	cfg       Config
	base      *url.URL
	policy    *retry.Policy
	rand      io.Reader
	transport *http.Transport
	attempts  *retryablehttp.Client
	client    *http.Client
}

// New makes a client of the service that cfg names; its idle connections are closed when h ends.
// Nothing is sent before the first request. name stands for the service that is called in metrics
// and errors; each client of h has its own. Each of adapt may change the transport before it is
// used: certificates, a proxy, how connections are made.
func New(h Host, name string, cfg Config, adapt ...func(*http.Transport)) (*Client, error) {
	cfg.SetDefaults()
	cfg.Retry.SetDefaults()
	if err := errors.Join(cfg.Validate(), cfg.Retry.Validate()); err != nil {
		return nil, fmt.Errorf("client of %s: %w", name, err)
	}
	base, _ := url.Parse(cfg.URL) // Validate has
	c := &Client{
		cfg: cfg, base: base, rand: h.Rand(),
		policy: retry.New(name, cfg.Retry, h.Clock(), h.Rand()),
		transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout(cfg.Timeout)}).DialContext,
			MaxConnsPerHost:     cfg.MaxConns,
			MaxIdleConns:        cfg.MaxIdle,
			MaxIdleConnsPerHost: cfg.MaxIdle,
			IdleConnTimeout:     cfg.Idle,
			TLSHandshakeTimeout: longestDial,
			ForceAttemptHTTP2:   true,
		},
	}
	for _, f := range adapt {
		f(c.transport)
	}
	c.attempts = &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: attempts{c}, CheckRedirect: noRedirect},
		RetryMax:     math.MaxInt, // Again counts
		CheckRetry:   checkRetry,
		Backoff:      noBackoff,
		PrepareRetry: wait,
		ErrorHandler: asItIs,
	}
	c.client = &http.Client{Transport: c}
	if err := kpi.RegisterClient(h.Registry(), name, c.stats); err != nil {
		return nil, err
	}
	h.OnClose("connections to "+name, func(context.Context) error {
		c.transport.CloseIdleConnections()
		return nil
	})
	return c, nil
}

// longestDial bounds how long a connection takes to be made.
const longestDial = 10 * time.Second

// dialTimeout bounds it more closely when requests have less time. net/http goes on to dial when the request
// that asked for the connection has ended, and the dial counts as one of MaxConns: where an address swallows
// what is sent to it, the operating system's two minutes would leave none for when it answers again. It has
// twice the request's time, so that the request ends first, and says that its time is over.
func dialTimeout(request time.Duration) time.Duration {
	if request < 0 {
		return longestDial
	}
	return min(2*min(request, longestDial), longestDial)
}

// Do sends req and returns the answer, whatever its status, or an error that is a *[url.Error]. A
// request whose URL names no host goes to [Config].URL, with its path after the one there. Redirects
// are followed as by [http.Client.Do]; each is a request of its own. The body of the answer must be
// closed.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "" {
		there, u := *req, *req.URL
		u.Scheme, u.Host, u.User = c.base.Scheme, c.base.Host, c.base.User
		u.Path, u.RawPath = join(c.base.Path, u.Path), join(c.base.EscapedPath(), u.EscapedPath())
		there.URL = &u
		req = &there
	}
	return c.client.Do(req)
}

func join(base, path string) string {
	return strings.TrimSuffix(base, "/") + "/" + strings.TrimPrefix(path, "/")
}

// RoundTrip implements [http.RoundTripper]: Do without redirects, and with errors as they are.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	request, err := c.policy.Begin()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	x := &exchange{client: c, request: request, idempotent: idempotent(req)}
	ctx, cancel := c.bound(context.WithValue(req.Context(), exchangeKey{}, x))
	if x.body, err = c.content(ctx, req, x.idempotent); err != nil {
		cancel()
		return nil, err
	}
	// retryablehttp would read any body into memory, and net/http's client rewind it for
	// redirects that are not followed here: the attempts put it back.
	bare := req.WithContext(ctx)
	bare.Body, bare.GetBody, bare.ContentLength = nil, nil, 0
	resp, err := c.attempts.Do(&retryablehttp.Request{Request: bare})
	if err != nil {
		cancel()
		return nil, plain(err)
	}
	resp.Request = req
	resp.Body = held(resp.Body, cancel)
	return resp, nil
}

// bound gives a request the time it has, unless ctx has less.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.Timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.Timeout)
}

// plain is err without what net/http's client put around it: the one above will do so again.
func plain(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}

func (c *Client) stats() kpi.ClientStats { return kpi.ClientStats(c.policy.Stats()) }

// idempotent says whether sending req twice does no harm.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return req.Header.Get("Idempotency-Key") != ""
}

// The parts of retryablehttp that are ours. It has no context where it backs off, so the wait is
// where it prepares the next attempt.

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	return exchangeOf(ctx).again(ctx, resp, err), nil
}

func noBackoff(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return 0 }

func wait(req *http.Request) error {
	x := exchangeOf(req.Context())
	return x.request.Wait(req.Context(), x.wait)
}

// asItIs returns what came of the last attempt. There is no error with an answer but that of a
// wait, before which the answer was closed.
func asItIs(_ *http.Response, err error, _ int) (*http.Response, error) { return nil, err }
