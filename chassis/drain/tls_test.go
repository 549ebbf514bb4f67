package drain_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// certificate makes a server's settings and what its clients trust.
func certificate(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certificateOf(t, key, &key.PublicKey)
}

func certificateOf(t testing.TB, key, public any) (*tls.Config, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

// complaints is what a server writes to its ErrorLog.
type complaints struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func secureClient(t testing.TB, addr string, config *tls.Config) *client {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return clientOn(t, c)
}

func TestHTTP1OverTLSLingersAndSaysConnectionClose(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	s := start(t, named("s"), drain.Options{TLS: config})
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	idle, used, upgrade, silent := secureClient(t, s.addr, trust), secureClient(t, s.addr, trust), secureClient(t, s.addr, trust), dial(t, s.addr)
	for _, c := range []*client{idle, used, upgrade} {
		c.send(t, get("/"))
		if c.want(t, "s / 0").Close {
			t.Error("Connection: close before the drain")
		}
	}
	until(t, "all are accepted", func() bool { return s.Stats().Conns == 4 })
	s.HeadsUp(context.Background())
	used.send(t, get("/"))
	if !used.want(t, "s / 0").Close {
		t.Error("no Connection: close after the heads-up")
	}
	used.wantEnd(t)
	upgrade.send(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if upgrade.want(t, "s / 0").Close {
		t.Error("an upgrade was answered with Connection: close")
	}
	const least = 200 * time.Millisecond
	drain.SetFresh(s.Server, least)
	begin := time.Now()
	done := draining(t, s, drain.Leave{Min: least, Give: func(syscall.Conn, []byte) error {
		t.Error("a TLS connection was given away")
		return nil
	}})
	idle.wantEnd(t)
	upgrade.wantEnd(t)
	silent.wantEnd(t)
	if took := time.Since(begin); took < least {
		t.Errorf("closed after %v", took)
	}
	drained(t, done)
}

func TestAClientThatIsSlowWithItsHandshakeGetsItsAnswerAfterMin(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			s := start(t, named("s"), drain.Options{TLS: config})
			trust := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{protocol}}
			idle := secureClient(t, s.addr, &tls.Config{RootCAs: roots, ServerName: "localhost"})
			idle.send(t, get("/"))
			idle.want(t, "s / 0")
			socket, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			until(t, "both are accepted", func() bool { return s.Stats().Conns == 2 })
			done := draining(t, s, drain.Leave{Min: time.Millisecond})
			idle.wantEnd(t)
			slow := tls.Client(socket, trust)
			var dialed atomic.Bool
			client := &http.Client{Transport: &http.Transport{
				Protocols: new(http.Protocols),
				DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
					if dialed.Swap(true) {
						return nil, errors.New("the first connection did not do")
					}
					return slow, slow.Handshake()
				},
			}}
			client.Transport.(*http.Transport).Protocols.SetHTTP1(true)
			client.Transport.(*http.Transport).Protocols.SetHTTP2(true)
			res, err := client.Get("https://localhost/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); string(body) != "s / 0" || err != nil || res.ProtoMajor == 2 != (protocol == "h2") {
				t.Errorf("%s: %q, %v", res.Proto, body, err)
			}
			drained(t, done)
		})
	}
}

func TestTheEndOfAConnectionIsSeenInsideOfTLSAndOnTheSocket(t *testing.T) {
	clean(t)
	// What comes first is the alert; a server that waits for the client's end does so for half a second.
	quick(t, 300*time.Millisecond, untilTheSocketEnds)
}

// untilTheSocketEnds is the time from the alert of a server that drains to the end of its connection.
func untilTheSocketEnds(t *testing.T) time.Duration {
	config, roots := certificate(t)
	s := start(t, named("s"), drain.Options{TLS: config})
	socket, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := clientOn(t, tls.Client(socket, &tls.Config{RootCAs: roots, ServerName: "localhost"}))
	c.send(t, get("/"))
	c.want(t, "s / 0")
	done := draining(t, s, drain.Leave{})
	if err := socket.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var alert [64]byte
	if n, err := socket.Read(alert[:]); n == 0 || err != nil {
		t.Fatalf("%d bytes, %v, want an alert", n, err)
	}
	begin := time.Now()
	if n, err := socket.Read(alert[:]); err != io.EOF {
		t.Errorf("%d bytes, %v, want the end", n, err)
	}
	took := time.Since(begin)
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
	drained(t, done)
	return took
}

func TestARequestKnowsItsTLS(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	before := config.Clone()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.ProtoMajor, r.TLS.HandshakeComplete, r.TLS.ServerName, r.TLS.NegotiatedProtocol, tls.VersionName(r.TLS.Version))
	})
	s := start(t, handler, drain.Options{TLS: config})
	if config.NextProtos != nil || config.CipherSuites != nil || config.MinVersion != before.MinVersion {
		t.Error("the caller's config was changed")
	}
	for _, c := range []struct {
		protos []string
		max    uint16
		want   string
	}{
		{nil, 0, "1 true localhost  TLS 1.3"},
		{[]string{"http/1.1"}, 0, "1 true localhost http/1.1 TLS 1.3"},
		{[]string{"http/1.1"}, tls.VersionTLS12, "1 true localhost http/1.1 TLS 1.2"},
	} {
		client := secureClient(t, s.addr, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: c.protos, MaxVersion: c.max})
		for range 2 {
			client.send(t, get("/"))
			if got, _, err := client.receive(); strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(c.want), "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version}}
		got, _, err := upload(&http.Client{Transport: tr}, "https://"+s.addr, 1)
		if !strings.HasPrefix(got, "2") || !strings.Contains(got, "h2") {
			t.Errorf("%q, %v", got, err)
		}
		tr.CloseIdleConnections()
	}
}

// overheard passes everything on, and keeps what the server says.
type overheard struct {
	net.Conn
	mu   sync.Mutex
	said bytes.Buffer
}

func (o *overheard) Write(b []byte) (int, error) {
	o.mu.Lock()
	o.said.Write(b)
	o.mu.Unlock()
	return o.Conn.Write(b)
}

func TestWhatIsInsideOfTLSSeesPlainText(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "in plain text") })
	inside := make(chan *overheard, 1)
	s := start(t, handler, drain.Options{TLS: config, Entry: drain.Entry{Inside: func(c net.Conn) net.Conn {
		o := &overheard{Conn: c}
		inside <- o
		return o
	}}})
	client := secureClient(t, s.addr, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	client.send(t, get("/"))
	if got, _, err := client.receive(); got != "in plain text" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	o := <-inside
	o.mu.Lock()
	defer o.mu.Unlock()
	if said := o.said.String(); !strings.HasPrefix(said, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(said, "in plain text") {
		t.Errorf("inside was said %q", said)
	}
}

func TestPlainHTTPOnATLSPortIsTold(t *testing.T) {
	clean(t)
	config, _ := certificate(t)
	said := new(complaints)
	s := serve(t, listen(t), &http.Server{ErrorLog: log.New(said, "", 0)}, drain.Options{TLS: config})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	got, err := io.ReadAll(c.r)
	if want := "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"; string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	want := fmt.Sprintf("http: TLS handshake error from %s: client sent an HTTP request to an HTTPS server\n", c.LocalAddr())
	if said.String() != want {
		t.Errorf("said %q, want %q", said, want)
	}
}

func TestAHandshakeThatFailsEndsTheConnectionAndIsLogged(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	trust := func(protos ...string) *tls.Config {
		return &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: protos}
	}
	for name, c := range map[string]struct {
		protos []string // of the server
		talk   func(addr string) (net.Conn, error)
		send   string
		logged string
		within time.Duration // for the handshake
	}{
		"nonsense": {nil, func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
			"nonsense", "tls: first record does not look like a TLS handshake", time.Hour},
		"silence": {nil, func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) },
			"", "i/o timeout", 200 * time.Millisecond},
		"HTTP/1 where h2 was agreed": {nil, func(addr string) (net.Conn, error) { return tls.Dial("tcp", addr, trust("h2")) },
			get("/"), "", time.Hour},
		"h2 where HTTP/1 was agreed": {nil, func(addr string) (net.Conn, error) { return tls.Dial("tcp", addr, trust("http/1.1")) },
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", time.Hour},
		"a protocol that nobody speaks": {[]string{"acme-tls/1"}, func(addr string) (net.Conn, error) { return tls.Dial("tcp", addr, trust("acme-tls/1")) },
			get("/"), "nothing here speaks acme-tls/1", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			said := new(complaints)
			config := config.Clone()
			config.NextProtos = c.protos
			s := serve(t, listen(t), &http.Server{Handler: named("s"), ErrorLog: log.New(said, "", 0), ReadHeaderTimeout: c.within, WriteTimeout: time.Hour}, drain.Options{TLS: config})
			conn, err := c.talk(s.addr)
			if err != nil {
				t.Fatal(err)
			}
			client := clientOn(t, conn)
			client.send(t, c.send)
			got, _ := io.ReadAll(client.r)
			if strings.Contains(string(got), "HTTP") {
				t.Errorf("answer %q", got)
			}
			until(t, "it is off the books", func() bool { return s.Stats().Conns == 0 })
			if !strings.Contains(said.String(), c.logged) || c.logged == "" && said.String() != "" {
				t.Errorf("said %q, want %q", said, c.logged)
			}
		})
	}
}

func TestHTTP2IsNotSpokenOverAWeakCipher(t *testing.T) {
	clean(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	config, roots := certificateOf(t, key, &key.PublicKey)
	config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
	said := new(complaints)
	s := serve(t, listen(t), &http.Server{Handler: named("s"), ErrorLog: log.New(said, "", 0)}, drain.Options{TLS: config})
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: tls.VersionTLS12, CipherSuites: config.CipherSuites, NextProtos: []string{"h2"}}
	c := secureClient(t, s.addr, trust)
	c.send(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if got, _ := io.ReadAll(c.r); len(got) > 0 {
		t.Errorf("answer %q", got)
	}
	until(t, "it is logged", func() bool { return strings.Contains(said.String(), "which RFC 9113 forbids") })
	trust.NextProtos = nil
	c = secureClient(t, s.addr, trust) // HTTP/1 may
	c.send(t, get("/"))
	c.want(t, "s / 0")
}

func TestATLSServerAdoptsNothing(t *testing.T) {
	config, _ := certificate(t)
	s := start(t, named("s"), drain.Options{TLS: config})
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := s.Adopt(near, nil, nil); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Error(err)
	}
}
