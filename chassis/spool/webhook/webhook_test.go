package webhook_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/chassis/spool/webhook"
)

// service is a service with no more than a client needs of one.
type service struct {
	registry *prometheus.Registry
	close    func(context.Context) error
}

func (s *service) OnClose(_ string, f func(context.Context) error) { s.close = f }
func (s *service) Clock() clock.Clock                              { return clock.Real() }
func (s *service) Rand() io.Reader                                 { return rand.Reader }
func (s *service) Registry() *prometheus.Registry                  { return s.registry }

func hook(t *testing.T, cfg webhook.Config, answer http.HandlerFunc) *webhook.Sink {
	t.Helper()
	receiver := httptest.NewServer(answer)
	t.Cleanup(receiver.Close)
	cfg.Client.URL = receiver.URL + "/usage"
	h := &service{registry: prometheus.NewRegistry()}
	sink, err := webhook.New(h, "billing", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.close(context.Background()) })
	return sink
}

func batch(n int) (rs []spool.Record) {
	for i := range n {
		rs = append(rs, spool.Record{ID: fmt.Sprint("r", i), Kind: "usage", Body: []byte(`{"units":42}`)})
	}
	return rs
}

func TestARequestCarriesTheRecordItsIDAndASignature(t *testing.T) {
	sink := hook(t, webhook.Config{Secret: config.NewSecret("It's a Secret to Everybody")}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "POST" || r.URL.Path != "/usage" || string(body) != "Hello, World!" {
			t.Errorf("%s %s %q %v", r.Method, r.URL, body, err)
		}
		for name, want := range map[string]string{
			"Webhook-Id": "a%20b%0A%C3%A9", "Idempotency-Key": `"a%20b%0A%C3%A9"`, "Webhook-Kind": "k%2F1", "Content-Type": "application/json",
			// The vector of GitHub's documentation.
			"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !webhook.Verify("It's a Secret to Everybody", body, r.Header.Get("X-Hub-Signature-256")) || webhook.Verify("another", body, r.Header.Get("X-Hub-Signature-256")) {
			t.Error("the signature does not verify, or with any secret")
		}
	})
	errs := sink.Deliver(t.Context(), []spool.Record{{ID: "a b\né", Kind: "k/1", Body: []byte("Hello, World!")}})
	if len(errs) != 1 || errs[0] != nil {
		t.Error(errs)
	}
	plain := hook(t, webhook.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Values("X-Hub-Signature-256") != nil || r.Header.Values("Webhook-Kind") != nil {
			t.Errorf("without secret and kind: %v", r.Header)
		}
	})
	if errs := plain.Deliver(t.Context(), []spool.Record{{ID: "x"}}); errs[0] != nil {
		t.Error(errs)
	}
}

func TestEachAnswerMeansWhatTheDocumentationSays(t *testing.T) {
	meaning := func(err error) string {
		var refused *spool.RefusedError
		var unavailable *spool.UnavailableError
		switch {
		case err == nil:
			return "delivered"
		case errors.As(err, &refused):
			return "refused"
		case errors.As(err, &unavailable):
			return "unavailable " + unavailable.After.String()
		}
		return "doubtful"
	}
	for status, want := range map[int]string{
		200: "delivered", 202: "delivered", 204: "delivered",
		400: "refused", 409: "refused", 413: "refused", 415: "refused", 422: "refused", 501: "refused", 505: "refused",
		500: "doubtful",
		304: "unavailable 1m30s", 401: "unavailable 1m30s", 403: "unavailable 1m30s", 404: "unavailable 1m30s", 408: "unavailable 1m30s", 410: "unavailable 1m30s",
		425: "unavailable 1m30s", 429: "unavailable 1m30s", 502: "unavailable 1m30s", 503: "unavailable 1m30s", 504: "unavailable 1m30s",
	} {
		requests := 0
		sink := hook(t, webhook.Config{}, func(w http.ResponseWriter, r *http.Request) {
			requests++
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(status)
		})
		errs := sink.Deliver(t.Context(), batch(3))
		for i, err := range errs {
			if got := meaning(err); got != want {
				t.Errorf("status %d, record %d: %s, want %s (%v)", status, i, got, want, err)
			}
		}
		if stops := strings.HasPrefix(want, "unavailable"); stops && requests != 1 || !stops && requests != 3 {
			t.Errorf("status %d: %d requests for three records", status, requests)
		}
	}
}

func TestAReceiverThatIsNotThereIsUnavailable(t *testing.T) {
	receiver := httptest.NewServer(nil)
	receiver.Close()
	sink, err := webhook.New(&service{registry: prometheus.NewRegistry()}, "billing", webhook.Config{Client: client.Config{URL: receiver.URL}})
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range sink.Deliver(t.Context(), batch(2)) {
		var unavailable *spool.UnavailableError
		if !errors.As(err, &unavailable) {
			t.Errorf("record %d: %v, want unavailable", i, err)
		}
	}
	if _, err := webhook.New(&service{registry: prometheus.NewRegistry()}, "billing", webhook.Config{}); err == nil || !strings.Contains(err.Error(), "webhook") {
		t.Errorf("without an address: %v", err)
	}
}

func TestADeliveryEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	sink := hook(t, webhook.Config{}, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var unavailable *spool.UnavailableError
	if errs := sink.Deliver(ctx, batch(2)); !errors.As(errs[1], &unavailable) || !errors.Is(errs[0], context.DeadlineExceeded) {
		t.Errorf("%v, want the deadline and the rest not tried", errs)
	}
}
