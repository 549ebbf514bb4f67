// Command dskit serves the echo service by dskit's server. -mode is http, http-nolog, grpc or grpc-nolog.
package main

import (
	"log"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/dskit/echo"
)

func main() {
	f := echo.Parse()
	// It opens both listeners always.
	http, grpc := f.Addr, "127.0.0.1:0"
	if strings.HasPrefix(f.Mode, "grpc") {
		http, grpc = grpc, http
	}
	log.Fatal(newServer(http, grpc, f.Log, !strings.HasSuffix(f.Mode, "-nolog")).Run())
}
