package lossbench_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

func TestAnEventStreamThatEndsBadlyIsAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cause   string
	}{
		"without notice": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "id: 1\n\n") }, "ended without notice"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "id: 1\n\nevent: reconnect\n\n")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "stream: cut off"},
		"an event lost": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "id: 1\n\nid: 3\n\n") }, `event "3" after 1`},
		"silence": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "id: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "stream: timeout"},
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "open: status 503"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "open: cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, c.handler)
			wantCause(t, one(t, lossbench.Options{HTTP: addr, Protocols: []string{"sse"}, Timeout: 200 * time.Millisecond}, by(c.cause)), c.cause)
		})
	}
}

func TestAnEventStreamToldToReconnectIsNoFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "id: 1\n\nid: 2\n\nevent: reconnect\n\n") })
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"sse"}}, func(r lossbench.Result) bool { return r.Reopens > 10 })
	if r.Failed > 0 || r.Connections < r.Requests || r.Quiet.Count != r.Requests {
		t.Errorf("%d of %d failed %v over %d connections, %d latencies", r.Failed, r.Requests, r.Causes, r.Connections, r.Quiet.Count)
	}
}

// socket answers websockets with f, which gets the number of each message from 1.
func socket(f func(ctx context.Context, c *websocket.Conn, message []byte, n int) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for n := 1; ; n++ {
			_, message, err := c.Read(r.Context())
			if err != nil || f(r.Context(), c, message, n) != nil {
				return
			}
		}
	}
}

func echoed(ctx context.Context, c *websocket.Conn, message []byte) error {
	return c.Write(ctx, websocket.MessageText, message)
}

func TestAWebsocketThatEndsBadlyIsAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cause   string
	}{
		"an error of the server": {socket(func(_ context.Context, c *websocket.Conn, _ []byte, _ int) error {
			return c.Close(websocket.StatusInternalError, "broken")
		}), "closed with 1011"},
		"cut off": {socket(func(ctx context.Context, c *websocket.Conn, m []byte, n int) error {
			if n == 2 {
				return c.CloseNow()
			}
			return echoed(ctx, c, m)
		}), "cut: EOF"},
		"no echo": {socket(func(ctx context.Context, c *websocket.Conn, _ []byte, _ int) error {
			return echoed(ctx, c, []byte("no"))
		}), "cut: wrong answer"},
		"too much": {socket(func(ctx context.Context, c *websocket.Conn, m []byte, _ int) error {
			if err := echoed(ctx, c, m); err != nil {
				return err
			}
			return echoed(ctx, c, m)
		}), "cut: an answer to nothing"},
		"silence":   {socket(func(context.Context, *websocket.Conn, []byte, int) error { return nil }), "cut: timeout"},
		"a refusal": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "open: status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, c.handler)
			wantCause(t, one(t, lossbench.Options{HTTP: addr, Protocols: []string{"ws"}, Timeout: 200 * time.Millisecond}, by(c.cause)), c.cause)
		})
	}
}

func TestAWebsocketClosedAsItShouldBeIsNoFailure(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	addr := serve(t, socket(func(ctx context.Context, c *websocket.Conn, m []byte, _ int) error {
		switch n.Add(1) % 3 {
		case 0:
			return c.Close(websocket.StatusServiceRestart, "")
		case 1:
			return c.Close(websocket.StatusGoingAway, "")
		}
		return echoed(ctx, c, m)
	}))
	r := one(t, lossbench.Options{HTTP: addr, Protocols: []string{"ws"}}, func(r lossbench.Result) bool { return r.Reopens > 10 && r.Requests > 5 })
	if r.Failed > 0 || r.Connections <= r.Reopens {
		t.Errorf("%d of %d failed %v, %d reopens over %d connections", r.Failed, r.Requests, r.Causes, r.Reopens, r.Connections)
	}
}
