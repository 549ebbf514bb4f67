package sentry

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// sender posts events, one after another.
type sender struct {
	endpoint  *endpoint
	clock     clock.Clock
	timeout   time.Duration
	transport *http.Transport
	count     func(outcome string)

	mu    sync.Mutex
	until time.Time // no event before
	pace  pace
}

func newSender(cfg *Config, c clock.Clock, count func(string)) (*sender, error) {
	to, err := parseDSN(cfg.DSN.Reveal())
	if err != nil {
		return nil, fmt.Errorf("sentry.dsn: %w", err)
	}
	roots, err := cfg.roots()
	if err != nil {
		return nil, err
	}
	through, err := parseProxy(cfg.Proxy.Reveal())
	if err != nil {
		return nil, fmt.Errorf("sentry.proxy: %w", err)
	}
	proxy := http.ProxyFromEnvironment
	switch {
	case through != nil:
		proxy = http.ProxyURL(through)
	case cfg.Proxy.Reveal() == direct:
		proxy = nil
	}
	return &sender{
		endpoint: to, clock: c, timeout: cfg.Timeout, count: count,
		pace: pace{rate: float64(cfg.Rate), tokens: float64(cfg.Rate), at: c.Now()},
		transport: &http.Transport{
			Proxy:               proxy,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxConnsPerHost:     2,
			IdleConnTimeout:     time.Minute,
			TLSHandshakeTimeout: cfg.Timeout,
		},
	}, nil
}

// deliver is the pump's [spool.Deliver]. An event that fails may be at fault itself, or Sentry is: the
// next one tells. When that fails as well the rest is not tried.
func (s *sender) deliver(ctx context.Context, records []spool.Record) []error {
	errs := make([]error, len(records))
	failed := -1 // the last event that failed, when nothing was delivered since
	// stop says that Sentry is at fault, and that of the events from i on tried were.
	stop := func(i, tried int, err error, after time.Duration) []error {
		for k := i; k < len(records); k++ {
			if k < i+tried {
				errs[k] = spool.Unavailable(err, after)
			} else {
				errs[k] = spool.Untried(err, after)
			}
		}
		if failed >= 0 {
			errs[failed] = spool.Unavailable(errs[failed], after)
		}
		return errs
	}
	for i, r := range records {
		if wait := s.limited(); wait > 0 {
			return stop(i, 0, errLimited, wait)
		}
		if err := s.keepPace(ctx); err != nil {
			return stop(i, 0, err, 0)
		}
		err := s.send(ctx, r)
		switch a, _ := errors.AsType[*answer](err); {
		case err == nil:
			s.count(Delivered)
			failed = -1
		case a != nil && a.refuses():
			s.count(Refused)
			errs[i] = spool.Refused(err)
			failed = -1
		case a != nil && a.status == http.StatusTooManyRequests:
			s.count(Limited)
			return stop(i, 1, err, s.limited())
		case a != nil && a.misplaced():
			s.count(Failed)
			return stop(i, 1, err, misplacedWait)
		default:
			s.count(Failed)
			if failed >= 0 || ctx.Err() != nil || i == len(records)-1 {
				return stop(i, 1, err, s.limited())
			}
			failed, errs[i] = i, err
		}
	}
	return errs
}

// misplacedWait is how long nothing is sent to where nothing is taken: somebody must change a key or
// an address.
const misplacedWait = 5 * time.Minute

var errLimited = errors.New("sentry asked for fewer events")

// An answer is one that says no.
type answer struct {
	host   string
	status int
	detail string
}

// Error implements error.
func (a *answer) Error() string {
	text := fmt.Sprintf("sentry at %s answers %d", a.host, a.status)
	if a.detail != "" {
		text += ": " + a.detail
	}
	return text
}

// refuses reports whether the same event will be refused each time.
func (a *answer) refuses() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// misplaced reports whether it is not the event that is wrong but where it was sent, or with which key.
func (a *answer) misplaced() bool {
	return a.status < 500 && a.status != http.StatusRequestTimeout && a.status != http.StatusTooManyRequests && !a.refuses()
}

// limited is how long no event may be sent.
func (s *sender) limited() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.until.Sub(s.clock.Now()), 0)
}

// limit has no event be sent for a while. A shorter while than is known already changes nothing.
func (s *sender) limit(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.clock.Now().Add(wait); wait > 0 && until.After(s.until) {
		s.until = until
	}
}

func (s *sender) keepPace(ctx context.Context) error {
	s.mu.Lock()
	wait := s.pace.take(s.clock.Now())
	s.mu.Unlock()
	return clock.Sleep(ctx, s.clock, wait)
}

// send posts one event. An error that is no answer says that none came.
func (s *sender) send(ctx context.Context, r spool.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	body, err := s.envelope(r)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sentry at %s: %w", s.endpoint.host, err)
	}
	req.Header.Set("Content-Type", "application/x-sentry-envelope")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", client)
	req.Header.Set("X-Sentry-Auth", s.endpoint.auth)
	resp, err := s.transport.RoundTrip(req) // no redirects: the key is for this host alone
	if err != nil {
		return fmt.Errorf("sentry at %s: %w", s.endpoint.host, err)
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
		_ = resp.Body.Close()
	}()
	s.limit(waitOf(resp.StatusCode, resp.Header, s.clock.Now()))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &answer{host: s.endpoint.host, status: resp.StatusCode, detail: cut(resp.Header.Get("X-Sentry-Error"), 200)}
}

const maxAnswer = 64 << 10

// envelope packs an event as https://develop.sentry.dev/sdk/foundations/transport/envelopes/ wants it.
// sent_at is the time of this very sending: by it Sentry corrects clocks that are wrong.
func (s *sender) envelope(r spool.Record) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	enc := json.NewEncoder(w) // ends each document with the line break that separates them
	err := errors.Join(
		enc.Encode(struct {
			EventID string    `json:"event_id"`
			SentAt  time.Time `json:"sent_at"`
		}{r.ID, s.clock.Now().UTC()}),
		enc.Encode(struct {
			Type        string `json:"type"`
			Length      int    `json:"length"`
			ContentType string `json:"content_type"`
		}{"event", len(r.Body), "application/json"}),
	)
	if err == nil {
		_, err = w.Write(append(r.Body, '\n'))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("event %s: envelope: %w", r.ID, err)
	}
	return b.Bytes(), nil
}

// pace is a token bucket that holds the events of a second.
type pace struct {
	rate, tokens float64
	at           time.Time
}

// take takes a token and returns how long to wait for it.
func (p *pace) take(now time.Time) time.Duration {
	p.tokens = min(p.tokens+now.Sub(p.at).Seconds()*p.rate, p.rate)
	p.at = now
	p.tokens--
	if p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / p.rate * float64(time.Second))
}
