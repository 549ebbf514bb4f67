package drain

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// suites are those of TLS 1.2 that HTTP/2 may be spoken over (RFC 9113, 9.2.2) and crypto/tls has.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// secure is config with what the server needs where it says nothing.
func secure(config *tls.Config) *tls.Config {
	config = config.Clone()
	if len(config.NextProtos) == 0 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	if len(config.CipherSuites) == 0 {
		config.CipherSuites = slices.Clone(suites)
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	return config
}

// handshake does the handshake of TLS as net/http does: in time, and complaining in the same
// words. The error ends the connection without an answer.
func (c *conn) handshake() error {
	s := c.server
	if d := s.handshakes; d > 0 {
		_ = c.SetDeadline(time.Now().Add(d))
		defer c.wire.SetWriteDeadline(time.Time{})
	}
	err := c.tls.HandshakeContext(c.ctx)
	if err != nil {
		if c.leaving() && timedOut(err) {
			return err
		}
		var header tls.RecordHeaderError
		if errors.As(err, &header) && header.Conn != nil && plainHTTP(header.RecordHeader) {
			_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			return c.refuse(ReasonPlain, http.StatusBadRequest, errors.New("client sent an HTTP request to an HTTPS server"))
		}
		return c.refuse(ReasonHandshake, 0, err)
	}
	state := c.tls.ConnectionState()
	switch proto := state.NegotiatedProtocol; {
	case proto == "h2" && state.Version == tls.VersionTLS12 && !slices.Contains(suites, state.CipherSuite):
		return c.refuse(ReasonHandshake, 0, errors.New("HTTP/2 over "+tls.CipherSuiteName(state.CipherSuite)+", which RFC 9113 forbids"))
	case proto != "h2" && proto != "http/1.1" && proto != "":
		return c.refuse(ReasonHandshake, 0, errors.New("nothing here speaks "+proto))
	}
	c.secured = &state
	_ = c.SetReadDeadline(after(positive(s.http.ReadHeaderTimeout, s.http.ReadTimeout)))
	return nil
}

// refuse ends a connection that err keeps from being served. One over which nothing came at all
// was a look whether the port is open, as load balancers take it: nobody is told.
func (c *conn) refuse(reason Reason, status int, err error) error {
	c.server.logf("http: TLS handshake error from %s: %v", c.RemoteAddr(), err)
	if c.wire.in.Load() == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.broken = io.EOF
		return io.EOF
	}
	return c.end(reason, status, err)
}

// leaving says whether the read under way was woken.
func (c *conn) leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.woken
}

// handshakeWithin is the shortest of the timeouts that are set.
func handshakeWithin(timeouts ...time.Duration) time.Duration {
	var shortest time.Duration
	for _, d := range timeouts {
		if d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	return shortest
}

// plainHTTP says whether what came where TLS was expected looks like a request.
func plainHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}
