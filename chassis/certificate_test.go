package chassis_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// swap puts the files of k where those of old were: what the names then say.
func (k keyPair) swap(t *testing.T, old chassis.TLSConfig, cert, key bool) {
	t.Helper()
	for from, to := range map[string]string{k.config.Cert: old.Cert, k.config.Key: old.Key} {
		if from == k.config.Cert && !cert || from == k.config.Key && !key {
			continue
		}
		text := readBytes(t, from)
		if err := os.WriteFile(to+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(to+".new", to); err != nil {
			t.Fatal(err)
		}
	}
}

// handshake connects to h and returns the connection; the certificate has to be that of k.
func handshake(t *testing.T, h *host, k keyPair) *tls.Conn {
	t.Helper()
	raw, err := h.client.Transport.(*http.Transport).DialContext(context.Background(), "pipe", "http:443")
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{RootCAs: k.pool, ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}})
	t.Cleanup(func() { _ = raw.Close() })
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// asks sends a request over a connection.
func asks(t *testing.T, c *tls.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	n, err := c.Read(b)
	if !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200 ") {
		t.Errorf("answered %q, %v", b[:n], err)
	}
}

func TestNewCertificatesAreUsedWithoutAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := certificate(t)
		files := first.config // which then hold others
		h := start(t, options{pipes: true, http: chassis.HTTPConfig{TLS: files}, settings: func(s *chassis.Settings) { s.Admin.Addr = "off" }},
			serve(routes(map[string]chassis.Handler{"GET /": say("hello")})))
		look := func() { time.Sleep(chassis.CertificateCheck); synctest.Wait() }
		failed := func(want float64) {
			t.Helper()
			h.wantMetric(want, "certificate_reload_failed_total", "listener", "http")
		}
		kept := handshake(t, h, first)
		asks(t, kept)
		failed(0)
		h.wantMetric(float64(time.Now().Add(time.Hour).Unix()), "certificate_expiry_timestamp_seconds", "listener", "http")
		time.Sleep(time.Minute)
		second, expiry := certificate(t), time.Now().Add(time.Hour)

		// The new certificate beside the old key: the pair before stays.
		second.swap(t, files, true, false)
		look()
		asks(t, handshake(t, h, first))
		failed(1)
		logged := h.logged("changed certificate is not used; the one before is")
		if len(logged) != 1 || logged[0]["listener"] != "http" || logged[0]["level"] != "error" || !strings.Contains(logged[0]["error"].(string), "does not match") {
			t.Errorf("logged %v", logged)
		}
		look()
		failed(1) // told once

		second.swap(t, files, false, true)
		look()
		asks(t, handshake(t, h, second))
		asks(t, kept)
		failed(1)
		h.wantMetric(float64(expiry.Unix()), "certificate_expiry_timestamp_seconds", "listener", "http")
		if logged := h.logged("certificate changed"); len(logged) != 1 || logged[0]["serial"] != "1" || logged[0]["listener"] != "http" {
			t.Errorf("logged %v", logged)
		}
		h.stop()
	})
}

func TestATLSListenerOfItsOwnIsAskedFor(t *testing.T) {
	k := certificate(t)
	start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		if c, err := s.TLS("own", chassis.TLSConfig{}, "h2"); c != nil || err != nil {
			t.Errorf("without a certificate: %v, %v", c, err)
		}
		c, err := s.TLS("own", k.config, "own/1")
		if err != nil {
			return err
		}
		if c.MinVersion != tls.VersionTLS12 || len(c.NextProtos) != 1 || c.NextProtos[0] != "own/1" {
			t.Errorf("minimum version %x, protocols %q", c.MinVersion, c.NextProtos)
		}
		if _, err := s.TLS("own", chassis.TLSConfig{Cert: k.config.Cert, Key: k.config.Cert}); err == nil || !strings.Contains(err.Error(), k.config.Cert) {
			t.Errorf("a key that is none: %v", err)
		}
		return nil
	})
}
