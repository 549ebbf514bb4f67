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
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

// BenchmarkUnary shows what the chain costs a small call, without a connection.
func BenchmarkUnary(b *testing.B) {
	h := start(b, options{world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }}, back())
	chain := grpcserver.UnaryChain(h.s, "bench", say)
	answer := wrapperspb.String("hello")
	for name, c := range map[string]struct {
		handler grpc.UnaryHandler
		timeout bool
	}{
		"chain":   {func(context.Context, any) (any, error) { return answer, nil }, true},
		"failure": {func(context.Context, any) (any, error) { return nil, errFull.New() }, true},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("user-agent", "grpc-go/1.85", ":authority", "game", "content-type", "application/grpc"))
			ctx = peer.NewContext(ctx, &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}})
			info := &grpc.UnaryServerInfo{FullMethod: say}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = chain(grpc.NewContextWithServerTransportStream(ctx, noStream{}), nil, info, c.handler)
			}
		})
	}
}

// noStream takes headers and sends none.
type noStream struct{}

func (noStream) Method() string               { return say }
func (noStream) SetHeader(metadata.MD) error  { return nil }
func (noStream) SendHeader(metadata.MD) error { return nil }
func (noStream) SetTrailer(metadata.MD) error { return nil }
