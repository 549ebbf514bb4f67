package grpcserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

// Each of these tests is an attack on a service as it is configured by default, with shorter times
// where it would last, over real sockets.

// dial opens a connection of its own.
func (h *host) dial() net.Conn {
	h.tb.Helper()
	return dial(h.tb, h.Addr("grpc"))
}

func dial(tb testing.TB, addr net.Addr) net.Conn {
	tb.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// attacker is a client of HTTP/2 that does as it likes with its frames.
type attacker struct {
	*http2.Framer
	conn    net.Conn
	headers *hpack.Encoder
	block   *bytes.Buffer
}

func (h *host) attack(settings ...http2.Setting) *attacker {
	h.tb.Helper()
	return attack(h.tb, h.dial(), settings...)
}

func attack(tb testing.TB, c net.Conn, settings ...http2.Setting) *attacker {
	tb.Helper()
	a := &attacker{Framer: http2.NewFramer(c, c), conn: c, block: new(bytes.Buffer)}
	a.headers = hpack.NewEncoder(a.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		tb.Fatal(err)
	}
	if err := a.WriteSettings(settings...); err != nil {
		tb.Fatal(err)
	}
	return a
}

// open begins a call.
func (a *attacker) open(id uint32, method string, more ...hpack.HeaderField) error {
	a.block.Reset()
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: method},
		{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}, more...) {
		_ = a.headers.WriteField(f) // to a buffer
	}
	return a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.block.Bytes(), EndHeaders: true})
}

// request sends the whole request of a call, without a message's content.
func (a *attacker) request(id uint32) error { return a.WriteData(id, true, make([]byte, 5)) }

// goAway reads until the server ends the connection, and returns why.
func (a *attacker) goAway() (code http2.ErrCode, end error) {
	for {
		f, err := a.ReadFrame()
		if err != nil {
			return code, err
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			code = g.ErrCode
		}
	}
}

func TestMessagesAndMetadataThatAreTooLargeAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, options{}, back())
	if _, err := h.say(t.Context(), strings.Repeat("x", 5<<20)); status.Code(err) != grpccodes.ResourceExhausted {
		t.Errorf("5 MiB: %v", err)
	}
	large := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", 20<<10))
	if _, err := h.say(large, "hello"); err == nil {
		t.Error("20 KiB of metadata are taken")
	}
	// A length of 4 GiB costs nothing while the message does not come.
	a := h.attack()
	if err := errors.Join(a.open(1, say), a.WriteData(1, false, []byte{0, 0xff, 0xff, 0xff, 0xff})); err != nil {
		t.Fatal(err)
	}
	for answered := false; !answered; {
		f, err := a.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f.(type) {
		case *http2.HeadersFrame, *http2.RSTStreamFrame:
			answered = f.Header().StreamID == 1
		}
	}
	if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
		t.Errorf("others are answered %q, %v", text, err)
	}
}

func TestPingsThatComeTooOftenEndTheConnection(t *testing.T) {
	t.Parallel()
	h := start(t, options{}, back())
	a := h.attack()
	go func() {
		for a.WritePing(false, [8]byte{1}) == nil {
			time.Sleep(time.Millisecond) // no flood, and still too often
		}
	}()
	if code, err := a.goAway(); code != http2.ErrCodeEnhanceYourCalm {
		t.Errorf("the connection ended with %v, %v", code, err)
	}
	if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
		t.Errorf("others are answered %q, %v", text, err)
	}
}

// counting has Say wait for its caller to leave, and knows how many of it there were at a time.
func counting(most *atomic.Int64) *echo {
	var now atomic.Int64
	return &echo{say: func(ctx context.Context, text string) (string, error) {
		if text != "" {
			return text, nil
		}
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond) // it is slow to notice
		return "", ctx.Err()
	}}
}

func TestMoreCallsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	h := start(t, options{}, counting(&most))
	a := h.attack()
	for i := range uint32(150) {
		if err := errors.Join(a.open(2*i+1, say), a.request(2*i+1)); err != nil {
			t.Fatal(err)
		}
	}
	for refused := 0; refused < 50; {
		f, err := a.ReadFrame()
		if err != nil {
			t.Fatalf("after %d refused calls: %v", refused, err)
		}
		if f, ok := f.(*http2.RSTStreamFrame); ok {
			if f.ErrCode != http2.ErrCodeRefusedStream {
				t.Errorf("refused with %v", f.ErrCode)
			}
			refused++
		}
	}
	if n := most.Load(); n > 100 {
		t.Errorf("%d calls at a time", n)
	}
	if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
		t.Errorf("others are answered %q, %v", text, err)
	}
}

// CVE-2023-44487: a call that is reset at once does not count as open, but its method runs.
func TestCallsThatAreResetAtOnceDoNotPileUp(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	h := start(t, options{}, counting(&most))
	a := h.attack()
	go func() { _, _ = io.Copy(io.Discard, a.conn) }()
	for i := range uint32(2000) {
		id := 2*i + 1
		if err := errors.Join(a.open(id, say), a.request(id), a.WriteRSTStream(id, http2.ErrCodeCancel)); err != nil {
			break
		}
	}
	if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
		t.Errorf("others are answered %q, %v", text, err)
	}
	if n := most.Load(); n > 100 {
		t.Errorf("%d calls at a time", n)
	}
}

func TestAClientThatNeverFinishesTheHandshakeIsCut(t *testing.T) {
	t.Parallel()
	pair, _ := certificate(t)
	for what, c := range map[string]struct {
		tls   chassis.TLSConfig
		sends string
	}{"silent": {chassis.TLSConfig{}, ""}, "half a preface": {chassis.TLSConfig{}, "PRI * HTTP/2.0"}, "silent with TLS": {pair, ""}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{grpc: grpcserver.Config{HandshakeTimeout: 200 * time.Millisecond, TLS: c.tls}}, back())
			conn := h.dial()
			if _, err := io.WriteString(conn, c.sends); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
			h.stop()
		})
	}
}

func TestAHandshakeUnderWayDoesNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	h := start(t, options{grpc: grpcserver.Config{HandshakeTimeout: time.Hour}, settings: func(s *chassis.Settings) { s.Drain.Timeout = time.Hour }}, back())
	silent, greeted := h.dial(), h.dial()
	if _, err := io.WriteString(greeted, "PRI * HTTP/2.0\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	begun := time.Now()
	h.stop()
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("stopped after %v", took)
	}
	for _, c := range []net.Conn{silent, greeted} {
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a connection is still open")
		}
	}
}

func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	h := start(t, options{grpc: grpcserver.Config{WriteTimeout: 100 * time.Millisecond}}, &echo{count: func(_ string, send func(string) error, _ context.Context) error {
		for {
			if err := send(strings.Repeat("x", 64<<10)); err != nil {
				ended <- err
				return err
			}
		}
	}})
	a := h.attack(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	if err := errors.Join(a.WriteWindowUpdate(0, 1<<30), a.open(1, count), a.request(1)); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, ended, "the end of the stream"); err == nil {
		t.Error("no error")
	}
}

// elsewhere has connections come from another host.
type elsewhere struct{ net.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return distant{c}, nil
}

type distant struct{ net.Conn }

func (distant) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:1"))
}

func TestOneClientCannotTakeAllConnections(t *testing.T) {
	t.Parallel()
	h := start(t, options{grpc: grpcserver.Config{MaxConnsPerClient: 2}, world: func(w *chassis.World) {
		w.Listen = func(_ context.Context, _, network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return elsewhere{l}, err
		}
	}}, back())
	for range 2 {
		if f, err := h.attack().ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
			t.Fatalf("frame %v, %v", f, err)
		}
	}
	c := h.dial()
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("one more is answered %q, %v", b, err)
	}
	eventually(t, func() bool { return len(h.logged("refused")) == 1 }, "one refusal is in the log")
}

// footprint is what the process holds: goroutines, and bytes of live heap.
func footprint() (goroutines int, heap uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// CVE-2019-9515: each SETTINGS wants an answer. It runs alone, to know what it costs.
func TestAFloodOfSettingsDoesNotPileUp(t *testing.T) {
	for what, reads := range map[string]bool{"from a client that reads": true, "from one that does not": false} {
		t.Run(what, func(t *testing.T) {
			most, within := 64<<20, 500*time.Millisecond
			if reads {
				within = time.Minute // a busy machine may be late to read
			}
			// A unix socket keeps far less unread than TCP does.
			h := start(t, options{grpc: grpcserver.Config{Addr: "unix:" + filepath.Join(t.TempDir(), "s"), WriteTimeout: within}}, back())
			a := h.attack()
			if reads {
				most = 2 << 20 // 140,000 frames, each of which is answered
				go func() { _, _ = io.Copy(io.Discard, a.conn) }()
			}
			goroutines, heap := footprint()
			var flood bytes.Buffer
			framer := http2.NewFramer(&flood, nil)
			for i := 0; flood.Len() < 256<<10; i++ {
				_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(1<<16 + i)}) // to a buffer
			}
			var end error
			for sent := 0; sent < most && end == nil; sent += flood.Len() {
				_, end = a.conn.Write(flood.Bytes())
				if g, b := footprint(); g > goroutines+10 || b > heap+16<<20 {
					t.Fatalf("after %d bytes there are %d goroutines and %d bytes of heap; there were %d and %d", sent, g, b, goroutines, heap)
				}
			}
			if reads && end != nil || !reads && (end == nil || errors.Is(end, os.ErrDeadlineExceeded)) {
				t.Errorf("the flood ended with %v", end)
			}
			if text, err := h.say(t.Context(), "hello"); !strings.HasSuffix(text, "hello") || err != nil {
				t.Errorf("others are answered %q, %v", text, err)
			}
		})
	}
}
