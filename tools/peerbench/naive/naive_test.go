package naive_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/naive"
)

func ask(h http.Handler, peer, id string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(http.MethodGet, "/hello", nil), httptest.NewRecorder()
	r.RemoteAddr = peer
	if id != "" {
		r.Header.Set("X-Request-Id", id)
	}
	h.ServeHTTP(w, r)
	return w
}

func ExampleNew() {
	stack, closeLog := naive.New(http.HandlerFunc(echo.Hello), "")
	defer closeLog()
	for _, peer := range []string{"127.0.0.1:54321", "203.0.113.7:54321"} {
		w := ask(stack, peer, "one")
		fmt.Println(w.Code, w.Header().Get("X-Request-Id"))
	}
	// Output:
	// 200 one
	// 403 one
}

func TestTheStackLogsALineAndAnswersAPanic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	stack, closeLog := naive.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("one") }), path)
	w := ask(stack, "127.0.0.1:54321", "")
	if id := w.Header().Get("X-Request-Id"); w.Code != http.StatusInternalServerError || !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(id) {
		t.Errorf("%d, id %q", w.Code, id)
	}
	if err := closeLog(); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path)
	if err != nil || !regexp.MustCompile(`^127\.0\.0\.1 - - \[.+\] "GET /hello HTTP/1\.1" 500 0 "" ""\n$`).Match(line) {
		t.Errorf("%q: %v", line, err)
	}
}

func TestTheStackRejectsBeyondItsLimit(t *testing.T) {
	const limit = 1024
	entered, release := make(chan struct{}), make(chan struct{})
	stack, _ := naive.New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}), "")
	done := make(chan int)
	for range limit {
		go func() { done <- ask(stack, "127.0.0.1:54321", "").Code }()
		<-entered
	}
	if w := ask(stack, "127.0.0.1:54321", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one beyond the limit: %d", w.Code)
	}
	close(release)
	for range limit {
		if code := <-done; code != http.StatusOK {
			t.Errorf("one within the limit: %d", code)
		}
	}
}
