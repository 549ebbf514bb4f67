package sentryfake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

// gate resets connections while the fake is down.
type gate struct {
	net.Listener
	fake *Fake
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || g.fake.script.take(g.fake.options.Clock.Now(), Down) == nil {
			return c, err
		}
		g.fake.struck()
		reset(c)
	}
}

func (f *Fake) struck() { f.count(func(s *Stats) { s.Faults++ }) }

// reset ends a connection so that its client sees an error, and not an end.
func reset(c net.Conn) {
	inner := c
	if t, ok := c.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	if t, ok := inner.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = inner.Close()
}

// track knows the open connections.
func (f *Fake) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch state {
	case http.StateNew:
		f.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(f.conns, c)
	}
}

// hangUp resets all open connections.
func (f *Fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		reset(c)
	}
}

var errHandshake = errors.New("a fault breaks the handshake")

// secure puts TLS on l, with a certificate for 127.0.0.1.
func (f *Fake) secure(l net.Listener) (net.Listener, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return l, fmt.Errorf("key: %w", err)
	}
	// The machine's time, because clients check the certificate by theirs.
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return l, fmt.Errorf("certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return l, fmt.Errorf("certificate: %w", err)
	}
	f.cert, f.pool = der, x509.NewCertPool()
	f.pool.AddCert(cert)
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if f.script.take(f.options.Clock.Now(), TLS) != nil {
				f.struck()
				return nil, errHandshake
			}
			return nil, nil // as configured here
		},
	}), nil
}
