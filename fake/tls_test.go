package fake_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

// startTLS runs the service with a certificate for both listeners, and returns what its clients trust.
func startTLS(t *testing.T) (*fake.Fake, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := chassis.TLSConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.HTTP.TLS, c.GRPC.TLS = files, files }})
	return f, roots
}

// speaker counts over one protocol inside of TLS, on connections that it keeps, and returns the
// service's answer.
type speaker func(ctx context.Context) (string, error)

// speakers are the clients of the standard library and of grpc-go.
var speakers = map[string]func(t *testing.T, f *fake.Fake, roots *x509.CertPool) (speaker, *line){
	"HTTP/1": func(t *testing.T, f *fake.Fake, roots *x509.CertPool) (speaker, *line) {
		return surf(t, f, roots, false)
	},
	"HTTP/2": func(t *testing.T, f *fake.Fake, roots *x509.CertPool) (speaker, *line) {
		return surf(t, f, roots, true)
	},
	"gRPC": func(t *testing.T, f *fake.Fake, roots *x509.CertPool) (speaker, *line) {
		l := new(line)
		conn, err := grpc.NewClient(f.Addr("grpc"), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return l.dial(ctx, "tcp", addr) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return func(ctx context.Context) (string, error) {
			n, err := countGRPC(t, conn)
			return fmt.Sprint(n), err
		}, l
	},
}

func surf(t *testing.T, f *fake.Fake, roots *x509.CertPool, http2 bool) (speaker, *line) {
	l := new(line)
	transport := &http.Transport{DialContext: l.dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return func(ctx context.Context) (string, error) {
		body, err := fetch(ctx, client, "POST", f.URL("http")+"/count/x")
		return strings.TrimSpace(body), err
	}, l
}

// TestWhatAClientSeesOfAFaultUnderTLS is the table of faults with the clients of the standard library and
// grpc-go, on a connection that was used before: what they see, whether the service had done what was
// asked, and what became of the connection.
func TestWhatAClientSeesOfAFaultUnderTLS(t *testing.T) {
	const (
		reset = "connection reset by peer"
		never = "" // the call is answered
	)
	all := func(words string) map[string]string {
		return map[string]string{"HTTP/1": words, "HTTP/2": words, "gRPC": words}
	}
	for name, c := range map[string]struct {
		rule  fake.Rule
		sees  map[string]string // by protocol
		done  bool
		sent  fake.Sent
		conns int64
	}{
		"RST before the handler": {
			fake.Rule{Action: fake.RST}, all(reset), false, fake.SentNothing, 2},
		"RST after commit": {
			fake.Rule{Action: fake.RST, Phase: fake.AfterCommit}, all(reset), true, fake.SentNothing, 2},
		"RST in the answer": {
			fake.Rule{Action: fake.RST, Phase: fake.DuringResponse, At: 20}, all(reset), true, fake.SentPart, 2},
		"FIN before the handler": {
			fake.Rule{Action: fake.FIN}, all("EOF"), false, fake.SentNothing, 2},
		"FIN after commit": {
			fake.Rule{Action: fake.FIN, Phase: fake.AfterCommit}, all("EOF"), true, fake.SentNothing, 2},
		"half of a record": {
			fake.Rule{Action: fake.Truncate, Phase: fake.AfterCommit}, all("unexpected EOF"), true, fake.SentPart, 2},
		"five bytes of a record": {
			fake.Rule{Action: fake.Truncate, Phase: fake.DuringResponse, At: 5}, all("unexpected EOF"), true, fake.SentPart, 2},
		"garbage": {
			fake.Rule{Action: fake.Garbage, Phase: fake.AfterCommit}, all("tls: received record with version fe00"), true, fake.SentNothing, 2},
		"GOAWAY": {
			fake.Rule{Action: fake.GoAway}, map[string]string{"HTTP/2": never, "gRPC": never}, true, fake.SentAnswer, 2},
		"GOAWAY after commit": {
			fake.Rule{Action: fake.GoAway, Phase: fake.AfterCommit}, map[string]string{"HTTP/2": never, "gRPC": never}, true, fake.SentAnswer, 2},
		"GOAWAY in the answer": {
			fake.Rule{Action: fake.GoAway, Phase: fake.DuringResponse, At: 20}, map[string]string{"HTTP/2": never, "gRPC": never}, true, fake.SentAnswer, 2},
		"a byte a millisecond": {
			fake.Rule{Action: fake.Slow, Rate: 1000}, all(never), true, fake.SentAnswer, 1},
	} {
		for protocol, words := range c.sees {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				f, roots := startTLS(t)
				say, line := speakers[protocol](t, f, roots)
				if got, err := say(t.Context()); got != "1" || err != nil {
					t.Fatalf("before the fault: %q, %v", got, err)
				}
				c.rule.Count = 1
				fault := f.Inject(c.rule)
				begin := time.Now()
				got, err := say(t.Context())
				switch {
				case words == never && (err != nil || got != "2"):
					t.Errorf("the client sees %q, %v", got, err)
				case words != never && (err == nil || !strings.Contains(err.Error(), words)):
					t.Errorf("the client sees %v, want %q", err, words)
				}
				// A record is 22 bytes or more, and an answer has a header and a body.
				if took := time.Since(begin); c.rule.Action == fake.Slow && took < 50*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				next := "2"
				if c.done {
					next = "3"
				}
				if got, err := say(t.Context()); got != next || err != nil {
					t.Errorf("the next call: %q, %v; want %q", got, err, next)
				}
				calls := done(t, f)
				if len(calls) != 3 || calls[1].Sent != c.sent || calls[1].Committed != c.done || calls[1].Ran != c.done || !calls[2].Committed {
					t.Errorf("recorded %+v", calls)
				}
				// net/http may connect once more than it needs to.
				if made := line.made.Load(); made < c.conns || c.conns == 1 && made > 1 || fault.Hits() != 1 {
					t.Errorf("%d connections, want %d; %d hits", made, c.conns, fault.Hits())
				}
			})
		}
	}
}

func TestAFaultUnderTLSHasNetHTTPRunTheHandlerTwice(t *testing.T) {
	f, roots := startTLS(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if _, err := fetch(t.Context(), client, "GET", f.URL("http")+"/total"); err != nil {
		t.Fatal(err)
	}
	f.Inject(fake.Rule{Action: fake.RST, Phase: fake.AfterCommit, Count: 1}, fake.On(routeVisit))
	if body, err := fetch(t.Context(), client, "GET", f.URL("http")+"/visit"); len(body) != visitSize || err != nil {
		t.Errorf("the client sees %d bytes, %v", len(body), err)
	}
	calls := done(t, f)
	if len(calls) != 2 || !calls[0].Committed || calls[0].Sent != fake.SentNothing || calls[1].Duplicate != calls[0].Seq {
		t.Errorf("recorded %+v", calls)
	}
}

func TestAClientWaitsForAHalfOpenConnectionUnderTLS(t *testing.T) {
	for protocol, connect := range speakers {
		t.Run(protocol, func(t *testing.T) {
			f, roots := startTLS(t)
			say, line := connect(t, f, roots)
			if _, err := say(t.Context()); err != nil {
				t.Fatal(err)
			}
			fault := f.Inject(fake.Rule{Action: fake.HalfOpen, Phase: fake.AfterCommit, Count: 1})
			answered := make(chan string, 1)
			go func() {
				got, err := say(t.Context())
				answered <- fmt.Sprint(got, err)
			}()
			if err := fault.WaitHeld(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if got := f.Calls()[1]; !got.Committed || got.Sent != fake.SentNothing || len(answered) > 0 {
				t.Errorf("recorded while it is silent: %+v", got)
			}
			fault.Release()
			if got := <-answered; got != "2<nil>" || line.made.Load() != 1 {
				t.Errorf("after its release: %s, %d connections", got, line.made.Load())
			}
			if got := done(t, f)[1]; got.Sent != fake.SentAnswer {
				t.Errorf("recorded after its release: %+v", got)
			}
		})
	}
}

// TestWhatAHandshakeSeesOfAFault has faults strike before the service has the connection.
func TestWhatAHandshakeSeesOfAFault(t *testing.T) {
	for name, c := range map[string]struct {
		rule fake.Rule
		sees string
	}{
		"RST":     {fake.Rule{Action: fake.RST}, "connection reset by peer"},
		"FIN":     {fake.Rule{Action: fake.FIN}, "EOF"},
		"garbage": {fake.Rule{Action: fake.Garbage}, "tls: first record does not look like a TLS handshake"},
		"slow":    {fake.Rule{Action: fake.Slow, Rate: 10_000}, ""},
		"late":    {fake.Rule{Latency: 50 * time.Millisecond}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, roots := startTLS(t)
			c.rule.Phase, c.rule.Count = fake.Connect, 1
			fault := f.Inject(c.rule)
			for _, listener := range []string{"http", "grpc"} {
				begin := time.Now()
				conn, err := tls.Dial("tcp", f.Addr(listener), &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}})
				first := listener == "http"
				switch {
				case !first || c.sees == "":
					if err != nil {
						t.Fatal(err)
					}
					conn.Close()
				case err == nil || !strings.Contains(err.Error(), c.sees):
					// RST may be there before the client knows that it has connected.
					t.Errorf("the client sees %v, want %q", err, c.sees)
				}
				// The certificate alone has more than 300 bytes.
				if took := time.Since(begin); first && c.sees == "" && took < 30*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			}
			if fault.Hits() != 1 || len(f.Calls()) != 0 {
				t.Errorf("%d hits, calls %+v", fault.Hits(), f.Calls())
			}
		})
	}
}

func TestAGoAwayIsRefusedWhereThereIsNoHTTP2(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	for _, match := range []fake.Match{fake.OnListener("http"), fake.On(routeCount)} {
		_, err := f.Install(fake.Rule{Match: match, Action: fake.GoAway})
		if want := "tally: action goaway: there is no HTTP/2 on listener http: want one of gRPC, or of HTTP with TLS or h2c"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f.Inject(fake.Rule{Action: fake.GoAway}, fake.On(routeGRPC)).Remove()
	f.Inject(fake.Rule{Action: fake.GoAway}).Remove()
	req, err := http.NewRequest("POST", f.URL("http")+"/count/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(fake.FaultHeader, "action=goaway")
	client, _ := browser(t)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := readAll(resp); err != nil || resp.StatusCode != 400 || !strings.Contains(body, "which has no GOAWAY") {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
	if calls := done(t, f); len(calls) != 1 || calls[0].Ran {
		t.Errorf("recorded %+v", calls)
	}

	f = fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.HTTP.H2C = true }})
	fault := f.Inject(fake.Rule{Action: fake.GoAway, Count: 1}, fake.OnListener("http"))
	line := new(line)
	transport := &http.Transport{DialContext: line.dial, Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	for _, want := range []string{"1\n", "2\n"} {
		if got, err := fetch(t.Context(), &http.Client{Transport: transport}, "POST", f.URL("http")+"/count/x"); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if fault.Hits() != 1 || line.made.Load() < 2 {
		t.Errorf("%d hits, %d connections", fault.Hits(), line.made.Load())
	}
}
