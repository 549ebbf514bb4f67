package overloadbench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	retrying "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/retry"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/work"
)

// errRefused is what became of a request that the server, or the client, turned away.
var errRefused = errors.New("refused")

// maxConns is how many connections the HTTP clients keep. It is more than any of them has under way.
const maxConns = 4000

// users are many callers in one process, that share a client as the requests of a service do.
type users struct {
	tenant string // on whose behalf they ask
	// patient users wait for as long as their client tries. Of others the context ends with the deadline.
	patient bool
	ask     func(context.Context) error // nil, errRefused, or what else went wrong
	// served is called with each attempt of patient users that was answered as it should be, by many at a
	// time. An attempt ends with the deadline, so that it was in time.
	served func()
	close  func()
}

// newUsers makes users of a client for the server at addr. They ask on behalf of tenant.
func newUsers(p Protocol, c Client, addr, tenant string, deadline time.Duration) (*users, error) {
	u := &users{tenant: tenant, patient: c == Defaults}
	var err error
	if p == HTTP {
		err = u.http(c, addr, deadline)
	} else {
		err = u.grpc(c, addr, deadline)
	}
	return u, err
}

func (u *users) http(c Client, addr string, deadline time.Duration) error {
	url := "http://" + addr
	tr := &http.Transport{MaxIdleConns: maxConns, MaxIdleConnsPerHost: maxConns}
	u.close = tr.CloseIdleConnections
	var do func(*http.Request) (*http.Response, error)
	switch c {
	case None:
		do = (&http.Client{Transport: tr}).Do
	case Defaults:
		// The time for an attempt is the one thing that everybody sets.
		r := retryablehttp.NewClient()
		r.ErrorHandler = retryablehttp.PassthroughErrorHandler // what was answered last, to be counted as that
		r.Logger, r.HTTPClient = nil, &http.Client{Transport: attempts{tr, u}, Timeout: deadline}
		do = func(req *http.Request) (*http.Response, error) {
			again, err := retryablehttp.FromRequest(req)
			if err != nil {
				return nil, err
			}
			return r.Do(again)
		}
	case Ours:
		h := new(host)
		ours, err := client.New(h, "work", client.Config{URL: url, Timeout: deadline, MaxConns: maxConns})
		if err != nil {
			return err
		}
		u.close, do = h.end, ours.Do
	}
	u.ask = func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+work.Path, nil)
		if err != nil {
			return err
		}
		req.Header.Set(work.Tenant, u.tenant)
		resp, err := do(req)
		if held := new(retry.Throttled); errors.As(err, &held) {
			return errRefused
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(answered(resp.StatusCode), err, resp.Body.Close())
	}
	return nil
}

// attempts is a transport that tells of those that were answered as they should be.
type attempts struct {
	http.RoundTripper
	users *users
}

func (a attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK {
		a.users.served()
	}
	return resp, err
}

// attempt is the same for calls.
func (u *users) attempt(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	if err == nil {
		u.served()
	}
	return err
}

// answered is what a status says.
func answered(code int) error {
	switch code {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return errRefused
	case http.StatusGatewayTimeout:
		return context.DeadlineExceeded
	}
	return fmt.Errorf("status %d", code)
}

func (u *users) grpc(c Client, addr string, deadline time.Duration) error {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	var calls []grpc.CallOption
	var conn *grpc.ClientConn
	var err error
	h := new(host)
	switch c {
	case None:
		conn, err = grpc.NewClient(addr, append(options, grpc.WithDisableRetry())...)
	case Defaults:
		conn, err = grpc.NewClient(addr, append(options, grpc.WithChainUnaryInterceptor(
			retrying.UnaryClientInterceptor(retrying.WithMax(5), retrying.WithPerRetryTimeout(deadline)), u.attempt))...)
	case Ours:
		calls = append(calls, grpcclient.Idempotent())
		conn, err = grpcclient.Dial(h, "work", grpcclient.Config{Addr: addr, Timeout: deadline})
	}
	if err != nil {
		return err
	}
	u.close = func() {
		h.end()
		_ = conn.Close() // ours is closed already
	}
	u.ask = func(ctx context.Context) error {
		err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, work.Tenant, u.tenant), work.Method, new(emptypb.Empty), new(emptypb.Empty), calls...)
		switch status.Code(err) {
		case codes.Unavailable, codes.ResourceExhausted:
			return errRefused
		case codes.DeadlineExceeded, codes.Canceled:
			return context.DeadlineExceeded
		}
		return err
	}
	return nil
}

// host is as much of a service as our clients need. It is for one client.
type host struct {
	closing func(context.Context) error
}

func (h *host) OnClose(_ string, f func(context.Context) error) { h.closing = f }
func (h *host) Clock() clock.Clock                              { return clock.Real() }
func (h *host) Rand() io.Reader                                 { return rand.Reader }
func (h *host) Registry() *prometheus.Registry                  { return prometheus.NewRegistry() }

func (h *host) end() {
	if h.closing != nil {
		_ = h.closing(context.Background()) // it has nothing under way
	}
}
