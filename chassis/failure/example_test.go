package failure_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

var codes = failure.NewSet("game")

var (
	errColumnFull = codes.Caller(1042, "column is full", failure.HTTPStatus(http.StatusConflict))
	errStore      = codes.Dependency(1201, "the game store does not answer", failure.Retryable(1500*time.Millisecond))
)

// What is returned, what the log says of it, and what the client sees.
func Example() {
	drop := func(column int) error {
		return errColumnFull.With("column", failure.Safe(column)).With("token", "s3cr3t").Wrap(errors.New("six discs"))
	}

	err := failure.From(fmt.Errorf("drop disc: %w", drop(3)))
	fmt.Println("log:   ", err)
	fmt.Println("client:", err.Detail())
	fmt.Println("is it that one?", errors.Is(err, errColumnFull))
	// Output:
	// log:    drop disc: game 1042: column is full (column=3, token=s3cr3t): six discs
	// client: column is full (column=3)
	// is it that one? true
}

func ExampleWriteProblem() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := errStore.With("shard", failure.Safe("eu-1")).Wrap(errors.New("dial 10.0.0.7: refused"))
		id := failure.NewID(bytes.NewReader([]byte("a source"))) // crypto/rand.Reader in production
		failure.WriteProblem(w, r, err.Problem(id))
	})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))

	fmt.Println(w.Code, w.Header().Get("Content-Type"), "retry after", w.Header().Get("Retry-After"))
	fmt.Println(strings.ReplaceAll(w.Body.String(), `,"`, ",\n \""))
	// Output:
	// 502 application/problem+json retry after 2
	// {"type":"urn:failure:game:1201",
	//  "title":"the game store does not answer",
	//  "status":502,
	//  "detail":"the game store does not answer (shard=eu-1)",
	//  "set":"game",
	//  "code":1201,
	//  "class":"dependency",
	//  "retryable":true,
	//  "id":"C4G76VVNE9HP",
	//  "args":{"shard":"eu-1"}}
}

// A client returns the problem it was answered as an error, and decides by its code.
func ExampleReadProblem() {
	resp := &http.Response{
		StatusCode: http.StatusConflict,
		Header:     http.Header{"Content-Type": {"application/problem+json"}},
		Body: io.NopCloser(strings.NewReader(
			`{"title":"column is full","detail":"column is full (column=3)","set":"game","code":1042,"id":"C4G76VVNE9HP"}`)),
	}
	defer resp.Body.Close()

	problem, err := failure.ReadProblem(resp)
	fmt.Println(err)
	fmt.Println(problem.Set == "game" && problem.Code == 1042)
	fmt.Println(problem)
	// Output:
	// <nil>
	// true
	// problem 409, game 1042: column is full (column=3) [C4G76VVNE9HP]
}

// Every declared code is there from the start, with 0.
func ExampleCounter() {
	set := failure.NewSet("echo")
	busy := set.Service(1001, "the echo is busy")
	set.Caller(1002, "nothing to echo")

	counter := failure.NewCounter(set)
	counter.Add(busy)
	counter.Add(failure.From(errors.New("never declared")).Code())
	for _, count := range counter.Counts() {
		if n := count.Code.Number(); n == 1 || n >= 1000 {
			fmt.Printf("failure_total{code=%q,class=%q} %d\n", fmt.Sprint(n), count.Code.Class(), count.N)
		}
	}
	// Output:
	// failure_total{code="1",class="service"} 1
	// failure_total{code="1001",class="service"} 1
	// failure_total{code="1002",class="caller"} 0
}

func ExampleParseID() {
	id, err := failure.ParseID("c4g7-6vvn-e9Hp")
	fmt.Println(id, err)
	_, err = failure.ParseID("c4g7-6vvn")
	fmt.Println(err)
	// Output:
	// C4G76VVNE9HP <nil>
	// error id "c4g7-6vvn": 8 characters, want 12
}

func ExampleRecovered() {
	serve := func(handler func() error) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = failure.Recovered(v, []byte("goroutine 1 [running]: …")) // debug.Stack() in production
			}
		}()
		return handler()
	}
	err := failure.From(serve(func() error { panic("index out of range") }))
	fmt.Println("log:   ", err, "|", err.Stack())
	fmt.Println("client:", err.Detail())
	// Output:
	// log:    chassis 1: internal error: panic: index out of range | goroutine 1 [running]: …
	// client: internal error
}
