package target

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// eventPeriod is the time between two events of /sse.
const eventPeriod = 50 * time.Millisecond

// server is what answers on all listeners.
type server struct {
	clock clock.Clock

	mu   sync.Mutex
	rand *rand.Rand
}

func newServer(s *chassis.Service, seed uint64) *server {
	return &server{clock: s.Clock(), rand: rand.New(rand.NewPCG(seed, 0))}
}

func (srv *server) router() *chassis.Router {
	r := chassis.NewRouter()
	r.Handle("GET /work", srv.work)
	r.Handle("POST /work", srv.work)
	r.Handle("GET /sse", srv.events, chassis.Stream())
	r.Handle("GET /ws", srv.echo, chassis.Stream())
	r.Handle("GET /child", srv.child)
	r.Handle("GET /orphan", srv.orphan)
	return r
}

// handlerTime draws how long a handler takes.
func (srv *server) handlerTime() time.Duration {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch p := srv.rand.IntN(100); {
	case p < 2:
		return 300 * time.Millisecond
	case p < 51:
		return time.Duration(srv.rand.Int64N(int64(3 * time.Millisecond)))
	}
	return 0
}

// forced is the time that the query asks for, otherwise d.
func forced(r *http.Request, d time.Duration) (time.Duration, error) {
	text := r.FormValue("ms")
	if text == "" {
		return d, nil
	}
	ms, err := strconv.Atoi(text)
	if err != nil || ms < 0 || ms > 3_600_000 {
		return 0, failure.Malformed.With("ms", failure.Safe(text))
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (srv *server) work(w http.ResponseWriter, r *http.Request) error {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return err
	}
	d, err := forced(r, srv.handlerTime())
	if err != nil {
		return err
	}
	if d > 0 {
		if err := clock.Sleep(r.Context(), srv.clock, d); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "%d %d\n", os.Getpid(), n)
	return err
}

// events numbers its events from 1.
func (srv *server) events(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w).Flush
	tick := time.NewTicker(eventPeriod)
	defer tick.Stop()
	for id := 1; ; id++ {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %d\n\n", id, os.Getpid()); err != nil {
			return nil // the caller left
		}
		if flush() != nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-chassis.Draining(r.Context()):
			_, _ = io.WriteString(w, "event: reconnect\ndata:\n\n")
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

func (srv *server) echo(w http.ResponseWriter, r *http.Request) error {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer c.CloseNow()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-chassis.Draining(r.Context()):
			_ = c.Close(websocket.StatusServiceRestart, "service restart")
		case <-ended:
		}
	}()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return nil // its closing handshake, or it has gone
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return nil
		}
	}
}
