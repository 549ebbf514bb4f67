package sentry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// Config says where reports go. The zero Config sends none.
type Config struct {
	// DSN is the project's address with its public key. Empty turns reporting off. It is shown
	// nowhere.
	DSN config.Secret `config:"dsn" doc:"address of the Sentry project, https://KEY@HOST/PROJECT; empty: no reports to Sentry"`
	// Environment is the tag of that name, "production" by default.
	Environment string `config:"environment" doc:"environment that events are tagged with"`
	// Release and ServerName are those of the report by default: the service's name, an @ and its
	// version, and the host's name.
	Release    string `config:"release" doc:"release that events are tagged with; empty: NAME@VERSION"`
	ServerName string `config:"server_name" doc:"server that events are tagged with; empty: the host's name"`
	// Spool is the file in which reports wait, by default NAME-sentry.spool in the working directory.
	// Both workers of a reload use the same.
	Spool string `config:"spool" doc:"file in which reports wait for Sentry; empty: NAME-sentry.spool"`
	// Bytes and Age bound what waits, 64 MiB and 72 hours by default.
	Bytes config.Size   `config:"bytes" doc:"size of the reports that wait; the oldest are dropped for newer ones"`
	Age   time.Duration `config:"age" doc:"age at which a report that could not be delivered is dropped"`
	// Rate bounds the events sent in a second, 50 by default, also when many have waited.
	Rate int `config:"rate" doc:"events sent in a second at most"`
	// Timeout is for one event, 10 s by default.
	Timeout time.Duration `config:"timeout" doc:"time for sending one event"`
	// Proxy is the proxy to Sentry; empty is what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	Proxy config.Secret `config:"proxy" doc:"proxy to Sentry: http, https or socks5 URL, or direct; empty: as HTTPS_PROXY says"`
	// CA is a file with certificates to trust in place of the system's.
	CA string `config:"ca" doc:"file with the certificates (PEM) that Sentry's is checked against; empty: the system's"`
}

const direct = "direct"

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Environment == "" {
		c.Environment = "production"
	}
	if c.Bytes == 0 {
		c.Bytes = 64 << 20
	}
	if c.Age == 0 {
		c.Age = 72 * time.Hour
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
}

// Validate refuses a DSN that is none, and bounds that are none. No error has the key in it.
func (c *Config) Validate() error {
	var errs []error
	if dsn := c.DSN.Reveal(); dsn != "" && !isReference(dsn) {
		if _, err := parseDSN(dsn); err != nil {
			errs = append(errs, config.Invalid("dsn", "%w", err))
		}
	}
	if c.Rate < 1 || c.Rate > 1000 {
		errs = append(errs, config.Invalid("rate", "want 1 to 1000 a second, got %d", c.Rate))
	}
	if c.Bytes < 1<<20 {
		errs = append(errs, config.Invalid("bytes", "want 1MiB or more, got %d bytes", int64(c.Bytes)))
	}
	if c.Age < 0 {
		errs = append(errs, config.Invalid("age", "want more than 0, got %v", c.Age))
	}
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		errs = append(errs, config.Invalid("timeout", "want from 1ms to %v, got %v", maxTimeout, c.Timeout))
	}
	if _, err := parseProxy(c.Proxy.Reveal()); err != nil {
		errs = append(errs, config.Invalid("proxy", "%w", err))
	}
	return errors.Join(errs...)
}

// maxTimeout leaves room for one event and its answer within the lease of a batch.
const maxTimeout = 20 * time.Second

// isReference reports whether a secret is still to be read from a file.
func isReference(s string) bool { return len(s) >= 5 && s[:5] == "file:" }

// parseProxy returns nil for no proxy of its own.
func parseProxy(s string) (*url.URL, error) {
	if s == "" || s == direct || isReference(s) {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return nil, errors.New("want an http, https or socks5 URL with a host, such as http://proxy:3128, or direct")
	}
	return u, nil
}

// roots reads the certificates of CA.
func (c *Config) roots() (*x509.CertPool, error) {
	if c.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("sentry.ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("sentry.ca: %s has no certificate in PEM", c.CA)
	}
	return pool, nil
}
