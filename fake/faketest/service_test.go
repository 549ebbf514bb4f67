package faketest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"
)

// The diary is a service that has what suites may meet: streams, calls that do not end, failures, answers of
// any size, tenants, and entries in a journal.
type diary struct {
	fake     *fake.Fake          // the latest that was started
	meet     func(*fake.Fake)    // called for each request before faults are asked; nil does nothing
	edit     func(*http.Request) // the same with the request
	engine   journal.Engine      // of its journals
	journals int
	settle   func(*chassis.Service) error // called by each Setup; nil does nothing
	written  func(journal.Journal)        // called for each entry that was written; nil does nothing
	options  fake.Options[config]
	brief    bool // streams end at once
	long     bool // an answer is longer than what a fault keeps back
}

const entryMethod = "/diary.v1.Diary/Write"

func newDiary() *diary { return &diary{engine: sqlite.Engine, journals: 1} }

func (d *diary) start(tb fake.TB) *fake.Fake {
	tb.Helper()
	spec := chassis.Spec[config]{Name: "diary", Failures: codes, Setup: d.setup}
	d.fake = fake.Start(tb, spec, d.options)
	return d.fake
}

func (d *diary) setup(ctx context.Context, s *chassis.Service, cfg config) error {
	if d.settle != nil {
		if err := d.settle(s); err != nil {
			return err
		}
	}
	var j journal.Journal
	for range d.journals {
		var err error
		if j, err = journal.Open(ctx, s, "mem:", d.engine); err != nil {
			return err
		}
	}
	write := func(ctx context.Context) error {
		if j == nil {
			return nil
		}
		_, err := j.Append(ctx, "days", journal.Any, journal.Event{Type: "written", Data: []byte("dear diary")})
		if err == nil && d.written != nil {
			d.written(j)
		}
		return err
	}
	r := chassis.NewRouter()
	r.Tenant(func(req *http.Request) string {
		if d.meet != nil {
			d.meet(d.fake)
		}
		if d.edit != nil {
			d.edit(req)
		}
		return "Ann"
	})
	watch := func(w http.ResponseWriter, req *http.Request) error {
		if d.brief {
			return nil
		}
		<-req.Context().Done()
		return req.Context().Err()
	}
	r.Handle("GET /all", watch, chassis.Stream())
	r.Handle("GET /entry/{id}", func(http.ResponseWriter, *http.Request) error { return codes.Codes()[0].New() })
	r.Handle("GET /plain", func(w http.ResponseWriter, _ *http.Request) error {
		if d.long {
			_, err := fmt.Fprint(w, strings.Repeat("dear diary ", 20000))
			return err
		}
		http.Error(w, "there is nothing here", http.StatusNotFound)
		return nil
	})
	r.Handle("POST /entry", func(w http.ResponseWriter, req *http.Request) error { return write(req.Context()) })
	r.Handle("/entry", func(http.ResponseWriter, *http.Request) error { return nil })
	r.Handle("GET /entry", func(w http.ResponseWriter, req *http.Request) error {
		_, err := fmt.Fprint(w, strings.Repeat("dear diary ", 1000))
		return err
	})
	if err := s.HTTP("http", cfg.HTTP, r); err != nil {
		return err
	}
	service := grpc.ServiceDesc{
		ServiceName: "diary.v1.Diary", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Write", Handler: func(srv any, ctx context.Context, dec func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			if err := dec(in); err != nil {
				return nil, err
			}
			handle := func(ctx context.Context, _ any) (any, error) { return in, write(ctx) }
			if chain == nil {
				return handle(ctx, in)
			}
			return chain(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: entryMethod}, handle)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return stream.Context().Err()
		}}},
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) { r.RegisterService(&service, 0) })
}

// certificate is one for loopback, in files.
func certificate(t *testing.T) chassis.TLSConfig {
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
	return files
}

// TestWhateverAServiceIsLikeItsFakePasses has what the suite must take as it is: streams that do not end, failures,
// answers that begin before their handler has ended, every protocol, real time, and journals of any number.
func TestWhateverAServiceIsLikeItsFakePasses(t *testing.T) {
	files := certificate(t)
	for name, c := range map[string]struct {
		options  fake.Options[config]
		journals int
		long     bool // answers
	}{
		"HTTP/1, HTTP/2 and gRPC":    {fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.HTTP.H2C = true }}, 1, false},
		"TLS":                        {fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.HTTP.TLS, c.GRPC.TLS = files, files }}, 0, false},
		"real time":                  {fake.Options[config]{RealTime: true}, 1, false},
		"two journals, long answers": {fake.Options[config]{}, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDiary()
			d.options, d.journals, d.long = c.options, c.journals, c.long
			for promise, check := range faketest.Promises() {
				if promise == "it is ready at once" || promise == "a stop leaves nothing behind" {
					continue // a matter of none of this
				}
				if err := check(t.Context(), d.start); err != nil {
					t.Errorf("%s: %v", promise, err)
				}
			}
		})
	}
}
