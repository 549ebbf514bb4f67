// Package webhook delivers the records of a spool as HTTP requests: one POST for each, in their order.
//
//	hook, err := webhook.New(s, "billing", webhook.Config{Client: client.Config{URL: "https://billing/usage"}})
//	pump, err := spool.NewPump(records, spool.PumpConfig{}, hook.Deliver)
//	s.Go("billing", pump.Run)
//
// A request has the record's body as its own, and the headers
//
//	Webhook-Id           the record's ID: the same each time, for the receiver to know a repetition by
//	Idempotency-Key      the same, in quotes, for receivers that go by this header
//	Webhook-Kind         the record's kind, if it has one
//	X-Hub-Signature-256  sha256= and the HMAC-SHA-256 of the body in hexadecimal, if there is a secret
//
// The signature is that of GitHub's webhooks (docs.github.com, "Validating webhook deliveries"). What
// headers cannot hold of ID and kind is percent-encoded as in the path of a URL.
//
// # What an answer means
//
//	2xx                                  delivered
//	400, 409, 413, 415, 422, 501, 505    the record is at fault: it is parked
//	500                                  either may be: tried later, and parked after some tries if others get through
//	any other, or none                   the receiver or its configuration is at fault, unless others get through
//
// After the last kind the rest of the batch is not tried, and Retry-After is honoured in both its forms
// (RFC 9110, section 10.2.3), up to 24 hours: a mistake must not end deliveries for good. Statuses such as 401, 403 and 404 are of that kind because a wrong password
// or address would otherwise park all that there is. How the pump finds out a record for which the receiver
// gives such an answer, or none, while it takes others, [spool.Pump] tells.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// Config is one receiver. A zero field means its default.
type Config struct {
	// Client is where requests go, URL with the whole path, and how. Each request is sent once unless Retry says
	// otherwise: trying again is up to the pump.
	Client client.Config `config:"client"`
	// Secret signs the bodies; without one there is no signature.
	Secret config.Secret `config:"secret" doc:"key of the HMAC with which requests are signed; empty: they are not"`
	// ContentType is that of the bodies, application/json by default.
	ContentType string `config:"content_type" doc:"content type of the records' bodies"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Client.Retry.Attempts == 0 {
		c.Client.Retry.Attempts = 1
	}
	c.Client.SetDefaults()
	if c.ContentType == "" {
		c.ContentType = "application/json"
	}
}

// A Sink delivers records to one receiver. It is safe for concurrent use.
type Sink struct {
	cfg    Config
	client *client.Client
}

// New makes a sink, which ends with h. name stands for the receiver in metrics and errors.
func New(h client.Host, name string, cfg Config) (*Sink, error) {
	cfg.SetDefaults()
	c, err := client.New(h, name, cfg.Client)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return &Sink{cfg: cfg, client: c}, nil
}

// Deliver sends records one after another. It is a [spool.Deliver].
func (s *Sink) Deliver(ctx context.Context, records []spool.Record) []error {
	errs := make([]error, len(records))
	for i, r := range records {
		errs[i] = s.post(ctx, r)
		var unavailable *spool.UnavailableError
		if errors.As(errs[i], &unavailable) {
			for k := i + 1; k < len(errs); k++ {
				errs[k] = spool.Untried(fmt.Errorf("record %q before it failed", r.ID), unavailable.After)
			}
			break
		}
	}
	return errs
}

// post sends one record.
func (s *Sink) post(ctx context.Context, r spool.Record) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.Client.URL, bytes.NewReader(r.Body))
	if err != nil {
		return spool.Unavailable(err, 0)
	}
	req.Header.Set("Content-Type", s.cfg.ContentType)
	req.Header.Set("Webhook-Id", url.PathEscape(r.ID))
	req.Header.Set("Idempotency-Key", `"`+url.PathEscape(r.ID)+`"`)
	if r.Kind != "" {
		req.Header.Set("Webhook-Kind", url.PathEscape(r.Kind))
	}
	if secret := s.cfg.Secret.Reveal(); secret != "" {
		req.Header.Set("X-Hub-Signature-256", Sign(secret, r.Body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return spool.Unavailable(err, 0)
	}
	defer resp.Body.Close()
	return outcome(resp)
}

// maxDrained bounds what is read of an answer so that its connection can be used again.
const maxDrained = 64 << 10

// longest is how long a receiver is left alone at most that asks for it.
const longest = 24 * time.Hour

// outcome says what an answer means.
func outcome(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
		return nil
	}
	p, _ := failure.ReadProblem(resp) // one that is none has its header's Retry-After still
	err := fmt.Errorf("the receiver answered %s", resp.Status)
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return spool.Refused(err)
	case http.StatusInternalServerError:
		return err
	}
	return spool.Unavailable(err, min(p.RetryAfter, longest))
}

// Sign returns the signature of a body, as in the header X-Hub-Signature-256.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify reports whether signature, the value of that header, is of body. It takes the same time
// whichever byte is wrong.
func Verify(secret string, body []byte, signature string) bool {
	return hmac.Equal([]byte(Sign(secret, body)), []byte(signature))
}
