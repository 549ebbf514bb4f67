package client_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// cutter serves connections one after the other: the first by what cuts it, the others in full. It
// counts those on which a request was, or may have been, taken.
func cutter(t *testing.T, taken *atomic.Int32, cut func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			if taken.Add(1) == 1 {
				cut(c)
			} else {
				serve(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// serve reads a request and answers it.
func serve(c net.Conn, answer string) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(c, answer)
	}
}

// cuts are connections that end at each phase of a request.
var cuts = map[string]func(net.Conn){
	"after a byte of it": func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0) },
	"after its header": func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_ = c.(*net.TCPConn).SetLinger(0)
	},
	"after all of it":                func(c net.Conn) { serve(c, "") },
	"in the answer's first line":     func(c net.Conn) { serve(c, "HTTP/1.1 2") },
	"in the answer's header":         func(c net.Conn) { serve(c, "HTTP/1.1 200 OK\r\nContent-Le") },
	"with what is no answer of HTTP": func(c net.Conn) { serve(c, "SSH-2.0-x\r\n") },
}

func TestARequestThatIsNotIdempotentIsNeverSentTwiceWhereverItsConnectionIsCut(t *testing.T) {
	for name, cut := range cuts {
		for method, want := range map[string]int32{"POST": 1, "PUT": 2} {
			t.Run(method+" "+name, func(t *testing.T) {
				var taken atomic.Int32
				games, s := real(t, cutter(t, &taken, cut), client.Config{})
				a := do(games, req(t.Context(), t, method, "/", strings.NewReader("a wish")))
				if n := taken.Load(); n != want || (a.err == nil) != (want == 2) || want == 2 && a.body != "ok" {
					t.Errorf("sent %d times: %+v, want %d", n, a, want)
				}
				if got := s.counts(t); !strings.Contains(got, `attempts_total{outcome="broken"} 1`) {
					t.Errorf("counted\n%s", got)
				}
			})
		}
	}
}

func TestAnAnswerThatIsCutIsNotAskedForAgain(t *testing.T) {
	var taken atomic.Int32
	half := func(c net.Conn) { serve(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") }
	games, _ := real(t, cutter(t, &taken, half), client.Config{})
	a := do(games, req(t.Context(), t, "GET", "/", nil))
	if taken.Load() != 1 || a.body != "half" || a.err == nil {
		t.Errorf("sent %d times: %+v", taken.Load(), a)
	}
}

// idler answers the first request of its only connection and cuts the second.
func idler(taken *atomic.Int32) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for range 2 {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if taken.Add(1) == 2 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	}
}

func TestARequestThatIsNotIdempotentIsNotSentTwiceOverConnectionsThatWereIdle(t *testing.T) {
	for method, want := range map[string]int32{"POST": 3, "GET": 4} { // the connection, its two requests, and another connection
		var taken atomic.Int32
		games, _ := real(t, cutter(t, &taken, idler(&taken)), client.Config{Retry: retry.Config{Attempts: 1}})
		if a := do(games, req(t.Context(), t, "GET", "/", nil)); a.err != nil {
			t.Fatal(a.err)
		}
		a := do(games, req(t.Context(), t, method, "/", nil))
		if n := taken.Load(); n != want || (a.err == nil) != (want == 4) {
			t.Errorf("%s: counted %d, %+v, want %d", method, n, a, want)
		}
	}
}

func TestAConnectionThatIsCutBeforeAnythingIsReadTakesNoRequestTwice(t *testing.T) {
	var taken atomic.Int32
	addr := cutter(t, &taken, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })
	games, _ := real(t, addr, client.Config{})
	a := do(games, req(t.Context(), t, "POST", "/", strings.NewReader("a wish")))
	if n := taken.Load() - 1; n > 1 || (a.err == nil) != (n == 1) {
		t.Errorf("taken %d times after the cut, %+v", n, a)
	}
}

func TestWhatWasNeverSentIsSentAgainWhateverItIs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // nobody listens there any more
	games, s := real(t, l.Addr().String(), client.Config{Retry: retry.Config{Backoff: time.Millisecond}})
	a := do(games, req(t.Context(), t, "POST", "/", strings.NewReader("a wish")))
	if a.err == nil || !strings.Contains(a.err.Error(), "connection refused") {
		t.Errorf("%+v", a)
	}
	// One whose body has gone is not.
	a = do(games, req(t.Context(), t, "POST", "/", io.MultiReader(strings.NewReader("a wish"))))
	if want := "attempts_total{outcome=\"unreachable\"} 4\nrequests_total 2\nretries_total 2"; a.err == nil || s.counts(t) != want {
		t.Errorf("%+v, counted\n%s\nwant\n%s", a, s.counts(t), want)
	}
}
