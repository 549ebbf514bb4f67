// Package client calls HTTP services from a service on the chassis, and does not make it worse when
// one of them is in trouble: only what does nothing twice is sent again, of a hundred requests no
// more than ten, and when a service refuses many, fewer are sent in the first place.
//
//	games, err := client.New(s, "game", cfg.Game)
//	req, err := http.NewRequestWithContext(ctx, "GET", "/v1/games/7", nil)
//	resp, err := games.Do(req)
//	if err != nil {
//		return err // no answer: errors.Is finds context.DeadlineExceeded, errors.As a *retry.Throttled
//	}
//	defer resp.Body.Close()
//	if resp.StatusCode >= 400 {
//		p, _ := failure.ReadProblem(resp) // p.Set and p.Code are the failure code of the game service
//		return p
//	}
//
// A [Client] is what generated clients take: it has the method Do, and is an [http.RoundTripper]
// for an [http.Client] of one's own.
//
// # What is sent again
//
// A request is sent again when the service answered 502 or 503, or the connection broke, and
//
//   - its method is idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE; RFC 9110, section 9.2.2), or
//   - it has an Idempotency-Key, by which the service recognises it
//     (draft-ietf-httpapi-idempotency-key-header), or
//   - no connection was made, so that nothing was sent.
//
// A POST without a key that got a connection is never sent again, a 503 notwithstanding: HTTP has no
// way to say that no handler ran. net/http itself sends again what it could not write to an idle
// connection that had been closed, or, under the same two rules, what was not answered there; that
// is once per idle connection, costs no budget and counts as one attempt.
//
// Its body must be there again: a request without one, or with a GetBody, as [http.NewRequest] makes
// it from bytes and strings. Of other bodies, those up to [Config].MaxReplay are read into memory before
// anything is sent if one of the first two rules applies; a larger one is sent once, while it is read.
//
// 500, 504 and 429 are final. The first two tell that the service did something, and a caller over
// its quota is not helped by asking more. So is a 502 or 503 with a problem document of the chassis
// that says "retryable": false.
//
// How often and when is told in [retry]: at most three attempts, a budget of 10 % of the requests, a
// random wait that honours Retry-After in both its forms (RFC 9110, section 10.2.3), a throttle.
//
// # What goes along
//
// The request's id and, with each attempt as a span of its own, its trace, unless the request has
// X-Request-Id or Traceparent already. The time that is left for it goes as Grpc-Timeout, in the
// form of gRPC over HTTP/2 ("15S", "4999870u"): a span of time needs no clocks that agree, and
// grpc-gateway makes it the deadline of the call already.
//
// # How long
//
// A request has [Config].Timeout, unless its context ends before; waits and all attempts are part of
// it, and so is the reading of the answer's body, which must be closed. Waits between attempts go
// by the service's clock.
//
// # Metrics
//
// client_requests_total, client_attempts_total{outcome}, client_retries_total, client_hedges_total,
// client_throttled_total and client_retry_budget_exhausted_total, each labelled by client, the name
// given to [New].
package client
