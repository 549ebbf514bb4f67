// Command hello is a whole service in twenty lines: the smallest thing worth running.
package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis"
)

type config struct {
	HTTP chassis.HTTPConfig `config:"http"`
}

var hello = chassis.Spec[config]{
	Name:     "hello",
	Doc:      "greets whoever asks",
	Defaults: config{HTTP: chassis.HTTPConfig{Addr: "127.0.0.1:8080"}},
	Setup: func(ctx context.Context, s *chassis.Service, cfg config) error {
		r := chassis.NewRouter()
		r.Handle("GET /hello/{name}", func(w http.ResponseWriter, req *http.Request) error {
			_, err := fmt.Fprintf(w, "Hello, %s!\n", req.PathValue("name"))
			return err
		})
		return s.HTTP("http", cfg.HTTP, r)
	},
}

func main() { chassis.Main(hello) }
