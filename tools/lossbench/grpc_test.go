package lossbench_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// echo registers loss.Echo as the functions say; nil is one that does what it should.
func echo(unary func(*wrapperspb.StringValue) (*wrapperspb.StringValue, error), bidi grpc.StreamHandler) func(*grpc.Server) {
	if unary == nil {
		unary = func(in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) { return in, nil }
	}
	return func(s *grpc.Server) {
		s.RegisterService(&grpc.ServiceDesc{ServiceName: "loss.Echo", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new(wrapperspb.StringValue)
				if err := decode(in); err != nil {
					return nil, err
				}
				return unary(in)
			}}},
			Streams: []grpc.StreamDesc{{StreamName: "Bidi", ServerStreams: true, ClientStreams: true, Handler: bidi}},
		}, struct{}{})
	}
}

// messages has f called with each message and its number from 1, until the client half-closes or f fails;
// io.EOF of f ends the stream well.
func messages(f func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error) grpc.StreamHandler {
	return func(_ any, ss grpc.ServerStream) error {
		for n := 1; ; n++ {
			m := new(wrapperspb.StringValue)
			err := ss.RecvMsg(m)
			if err == nil {
				err = f(ss, m, n)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

func TestACallThatIsCutIsAFailure(t *testing.T) {
	t.Parallel()
	var addr string
	var srv *grpc.Server
	addr, srv = serveGRPC(t, echo(func(*wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		go srv.Stop()
		select {}
	}, nil))
	r := one(t, lossbench.Options{GRPC: addr, Protocols: []string{"grpc"}}, failing)
	if r.Failed != r.Requests {
		t.Errorf("%d of %d failed, want all", r.Failed, r.Requests)
	}
}

func TestAnAnswerThatIsNoEchoIsAFailure(t *testing.T) {
	t.Parallel()
	addr, _ := serveGRPC(t, echo(func(*wrapperspb.StringValue) (*wrapperspb.StringValue, error) { return wrapperspb.String("no"), nil }, nil))
	wantCause(t, one(t, lossbench.Options{GRPC: addr, Protocols: []string{"grpc"}}, by("wrong answer")), "wrong answer")
}

func TestHealthChecksCountAServiceThatIsNotReady(t *testing.T) {
	t.Parallel()
	h := health.NewServer()
	addr, _ := serveGRPC(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, h) })
	if r := one(t, lossbench.Options{HealthAddr: addr}, answered(5)); r.Protocol != "health" || r.Failed > 0 {
		t.Errorf("%s: %d failed %v, want none", r.Protocol, r.Failed, r.Causes)
	}
	h.Shutdown()
	wantCause(t, one(t, lossbench.Options{HealthAddr: addr}, by("NOT_SERVING")), "NOT_SERVING")
}

// refuseFirst takes connections on l and leads them to addr, but for the first one of each client: on the
// first request it gets a GOAWAY that says nothing was looked at (RFC 9113, section 6.8). first is how many.
func refuseFirst(l net.Listener, addr string, first int64) {
	var n atomic.Int64
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if n.Add(1) <= first {
				refuse(c)
				return
			}
			up, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer up.Close()
			go func() {
				_, _ = io.Copy(up, c)
				_ = up.Close()
			}()
			_, _ = io.Copy(c, up)
		}()
	}
}

func refuse(c net.Conn) {
	const settings, headers, goAway, preface = 4, 1, 7, 24
	frame := func(kind byte, payload ...byte) {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
		_, _ = c.Write(append(append(b, 0, 0, 0, 0, 0), payload...))
	}
	if _, err := io.CopyN(io.Discard, c, preface); err != nil {
		return
	}
	frame(settings)
	for {
		var h [9]byte
		if _, err := io.ReadFull(c, h[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(h[:4])>>8)); err != nil {
			return
		}
		if h[3] == headers {
			frame(goAway, make([]byte, 8)...)
			_, _ = io.Copy(io.Discard, c)
			return
		}
	}
}

func TestACallThatGRPCSendsAgainIsAFailure(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "grpc-bidi"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			addr, _ := serveGRPC(t, echo(nil, messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, _ int) error { return ss.SendMsg(m) })))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go refuseFirst(l, addr, 1)
			r := one(t, lossbench.Options{GRPC: l.Addr().String(), Protocols: []string{protocol}, Rate: 100},
				func(r lossbench.Result) bool { return r.Requests > 5 })
			wantCause(t, r, "sent twice") // of a stream it is known at its end
			if r.Failed != 1 {
				t.Errorf("%d failed %v, want the one that was refused", r.Failed, r.Causes)
			}
		})
	}
}

func TestMessagesThatAreNotAcknowledgedAreFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler grpc.StreamHandler
		cause   string
	}{
		"swallowed before a clean end": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			switch {
			case n < 3:
				return ss.SendMsg(m)
			case n == 3:
				return ss.SendMsg(wrapperspb.String(target.Moving))
			}
			return nil
		}), "unacknowledged"},
		"cut": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			if n == 3 {
				return errors.New("broken")
			}
			return ss.SendMsg(m)
		}), "cut: Unknown: broken"},
		"ended without a word": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			if n == 3 {
				return errors.Join(ss.SendMsg(m), io.EOF)
			}
			return ss.SendMsg(m)
		}), "ended without notice"},
		"out of order": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			return ss.SendMsg(wrapperspb.String("x" + m.Value))
		}), "wrong answer"},
		"never": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error { return nil }), "not acknowledged in time"},
		"told to move again and again": {messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			return errors.Join(ss.SendMsg(m), ss.SendMsg(wrapperspb.String(target.Moving)), ss.SendMsg(wrapperspb.String(target.Moving)))
		}), "more reopens than reloads"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := serveGRPC(t, echo(nil, c.handler))
			o := lossbench.Options{GRPC: addr, Protocols: []string{"grpc-bidi"}, Timeout: 300 * time.Millisecond}
			wantCause(t, one(t, o, by(c.cause)), c.cause)
		})
	}
}

func TestAStreamMayMoveOnceForEachReload(t *testing.T) {
	t.Parallel()
	moved := make(chan struct{})
	var streams atomic.Int64
	addr, _ := serveGRPC(t, echo(nil, func(srv any, ss grpc.ServerStream) error {
		first := streams.Add(1) <= 4
		return messages(func(ss grpc.ServerStream, m *wrapperspb.StringValue, n int) error {
			if first && n == 2 {
				<-moved
				return errors.Join(ss.SendMsg(m), ss.SendMsg(wrapperspb.String(target.Moving)))
			}
			return ss.SendMsg(m)
		})(srv, ss)
	}))
	load, err := lossbench.Start(lossbench.Options{GRPC: addr, Protocols: []string{"grpc-bidi"}})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Stop()
	eventually(t, "four streams", func() bool { return streams.Load() == 4 })
	load.BeginReload()
	close(moved)
	eventually(t, "four streams more", func() bool { return streams.Load() == 8 })
	load.EndReload()
	r := load.Stop()[0]
	if r.Failed > 0 || r.Reopens != 4 || r.Connections != 4 {
		t.Errorf("%d failed %v, %d reopens over %d connections, want none, 4 and 4", r.Failed, r.Causes, r.Reopens, r.Connections)
	}
}
