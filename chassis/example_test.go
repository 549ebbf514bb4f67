package chassis_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis"
)

type config struct {
	HTTP chassis.HTTPConfig `config:"http"`
}

var hello = chassis.Spec[config]{
	Name:     "hello",
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

// The service of the package's documentation, run in this process and asked something.
func Example() {
	ctx := context.Background()
	i, err := chassis.Start(ctx, hello, func(s *chassis.Settings, cfg *config) {
		cfg.HTTP.Addr = "127.0.0.1:0"
		s.AccessLog.Path = "off"
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := http.Get("http://" + i.Addr("http").String() + "/hello/Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := io.ReadAll(res.Body)
	fmt.Print(string(body))
	fmt.Println(res.StatusCode, err, res.Body.Close(), i.Stop(ctx))
	// Output:
	// Hello, Ada!
	// 200 <nil> <nil> <nil>
}

// A handler returns why it cannot answer; the caller gets the declared failure.
func ExampleRouter() {
	r := chassis.NewRouter()
	r.Handle("POST /games/{id}/discs", func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("drop a disc: %w", errFull)
	})
	w := record(r, "/nowhere")
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 404 application/problem+json
}
