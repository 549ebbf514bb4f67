// Command gozero serves the echo service by go-zero. -mode is http or grpc.
package main

import "github.com/seed-754044b3/roadworthy/tools/peerbench/gozero/echo"

func main() {
	f := echo.Parse()
	if f.Mode == "grpc" {
		newGRPC(f.Addr, f.Log).Start()
		return
	}
	newHTTP(f.Addr, f.Log).Start()
}
