// Package echo is the service that every peer serves, and the flags by which a peer is started. The file is
// the same in each of the modules: they are outside the workspace and have nothing in common but this.
package echo

import (
	"context"
	_ "expvar" // what the process has allocated, at /debug/vars
	"flag"
	"log"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Flags say what a peer serves and where.
type Flags struct {
	Mode      string // each peer has its own
	Addr      string // host:port
	Log       string // file for the access log
	Cert, Key string // PEM files; empty is plain text
}

// Parse reads the flags of the process. With -debug it serves /debug/vars there.
func Parse() *Flags {
	var f Flags
	flag.StringVar(&f.Mode, "mode", "http", "what is served, and by which stack")
	flag.StringVar(&f.Addr, "addr", "127.0.0.1:8080", "where to listen")
	flag.StringVar(&f.Log, "log", "access.log", "file for the access log")
	flag.StringVar(&f.Cert, "cert", "", "certificate, PEM")
	flag.StringVar(&f.Key, "key", "", "its private key, PEM")
	debug := flag.String("debug", "", "where to serve /debug/vars")
	flag.Parse()
	if *debug != "" {
		go func() { log.Fatal(http.ListenAndServe(*debug, nil)) }()
	}
	return &f
}

// Serve serves h until it fails.
func (f *Flags) Serve(h http.Handler) error {
	s := &http.Server{Addr: f.Addr, Handler: h}
	if f.Cert != "" {
		return s.ListenAndServeTLS(f.Cert, f.Key)
	}
	return s.ListenAndServe()
}

// Body is the answer to GET /hello.
const Body = `{"message":"hello, world","service":"bench","version":"1.0.0","padding":"0123456789abcdef0123456789"}` + "\n"

var body = []byte(Body)

// Hello answers Body.
func Hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// Method is the full name of the gRPC method, which answers the google.protobuf.BytesValue that it gets.
const Method = "/bench.Echo/Echo"

// Register serves Method on r. The service is described by hand: generated code would be more than it is.
func Register(r grpc.ServiceRegistrar) {
	echo := func(_ context.Context, in any) (any, error) { return in, nil }
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			if chain == nil {
				return echo(ctx, in)
			}
			return chain(ctx, in, &grpc.UnaryServerInfo{FullMethod: Method}, echo)
		}}},
	}, nil)
}
