// Command core serves the echo service by net/http and grpc-go: bare, or with the middleware that is common.
// -mode is http, chi, grpc, grpc-workers, grpc-workers-32, grpc-mw, grpc-mw-both or grpc-mw-nolog.
package main

import (
	"log"
	"net"
	"net/http"
	"runtime"

	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/core/echo"
)

func main() {
	f := echo.Parse()
	var options []grpc.ServerOption
	switch f.Mode {
	case "http":
		mux := http.NewServeMux()
		mux.HandleFunc("GET /hello", echo.Hello)
		log.Fatal(f.Serve(mux))
	case "chi":
		log.Fatal(f.Serve(chiStack(f.Log)))
	case "grpc":
	case "grpc-workers": // one for each processor
		options = append(options, grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))))
	case "grpc-workers-32": // as many as our own server has by default
		options = append(options, grpc.NumStreamWorkers(uint32(32*runtime.GOMAXPROCS(0))))
	default:
		options = append(options, middleware(f.Mode, f.Log))
	}
	s := grpc.NewServer(options...)
	echo.Register(s)
	l, err := net.Listen("tcp", f.Addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.Serve(l))
}
