package grpcserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

func TestTheDrainFinishesCallsAndTellsStreams(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	var draining <-chan struct{}
	h := start(t, options{}, &echo{
		say: func(ctx context.Context, _ string) (string, error) {
			entered <- struct{}{}
			<-release
			return "finished", nil
		},
		count: func(_ string, send func(string) error, ctx context.Context) error {
			entered <- struct{}{}
			<-chassis.Draining(ctx)
			return send("bye")
		},
	})
	draining = h.s.Draining()
	type said struct {
		text string
		err  error
	}
	got := make(chan said, 1)
	go func() {
		text, err := h.say(context.Background(), "")
		got <- said{text, err}
	}()
	receive(t, entered, "the call")
	cs := h.stream(context.Background(), count, "")
	receive(t, entered, "the stream")
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(context.Background()) }()
	receive(t, draining, "the drain")
	if text, err := next(cs); text != "bye" || err != nil {
		t.Errorf("the stream got %q, %v", text, err)
	}
	if _, err := next(cs); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("stopped with a call under way: %v", err)
	default:
	}
	close(release)
	if s := receive(t, got, "the answer"); s.text != "finished" || s.err != nil {
		t.Errorf("the call got %q, %v", s.text, s.err)
	}
	if err := receive(t, stopped, "the end"); err != nil {
		t.Error(err)
	}
}

func TestAHandlerThatIgnoresItsContextIsLeftBehind(t *testing.T) {
	entered, release, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := start(t, options{}, &echo{say: func(context.Context, string) (string, error) {
		close(entered)
		<-release
		close(over)
		return "", nil
	}})
	failed := make(chan error, 1)
	go func() { _, err := h.say(context.Background(), ""); failed <- err }()
	receive(t, entered, "the call")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := receive(t, failed, "the caller's error"); status.Code(err) != grpccodes.Unavailable {
		t.Errorf("the caller sees %v", err)
	}
	if len(h.logged("requests were cut off")) != 1 {
		t.Error("the cut was not logged")
	}
	close(release)
	receive(t, over, "the end of the handler")
}

func TestHealthFollowsReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.ReadinessDelay = 5 * time.Second },
			setup: func(s *chassis.Service) error {
				s.Check("database", func(context.Context) error {
					if broken.Load() {
						return errors.New("gone")
					}
					return nil
				})
				return nil
			}}, back())
		ctx := context.Background()
		check := func(want healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			for _, service := range []string{"", "test.Echo"} {
				if s, err := h.health(ctx, service); s != want || err != nil {
					t.Errorf("health of %q: %v, %v; want %v", service, s, err, want)
				}
			}
			list, err := healthpb.NewHealthClient(h.conn).List(ctx, &healthpb.HealthListRequest{})
			if err != nil || len(list.GetStatuses()) != 2 || list.Statuses["test.Echo"].GetStatus() != want {
				t.Errorf("list: %v, %v", list, err)
			}
		}
		check(healthpb.HealthCheckResponse_SERVING)
		if _, err := h.health(ctx, "nobody"); status.Code(err) != grpccodes.NotFound {
			t.Errorf("health of a service that is not there: %v", err)
		}
		client := healthpb.NewHealthClient(h.conn)
		watch, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "test.Echo"})
		if err != nil {
			t.Fatal(err)
		}
		strange, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "nobody"})
		if err != nil {
			t.Fatal(err)
		}
		short, leave := context.WithCancel(ctx)
		gone, err := client.Watch(short, &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		tells := func(w grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			if res, err := w.Recv(); res.GetStatus() != want || err != nil {
				t.Errorf("told %v, %v; want %v", res.GetStatus(), err, want)
			}
		}
		tells(watch, healthpb.HealthCheckResponse_SERVING)
		tells(strange, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
		tells(gone, healthpb.HealthCheckResponse_SERVING)
		leave()
		broken.Store(true)
		check(healthpb.HealthCheckResponse_NOT_SERVING)
		begin := time.Now()
		tells(watch, healthpb.HealthCheckResponse_NOT_SERVING)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("told after %v", took)
		}
		broken.Store(false)
		tells(watch, healthpb.HealthCheckResponse_SERVING)

		stopped := make(chan error, 1)
		begin = time.Now()
		go func() { stopped <- h.Stop(ctx) }()
		tells(watch, healthpb.HealthCheckResponse_NOT_SERVING)
		if took := time.Since(begin); took != 0 {
			t.Errorf("those who watch are told of the drain after %v", took)
		}
		check(healthpb.HealthCheckResponse_NOT_SERVING) // in the delay, calls are still answered
		for _, w := range []grpc.ServerStreamingClient[healthpb.HealthCheckResponse]{watch, strange} {
			if _, err := w.Recv(); err != io.EOF {
				t.Errorf("watching ended with %v", err)
			}
		}
		if err := <-stopped; err != nil || time.Since(begin) != 5*time.Second+50*time.Millisecond { // the delay, and GOAWAY on its way
			t.Errorf("stopped with %v after %v: watching holds up the drain", err, time.Since(begin))
		}
		h.wantMetric(3, "requests_total", "route", "/grpc.health.v1.Health/Watch", "code", "OK")
		if text := h.access.String(); text != "" {
			t.Errorf("probes are in the access log:\n%s", text)
		}
		_ = h.conn.Close()
	})
}

func TestThoseWhoWatchAreToldOfTheDrainBeforeTheEnd(t *testing.T) {
	for range 20 {
		h := start(t, options{}, back())
		watch, err := healthpb.NewHealthClient(h.conn).Watch(context.Background(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if res, err := watch.Recv(); res.GetStatus() != healthpb.HealthCheckResponse_SERVING || err != nil {
			t.Fatalf("told %v, %v", res, err)
		}
		h.stop()
		if res, err := watch.Recv(); res.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING || err != nil {
			t.Fatalf("told %v, %v", res, err)
		}
		if _, err := watch.Recv(); err != io.EOF {
			t.Fatalf("ended with %v", err)
		}
	}
}

func TestThoseWhoWatchAndDoNotReadAreNotWaitedFor(t *testing.T) {
	h := start(t, options{}, back())
	ctx, cancel := context.WithCancel(context.Background())
	watch, err := healthpb.NewHealthClient(h.conn).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	h.stop()
}

func TestReflectionIsThereWhenAskedFor(t *testing.T) {
	for _, on := range []bool{true, false} {
		h := start(t, options{grpc: grpcserver.Config{Reflection: on}}, back())
		stream, err := reflectionpb.NewServerReflectionClient(h.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		res, err := stream.Recv()
		if !on {
			if status.Code(err) != grpccodes.Unimplemented {
				t.Errorf("switched off: %v", err)
			}
			continue
		}
		var names []string
		for _, s := range res.GetListServicesResponse().GetService() {
			names = append(names, s.GetName())
		}
		if err != nil || !slices.Contains(names, "test.Echo") {
			t.Errorf("services %q, %v", names, err)
		}
	}
}

func TestADescriptionListsTheMethodsOfTheService(t *testing.T) {
	h := start(t, options{world: func(w *chassis.World) { w.Dry = true }, grpc: grpcserver.Config{Reflection: true}}, back())
	d, err := h.s.Description()
	if err != nil || len(d.Listeners) != 1 || d.Listeners[0].Protocol != "grpc" || !slices.Equal(d.Listeners[0].Routes, []string{chat, count, say}) {
		t.Errorf("described as %+v, %v", d.Listeners, err)
	}
	h.wantMetric(0, "request_duration_seconds", "listener", "grpc", "route", count, "method", "POST")
}

func TestTLSIsSpoken(t *testing.T) {
	cfg, pool := certificate(t)
	h := start(t, options{grpc: grpcserver.Config{TLS: cfg}, dial: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})),
	}}, back())
	if answer, err := h.say(t.Context(), "x"); answer != "you said x" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	if d, err := h.s.Description(); err != nil || d.Listeners[0].Protocol != "grpcs" {
		t.Errorf("described as %+v, %v", d.Listeners, err)
	}
}

func certificate(t *testing.T) (chassis.TLSConfig, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := chassis.TLSConfig{Cert: filepath.Join(t.TempDir(), "cert.pem"), Key: filepath.Join(t.TempDir(), "key.pem")}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err = errors.Join(os.WriteFile(cfg.Cert, chain, 0o600),
		os.WriteFile(cfg.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return cfg, pool
}

func TestAListenerThatCannotBeOpenedSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, o := range map[string]options{
		`listener "grpc": cannot listen on `:            {grpc: grpcserver.Config{Addr: taken.Addr().String()}},
		`listener "grpc": certificate /no with key /no`: {grpc: grpcserver.Config{TLS: chassis.TLSConfig{Cert: "/no", Key: "/no"}}},
	} {
		if _, err := try(t, o, back().register); err == nil || !strings.HasPrefix(err.Error(), "test: "+want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	_, err = try(t, options{}, func(r grpc.ServiceRegistrar) { healthpb.RegisterHealthServer(r, healthpb.UnimplementedHealthServer{}) })
	if err == nil || err.Error() != `test: listener "grpc": grpc.health.v1.Health was registered, which the chassis does` {
		t.Errorf("error %v", err)
	}
	start(t, options{setup: func(s *chassis.Service) error {
		err := grpcserver.Serve(s, "other", grpcserver.Config{Addr: "nowhere"}, back().register)
		if err == nil || !strings.HasPrefix(err.Error(), `listener "other": addr: `) {
			t.Errorf("error %v", err)
		}
		return nil
	}}, back())
}

func TestAListenerThatDiesEndsTheService(t *testing.T) {
	l := &dyingListener{pipeListener{closed: make(chan struct{})}}
	h, err := try(t, options{world: func(w *chassis.World) {
		w.Listen = func(context.Context, string, string, string) (net.Listener, error) { return l, nil }
	}}, back().register)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	receive(t, h.Done(), "the end")
	if err := h.Err(); err == nil || !strings.HasPrefix(err.Error(), `listener "grpc" on pipe: `) {
		t.Errorf("error %v", err)
	}
}

type dyingListener struct{ pipeListener }

func (l *dyingListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, errors.New("out of descriptors")
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	good := func(change func(*grpcserver.Config)) *grpcserver.Config {
		var c grpcserver.Config
		c.SetDefaults()
		change(&c)
		return &c
	}
	for want, c := range map[string]*grpcserver.Config{
		"": good(func(c *grpcserver.Config) { c.MaxConns, c.Timeout, c.MaxAge = -1, -1, -1 }),
		"addr: address x: want host:port or unix:/path":                         good(func(c *grpcserver.Config) { c.Addr = "x" }),
		"max_streams: want from 1 to 2147483647, got -1":                        good(func(c *grpcserver.Config) { c.MaxStreams = -1 }),
		"max_streams: want from 1 to 2147483647, got 2147483648":                good(func(c *grpcserver.Config) { c.MaxStreams = math.MaxInt32 + 1 }),
		"handshake_timeout: want more than 0, got -1ns":                         good(func(c *grpcserver.Config) { c.HandshakeTimeout = -1 }),
		"workers: want 65536 at most, or a negative number for none, got 65537": good(func(c *grpcserver.Config) { c.Workers = 1<<16 + 1 }),
		"max_receive: want from 1 byte to 2147483647, got -1":                   good(func(c *grpcserver.Config) { c.MaxReceive = -1 }),
		"max_send: want from 1 byte to 2147483647, got 4294967296":              good(func(c *grpcserver.Config) { c.MaxSend = 4 * config.GiB }),
		"max_header: want from 1 byte to 2147483647, got -1":                    good(func(c *grpcserver.Config) { c.MaxHeader = -1 }),
	} {
		err := c.Validate()
		if got := errorText(err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	c := good(func(*grpcserver.Config) {})
	if c.Addr != "127.0.0.1:0" || c.MaxConns != 10_000 || c.MaxReceive != 4*config.MiB || c.MaxSend != 16*config.MiB || c.MaxHeader != 16*config.KiB ||
		c.MaxStreams != 100 || c.Timeout != 30*time.Second || c.HandshakeTimeout != 10*time.Second || c.MaxAge != 30*time.Minute || c.Reflection || c.Workers != min(32*runtime.GOMAXPROCS(0), 1<<16) {
		t.Errorf("defaults %+v", c)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAServerThatIsNotServedLeavesNoGoroutine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	before := runtime.NumGoroutine()
	for range 3 {
		if _, err := try(t, options{grpc: grpcserver.Config{Addr: taken.Addr().String()}}, back().register); err == nil {
			t.Fatal("two listen on one address")
		}
	}
	for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
