// Command kratos serves the echo service by kratos. -mode is http or grpc.
package main

import (
	"context"
	"log"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/kratos/echo"
)

func main() {
	f := echo.Parse()
	if f.Mode == "grpc" {
		log.Fatal(newGRPC(f.Addr, f.Log).Start(context.Background()))
	}
	log.Fatal(newHTTP(f.Addr, f.Log).Start(context.Background()))
}
