package fake_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

var (
	lampCodes = failure.NewSet("lamp")
	_         = lampCodes.Service(1001, "the bulb is broken")
)

type lampConfig struct {
	HTTP chassis.HTTPConfig `config:"http"`
}

// lamp goes out by itself, a minute after it was lit.
var lamp = chassis.Spec[lampConfig]{
	Name: "lamp", Failures: lampCodes,
	Setup: func(ctx context.Context, s *chassis.Service, cfg lampConfig) error {
		lit := make(chan bool, 1)
		lit <- false
		set := func(on bool) { <-lit; lit <- on }
		r := chassis.NewRouter()
		r.Handle("PUT /lamp", func(http.ResponseWriter, *http.Request) error {
			set(true)
			s.Clock().AfterFunc(time.Minute, func() { set(false) })
			return nil
		})
		r.Handle("GET /lamp", func(w http.ResponseWriter, _ *http.Request) error {
			on := <-lit
			lit <- on
			_, err := fmt.Fprint(w, on)
			return err
		})
		return s.HTTP("http", cfg.HTTP, r)
	},
}

// A client is tested against the service itself, with faults and a clock of the test's own.
func Example() {
	f, err := fake.New(context.Background(), lamp, fake.Options[lampConfig]{}) // in a test: fake.Start(t, …)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Stop()
	do := func(method string) string {
		req, _ := http.NewRequest(method, f.URL("http")+"/lamp", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", string(body)))
	}

	f.FailNext(1, fake.HTTPStatus(503), fake.OnMethod("PUT"))
	fmt.Println(do("PUT")[:3])
	fmt.Println(do("PUT"))
	fmt.Println(do("GET"))
	f.Advance(time.Minute)
	fmt.Println(do("GET"))

	f.Fail(fake.Code(1001))
	fmt.Println(do("GET")[:3])
	fmt.Println(f.Reset(), do("GET"))
	// Output:
	// 503
	// 200
	// 200 true
	// 200 false
	// 500
	// <nil> 200 false
}
