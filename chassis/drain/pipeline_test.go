package drain_test

import (
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// A request that came in the same read as the one before is under way although nothing was read
// for it.

func TestAPipelinedRequestWhoseBodyIsYetToComeIsNotGivenAway(t *testing.T) {
	clean(t)
	reading := make(chan bool, 1)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			reading <- true
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: body: %v", r.URL.Path, err)
		}
		io.WriteString(w, r.URL.Path+" "+string(body))
	}), drain.Options{})
	c := dial(t, s.addr)
	const body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	whole := post("/second", len(body))
	c.send(t, get("/first")+whole[:len(whole)-len(body)])
	c.want(t, "/first ")
	<-reading
	given := make(chan bool, 8)
	done := draining(t, s, drain.Leave{Min: 10 * time.Second, Give: func(syscall.Conn, []byte) error {
		given <- true
		return nil
	}})
	until(t, "the drain looks for what is idle", func() bool { return s.Draining() })
	select {
	case <-given:
		t.Fatal("it was given away in the middle of a request")
	case <-time.After(20 * drain.ScanEvery): // many looks
	}
	c.send(t, body)
	c.want(t, "/second "+body)
	<-given
	drained(t, done)
}

func TestAPipelinedRequestOfWhichAWholeLineHasComeIsNotGivenAway(t *testing.T) {
	clean(t)
	for _, came := range []string{"GET /second HTTP/1.1\r\n", "GET /second HTTP/1.1\r\nHost: x\r\n", "GET /sec", "GE"} {
		s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }), drain.Options{})
		c := dial(t, s.addr)
		whole := get("/second")
		c.send(t, get("/first")+came)
		c.want(t, "/first")
		given := make(chan bool, 8)
		done := draining(t, s, drain.Leave{Min: 10 * time.Second, Give: func(syscall.Conn, []byte) error {
			given <- true
			return nil
		}})
		until(t, "the drain looks for what is idle", func() bool { return s.Draining() })
		select {
		case <-given:
			t.Fatalf("it was given away after %q", came)
		case <-time.After(20 * drain.ScanEvery): // many looks
		}
		c.send(t, whole[len(came):])
		c.want(t, "/second")
		<-given
		drained(t, done)
	}
}

func TestAPipelinedRequestThatTakesLongIsNotDisturbed(t *testing.T) {
	clean(t)
	begun, release := make(chan bool), make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			close(begun)
			select {
			case <-release:
			case <-r.Context().Done():
				t.Error("its context has ended")
			}
		}
		io.WriteString(w, r.URL.Path)
	}), drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/first")+get("/second"))
	<-begun
	const least = 20 * time.Millisecond
	done := draining(t, s, drain.Leave{Min: least})
	until(t, "the drain looks for what is idle", func() bool { return s.Draining() })
	time.AfterFunc(5*least, func() { close(release) })
	c.want(t, "/first")
	c.want(t, "/second")
	drained(t, done)
}

func TestACutPipelinedRequestIsCounted(t *testing.T) {
	clean(t)
	begun := make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			close(begun)
			<-r.Context().Done()
		}
	}), drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/first")+get("/second"))
	<-begun
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if cut := s.Stats().Cut["http1"]; cut != 1 {
		t.Errorf("%d cut, want 1", cut)
	}
}

func TestWhatWaitsInTheKernelsQueueWhenAcceptingEndsIsServed(t *testing.T) {
	clean(t)
	l := listen(t)
	const queued = 200
	clients := make([]*client, queued)
	for i := range clients {
		clients[i] = dial(t, l.Addr().String())
		clients[i].send(t, get("/"))
	}
	s := serve(t, l, &http.Server{Handler: named("s")}, drain.Options{})
	until(t, "accepting has begun", func() bool { return s.Stats().Conns > 0 })
	done := draining(t, s, drain.Leave{Min: time.Millisecond})
	for _, c := range clients {
		c.want(t, "s / 0")
	}
	drained(t, done)
}

// reticent is a listener that does not tell what is queued.
type reticent struct {
	net.Listener
	tcp *net.TCPListener
}

func (l reticent) SetDeadline(t time.Time) error { return l.tcp.SetDeadline(t) }

func TestWhereTheKernelsQueueIsNotKnownItIsTriedThatNothingComes(t *testing.T) {
	clean(t)
	l := listen(t)
	s := serve(t, reticent{l, l.(*net.TCPListener)}, &http.Server{Handler: named("s")}, drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	c.want(t, "s / 0")
	drained(t, draining(t, s, drain.Leave{}))
	c.wantEnd(t)
}
