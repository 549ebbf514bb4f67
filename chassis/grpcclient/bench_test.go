package grpcclient_test

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

// BenchmarkInvoke is a unary call over loopback by grpc-go's client and by ours.
func BenchmarkInvoke(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := callee(func(ss grpc.ServerStream) error { return ss.SendMsg(wrapperspb.String("ok")) })
	go func() { _ = srv.Serve(l) }()
	defer srv.Stop()
	plain, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	defer plain.Close()
	ours, err := grpcclient.Dial(&service{}, "game", grpcclient.Config{Addr: l.Addr().String()})
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	for name, conn := range map[string]*grpc.ClientConn{"grpc_go": plain, "ours": ours} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := invoke(b.Context(), conn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
