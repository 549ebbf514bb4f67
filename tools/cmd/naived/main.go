// Command naived is the echo service behind a stack assembled by hand. Mode nolog has no access log.
package main

import (
	"log"
	"net/http"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/naive"
)

func main() {
	f := echo.Parse()
	if f.Mode == "nolog" {
		f.Log = ""
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", echo.Hello)
	stack, _ := naive.New(mux, f.Log)
	log.Fatal(f.Serve(stack))
}
