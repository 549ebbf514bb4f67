package grpcserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// daemonVariable has the test binary be a daemon instead. Its value is an address, or "-": a worker
// that is replaced waits, before it tells its peers, until a connection to it is closed.
const daemonVariable = "ROADWORTHY_TEST_DAEMON"

func TestMain(m *testing.M) {
	gate := os.Getenv(daemonVariable)
	if gate == "" {
		os.Exit(m.Run())
	}
	e := &echo{
		say: func(context.Context, string) (string, error) { return strconv.Itoa(os.Getpid()), nil },
		chat: func(ss grpc.ServerStream) error {
			if err := ss.SendMsg(wrapperspb.String(strconv.Itoa(os.Getpid()))); err != nil {
				return err
			}
			<-chassis.Draining(ss.Context())
			return nil
		},
	}
	chassis.Main(chassis.Spec[conf]{Name: "test", Failures: codes, Setup: func(_ context.Context, s *chassis.Service, c conf) error {
		if err := grpcserver.Serve(s, "grpc", c.GRPC, e.register); err != nil {
			return err
		}
		s.OnState(func(state chassis.State) {
			if state != chassis.StateDraining || !s.Replaced() || gate == "-" {
				return
			}
			if c, err := net.Dial("tcp", gate); err == nil {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		})
		return nil
	}})
}

// daemon is a service in processes of its own.
type daemon struct {
	*exec.Cmd
	t      *testing.T
	dir    string
	addr   string
	log    buffer
	exited chan struct{}
}

// launch starts a daemon that serves on a unix socket, and waits until it is ready.
func launch(t *testing.T, gate string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{Cmd: exec.Command(os.Args[0]), t: t, dir: filepath.Join(dir, "r"), addr: "unix:" + filepath.Join(dir, "s"), exited: make(chan struct{})}
	d.Env = append(os.Environ(), daemonVariable+"="+gate, "TEST_RUN_DIR="+d.dir, "TEST_GRPC_ADDR="+d.addr, "TEST_ADMIN_ADDR=off", "TEST_ACCESS_LOG_PATH=off",
		"GORACE=atexit_sleep_ms=0") // with -race, every process would end a second later
	d.Stderr, d.WaitDelay = &d.log, 5*time.Second
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.exited)
		_ = d.Wait()
	}()
	t.Cleanup(func() {
		for range 120 {
			_ = d.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-d.exited:
				return
			case <-time.After(500 * time.Millisecond): // a second signal counts
			}
		}
		_ = d.Process.Kill()
		<-d.exited
		t.Errorf("the daemon did not end:\n%s", d.log.String())
	})
	eventually(t, func() bool {
		select {
		case <-d.exited:
			t.Fatalf("the daemon ended:\n%s", d.log.String())
		default:
		}
		return strings.Contains(d.log.String(), `"msg":"ready"`)
	}, "the daemon is ready")
	return d
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, what string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// dial makes a connection that sends nothing a second time.
func (d *daemon) dial() *grpc.ClientConn {
	d.t.Helper()
	conn, err := grpc.NewClient(d.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// reload replaces the worker and returns the process that serves.
func (d *daemon) reload() (int, error) {
	o, _, err := reload.Ask(d.t.Context(), d.dir, reload.CommandReload)
	if err != nil {
		return 0, err
	}
	if o.Error != "" {
		return 0, fmt.Errorf("%s: %s", o.Reason, o.Error)
	}
	return o.PID, nil
}

func (d *daemon) watch(conn *grpc.ClientConn) grpc.ServerStreamingClient[healthpb.HealthCheckResponse] {
	d.t.Helper()
	w, err := healthpb.NewHealthClient(conn).Watch(d.t.Context(), &healthpb.HealthCheckRequest{Service: "test.Echo"})
	if err != nil {
		d.t.Fatal(err)
	}
	return w
}

func told(t *testing.T, w grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	if res, err := w.Recv(); res.GetStatus() != want || err != nil {
		t.Errorf("told %v, %v; want %v", res.GetStatus(), err, want)
	}
}

func ended(t *testing.T, w grpc.ServerStreamingClient[healthpb.HealthCheckResponse]) {
	t.Helper()
	if res, err := w.Recv(); err != io.EOF {
		t.Errorf("told %v, %v; want the end", res.GetStatus(), err)
	}
}

func TestHealthNoticesNothingOfAReload(t *testing.T) {
	t.Parallel()
	gate, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	d := launch(t, gate.Addr().String())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	kept := d.dial()
	check := func(conn *grpc.ClientConn) {
		res, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || res.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health: %v, %v", res.GetStatus(), err)
		}
	}
	for _, probe := range []func(){
		func() { check(kept) },
		func() {
			conn := d.dial()
			check(conn)
			_ = conn.Close()
		},
	} {
		wg.Go(func() {
			for !t.Failed() {
				select {
				case <-stop:
					return
				default:
					probe()
				}
			}
		})
	}

	// First nobody watches before the drain begins, then somebody does.
	watching := d.dial()
	for range 3 {
		check(watching) // has it connect to the worker that leaves
		reloaded := make(chan error, 1)
		go func() { _, err := d.reload(); reloaded <- err }()
		leaving, err := gate.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// Its worker drains, and has not told it.
		w := d.watch(watching)
		told(t, w, healthpb.HealthCheckResponse_SERVING)
		_ = leaving.Close()
		ended(t, w)
		if err := receive(t, reloaded, "the reload"); err != nil {
			t.Fatal(err)
		}

		w = d.watch(watching)
		told(t, w, healthpb.HealthCheckResponse_SERVING)
		go func() { _, err := d.reload(); reloaded <- err }()
		if leaving, err = gate.Accept(); err != nil {
			t.Fatal(err)
		}
		_ = leaving.Close()
		ended(t, w)
		if err := receive(t, reloaded, "the reload"); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()

	w := d.watch(watching)
	told(t, w, healthpb.HealthCheckResponse_SERVING)
	if err := d.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told(t, w, healthpb.HealthCheckResponse_NOT_SERVING)
	ended(t, w)
	receive(t, d.exited, "the end of the daemon")
	if code := d.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.log.String())
	}
}

func TestStreamsMoveOnceAReload(t *testing.T) {
	t.Parallel()
	d := launch(t, "-")
	conn := d.dial()
	open := func() (grpc.ClientStream, string) {
		t.Helper()
		cs, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, chat)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := next(cs)
		if err != nil {
			t.Fatal(err)
		}
		return cs, pid
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	calls := d.dial()
	wg.Go(func() {
		for {
			var answer wrapperspb.StringValue
			if err := calls.Invoke(t.Context(), say, wrapperspb.String(""), &answer); err != nil {
				t.Errorf("a call: %v", err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	cs, before := open()
	for range 5 {
		after, err := d.reload()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := next(cs); err != io.EOF {
			t.Errorf("the stream ended with %q, %v", text, err)
		}
		// Opened at the first moment, it is not on the connection that ends.
		var pid string
		if cs, pid = open(); pid != strconv.Itoa(after) || pid == before {
			t.Errorf("reopened at %s; %s served before and %d does now", pid, before, after)
		}
		before = pid
	}
	close(stop)
	wg.Wait()
}

// patient lets a drain take as long as it likes.
func patient(s *chassis.Settings) { s.Drain.Timeout = time.Hour }

func TestAConnectionThatSaysNothingHoldsTheDrainUpOnlySoLong(t *testing.T) {
	cfg, pool := certificate(t)
	h := start(t, options{grpc: grpcserver.Config{TLS: cfg, HandshakeTimeout: time.Hour}, settings: patient, dial: []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})),
	}}, back())
	if _, err := h.say(t.Context(), "are you there"); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", h.Addr("grpc").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	h.stop()
	if took := time.Since(began); took < 250*time.Millisecond || took > time.Minute {
		t.Errorf("stopped after %v", took)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestAConnectionThatSaysNothingKeepsNoStreamFromMovingOn(t *testing.T) {
	var opened atomic.Int64
	e := back()
	e.chat = func(ss grpc.ServerStream) error {
		opened.Add(1)
		if err := ss.SendMsg(wrapperspb.String("here")); err != nil {
			return err
		}
		<-chassis.Draining(ss.Context())
		return nil
	}
	h := start(t, options{grpc: grpcserver.Config{HandshakeTimeout: time.Hour}, settings: patient}, e)
	ctx, cancel := context.WithCancel(t.Context())
	var client sync.WaitGroup
	defer client.Wait()
	defer cancel()
	client.Go(func() { // opens its stream anew as soon as one ends
		for ctx.Err() == nil {
			cs, err := h.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, chat)
			for err == nil {
				_, err = next(cs)
			}
			runtime.Gosched()
		}
	})
	for opened.Load() == 0 {
		runtime.Gosched()
	}
	silent, err := net.Dial("tcp", h.Addr("grpc").String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := h.say(t.Context(), ""); err != nil { // the silent one was accepted before
		t.Fatal(err)
	}
	began := time.Now()
	h.stop()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("stopped after %v", took)
	}
	if n := opened.Load(); n > 5 {
		t.Errorf("the stream was opened %d times: its client was sent back where it came from", n)
	}
}

func TestAConnectionWhoseHandshakeIsUnderWayIsToldOfTheDrain(t *testing.T) {
	cfg, pool := certificate(t)
	attempt := func() error {
		h := start(t, options{grpc: grpcserver.Config{TLS: cfg}}, back())
		raw, err := net.Dial("tcp", h.Addr("grpc").String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(time.Minute))
		draining := make(chan struct{})
		h.s.OnState(func(s chassis.State) {
			if s == chassis.StateDraining {
				close(draining)
			}
		})
		stopped := make(chan error, 1)
		go func() { stopped <- h.Stop(context.Background()) }()
		receive(t, draining, "the drain")
		c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{"h2"}})
		// The preface of RFC 9113, section 3.4, and an empty SETTINGS frame.
		_, err = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		if err == nil {
			err = goAway(c)
		}
		_ = raw.Close()
		if err := receive(t, stopped, "the end"); err != nil {
			t.Error(err)
		}
		return err
	}
	// A quarter of a second is much for a handshake, but not on every machine every time.
	var errs []error
	for range 10 {
		err := attempt()
		if err == nil {
			return
		}
		errs = append(errs, err)
	}
	t.Error(errors.Join(errs...))
}

// goAway reads frames up to GOAWAY.
func goAway(r io.Reader) error {
	for {
		var header [9]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return fmt.Errorf("no GOAWAY: %w", err)
		}
		if header[3] == 7 {
			return nil
		}
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return fmt.Errorf("no GOAWAY: %w", err)
		}
	}
}
