package grpcserver_test

import (
	"context"
	"io"
	"net"
	"testing"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

// BenchmarkUnary shows what the chain costs a small call, without a connection.
func BenchmarkUnary(b *testing.B) {
	for name, handler := range map[string]grpc.MethodHandler{
		"chain": answers,
		"failure": func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			return nil, errFull.New()
		},
	} {
		b.Run(name, func(b *testing.B) { call(b, handler) })
	}
}

// answers reads a message and answers nothing: what reading and writing messages takes is grpc-go's.
func answers(_ any, _ context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	return nil, receive(nil)
}

func call(b *testing.B, handler grpc.MethodHandler) {
	h := start(b, options{world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }}, back())
	chain := grpcserver.UnaryChain(h.s, "bench", say, handler)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("user-agent", "grpc-go/1.85", ":authority", "game", "content-type", "application/grpc"))
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}})
	ctx = grpc.NewContextWithServerTransportStream(ctx, noStream{})
	read := func(any) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = chain(nil, ctx, read, nil)
	}
}

// What the chain may take of a call is never raised. Bytes have room for the memory of log and
// metrics, which grows now and then.
func TestTheChainTakesLittleMemoryOfACall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool forget things")
	}
	got := testing.Benchmark(func(b *testing.B) { call(b, answers) })
	if got.AllocsPerOp() > 2 || got.AllocedBytesPerOp() > 296 {
		t.Errorf("%d allocations, %d bytes, want 2 and 296 at most", got.AllocsPerOp(), got.AllocedBytesPerOp())
	}
}

// noStream takes headers and sends none.
type noStream struct{}

func (noStream) Method() string               { return say }
func (noStream) SetHeader(metadata.MD) error  { return nil }
func (noStream) SendHeader(metadata.MD) error { return nil }
func (noStream) SetTrailer(metadata.MD) error { return nil }
