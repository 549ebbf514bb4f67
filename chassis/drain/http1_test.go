package drain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

func TestABusyConnectionMovesFromServerToServerWithoutAnAnswerLost(t *testing.T) {
	delays(t, func(t *testing.T, delay time.Duration) {
		clean(t)
		const clients, generations = 8, 4
		current := start(t, named("s"), drain.Options{H2C: true})
		addr := delayed(t, current.addr, delay)
		var stop atomic.Bool
		var answers atomic.Int64
		var wg sync.WaitGroup
		for i := range clients {
			c := dial(t, addr)
			wg.Go(func() {
				for n := 0; !stop.Load(); n++ {
					path, size := fmt.Sprintf("/%d/%d", i, n), n%3*1000
					io.WriteString(c, post(path, size))
					got, _, err := c.receive()
					if want := fmt.Sprintf("s %s %d", path, size); err != nil || got != want {
						t.Errorf("answer %q, %v; want %q", got, err, want)
						return
					}
					answers.Add(1)
				}
			})
		}
		for range generations {
			reached := answers.Load() + 100
			until(t, "answers", func() bool { return answers.Load() >= reached || t.Failed() })
			next := current.sharing(t, named("s"), drain.Options{H2C: true})
			drained(t, draining(t, current, drain.Leave{Give: passTo(t, next), Min: time.Minute}))
			if s := current.Stats(); s.Given != clients || s.Conns != 0 || next.Stats().Adopted != clients {
				t.Errorf("%+v, then %+v", s, next.Stats())
			}
			current = next
		}
		stop.Store(true)
		wg.Wait()
	})
}

func TestAnIdleConnectionIsUsedAgainAtAnyMomentOfADrain(t *testing.T) {
	delays(t, func(t *testing.T, delay time.Duration) {
		clean(t)
		old, next := start(t, named("s"), drain.Options{}), start(t, named("s"), drain.Options{})
		addr := delayed(t, old.addr, delay)
		clients := make([]*client, 60)
		for i := range clients {
			clients[i] = dial(t, addr)
			if i%3 > 0 { // the others have been accepted, and no more
				clients[i].send(t, get("/"))
				clients[i].want(t, "s / 0")
			}
		}
		until(t, "all are accepted", func() bool { return old.Stats().Conns == len(clients) })
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() {
				time.Sleep(rand.N(20 * time.Millisecond)) // think
				io.WriteString(c, get("/again"))
				if got, _, err := c.receive(); got != "s /again 0" {
					t.Errorf("answer %q, %v", got, err)
				}
			})
		}
		drained(t, draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute}))
		wg.Wait()
		if given := old.Stats().Given; given != uint64(len(clients)) {
			t.Errorf("given: %d of %d", given, len(clients))
		}
	})
}

func TestAConnectionForEachRequestFailsNoneWhileTheSocketIsPassedOn(t *testing.T) {
	delays(t, func(t *testing.T, delay time.Duration) {
		clean(t)
		current := start(t, named("s"), drain.Options{})
		addr := delayed(t, current.addr, delay)
		var stop atomic.Bool
		var answers atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for !stop.Load() && !t.Failed() {
					conn, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					c := clientOn(t, conn)
					io.WriteString(c, get("/"))
					if got, _, err := c.receive(); got != "s / 0" {
						t.Errorf("answer %q, %v", got, err)
					}
					c.Close()
					answers.Add(1)
				}
			})
		}
		for range 4 {
			reached := answers.Load() + 40
			until(t, "answers", func() bool { return answers.Load() >= reached || t.Failed() })
			next := current.sharing(t, named("s"), drain.Options{})
			drained(t, draining(t, current, drain.Leave{Give: passTo(t, next), Min: time.Minute}))
			current = next
		}
		stop.Store(true)
		wg.Wait()
	})
}

// A marker is an idle connection. When it has been given, the drain has looked at all others.
func marker(t testing.TB, old *running) (given func()) {
	t.Helper()
	m := dial(t, old.addr)
	m.send(t, get("/"))
	if _, _, err := m.receive(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		until(t, "the marker has been given", func() bool { return old.Stats().Given > 0 })
	}
}

func TestTheBeginningOfARequestKeepsAConnectionUntilItIsAnswered(t *testing.T) {
	for n := 1; n <= 6; n++ { // 4 and more begin the request for net/http
		t.Run(fmt.Sprintf("%d bytes", n), func(t *testing.T) {
			clean(t)
			old, next := start(t, named("old"), drain.Options{}), start(t, named("new"), drain.Options{})
			given := marker(t, old)
			c := dial(t, old.addr)
			request := get("/2")
			c.send(t, get("/1")+request[:n]) // one packet: net/http reads it at once
			c.want(t, "old /1 0")
			done := draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute})
			given()
			c.send(t, request[n:])
			c.want(t, "old /2 0")
			c.wantMove(t)
			drained(t, done)
			if s := old.Stats(); s.Given != 2 || s.TakenBack != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAFragmentThatNothingFollowsDoesNotHoldUpTheDrain(t *testing.T) {
	clean(t)
	old, next := start(t, named("old"), drain.Options{}), start(t, named("new"), drain.Options{})
	c := dial(t, old.addr)
	c.send(t, post("/", 3)+"\r\n") // as old clients do
	c.want(t, "old / 3")
	begin := time.Now()
	drained(t, draining(t, old, drain.Leave{Give: passTo(t, next)}))
	if took := time.Since(begin); took < drain.HoldUp {
		t.Errorf("it was kept for %v", took)
	}
	c.wantEnd(t)
	if s := old.Stats(); s.Given != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPipelinedRequestsAreAllAnsweredInOrder(t *testing.T) {
	clean(t)
	old, next := start(t, named("s"), drain.Options{}), start(t, named("s"), drain.Options{})
	given := marker(t, old)
	c := dial(t, old.addr)
	var requests strings.Builder
	const n = 200 // more than one buffer
	for i := range n {
		requests.WriteString(post(fmt.Sprint("/", i), i%7))
	}
	var done chan error
	for i := range n {
		if i == 0 {
			c.send(t, requests.String())
		}
		c.want(t, fmt.Sprintf("s /%d %d", i, i%7))
		if i == 10 {
			done = draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute})
		}
	}
	given()
	c.send(t, get("/last"))
	c.want(t, "s /last 0")
	drained(t, done)
}

func TestAStreamThatIsToldToEndLeavesBeforeTheDrainGoesForTheOthers(t *testing.T) {
	clean(t)
	begun, end := make(chan bool), make(chan bool)
	old := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-end
		}
		named("old").ServeHTTP(w, r)
	}), drain.Options{})
	next := start(t, named("new"), drain.Options{})
	stream, idle := dial(t, old.addr), dial(t, old.addr)
	idle.send(t, get("/"))
	idle.want(t, "old / 0")
	// Until it waits for its next request it is not idle, and would leave as well.
	until(t, "it waits", func() bool { return drain.Waiting(old.Server) == 2 })
	stream.send(t, get("/stream"))
	<-begun
	old.HeadsUp(context.Background())
	how := drain.Leave{Give: passTo(t, next), Min: time.Minute}
	old.Begin(how)
	close(end)
	stream.want(t, "old /stream 0")
	until(t, "its connection is given away", func() bool { return old.Stats().Given == 1 })
	stream.send(t, get("/again"))
	stream.want(t, "new /again 0")
	if given := old.Stats().Given; given != 1 {
		t.Errorf("%d connections given before the drain", given)
	}
	drained(t, draining(t, old, how))
	idle.send(t, get("/again"))
	idle.want(t, "new /again 0")
}

func TestARequestInPiecesIsAnsweredWhenADrainBeginsInBetween(t *testing.T) {
	for _, cut := range []int{1, 14, 20, 60, 120} {
		t.Run(fmt.Sprintf("after %d bytes", cut), func(t *testing.T) {
			clean(t)
			old, next := start(t, named("s"), drain.Options{H2C: true}), start(t, named("s"), drain.Options{H2C: true})
			given := marker(t, old)
			c := dial(t, old.addr)
			c.send(t, get("/"))
			c.want(t, "s / 0")
			request := post("/pieces", 100)
			c.send(t, request[:cut])
			done := draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute})
			given()
			c.send(t, request[cut:])
			c.want(t, "s /pieces 100")
			c.send(t, get("/"))
			c.want(t, "s / 0")
			drained(t, done)
		})
	}
}

func TestABodyThatIsStillToComeKeepsAConnection(t *testing.T) {
	for name, header := range map[string]string{
		"announced with 100-continue": "Expect: 100-continue\r\n",
		"not read by the handler":     "X-Early: yes\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			begun := make(chan bool)
			old := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Early") != "" {
					close(begun)
					io.WriteString(w, "early") // net/http keeps it until it has read the body
					return
				}
				named("old").ServeHTTP(w, r)
			}), drain.Options{})
			next := start(t, named("new"), drain.Options{})
			given := marker(t, old)
			c := dial(t, old.addr)
			c.send(t, "POST /body HTTP/1.1\r\nHost: x\r\n"+header+"Content-Length: 10\r\n\r\n")
			early := strings.HasPrefix(header, "X")
			if early {
				<-begun
			} else {
				const proceed = "HTTP/1.1 100 Continue\r\n\r\n"
				got := make([]byte, len(proceed))
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != proceed {
					t.Fatalf("%q, %v", got, err)
				}
			}
			done := draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute})
			given()
			c.send(t, "0123456789")
			if early {
				c.want(t, "early")
			} else {
				c.want(t, "old /body 10")
			}
			c.wantMove(t)
			drained(t, done)
		})
	}
}

func TestAConnectionThatIsNotTakenIsServedOnAndTriedAgain(t *testing.T) {
	clean(t)
	old, next := start(t, named("old"), drain.Options{}), start(t, named("new"), drain.Options{})
	c := dial(t, old.addr)
	c.send(t, get("/"))
	c.want(t, "old / 0")
	pass := passTo(t, next)
	var refuse atomic.Bool
	refuse.Store(true)
	done := draining(t, old, drain.Leave{Min: time.Minute, Give: func(c syscall.Conn, note []byte) error {
		if refuse.Load() {
			return errors.New("not now")
		}
		return pass(c, note)
	}})
	until(t, "it was taken back twice", func() bool { return old.Stats().TakenBack >= 2 })
	c.send(t, get("/between"))
	got := c.want(t, "old /between 0")
	if got.Close {
		t.Error("a connection that may yet be given says Connection: close")
	}
	refuse.Store(false)
	drained(t, done)
	c.send(t, get("/after"))
	c.want(t, "new /after 0")
}

func TestASuccessorThatTakesNothingDoesNotHoldUpTheDrain(t *testing.T) {
	clean(t)
	old := start(t, named("old"), drain.Options{})
	c := dial(t, old.addr)
	c.send(t, get("/"))
	c.want(t, "old / 0")
	begin := time.Now()
	drained(t, draining(t, old, drain.Leave{Give: func(syscall.Conn, []byte) error { return errors.New("dead") }}))
	if took := time.Since(begin); took < drain.HoldUp {
		t.Errorf("it was kept for %v", took)
	}
	c.wantEnd(t)
}

// A successor that is short of processors answers for the first connections when the others should long be gone.
func TestAConnectionThatIsTakenBackLateIsTriedAgain(t *testing.T) {
	clean(t)
	old, next := start(t, named("old"), drain.Options{}), start(t, named("new"), drain.Options{})
	c := dial(t, old.addr)
	c.send(t, get("/"))
	c.want(t, "old / 0")
	pass := passTo(t, next)
	var tries atomic.Int32
	drained(t, draining(t, old, drain.Leave{Give: func(c syscall.Conn, note []byte) error {
		if tries.Add(1) == 1 {
			time.Sleep(drain.HoldUp + drain.HoldUp/10) // it hesitates
			return errors.New("not now")
		}
		return pass(c, note)
	}}))
	c.send(t, get("/"))
	c.want(t, "new / 0")
}

func TestConnectionsThatWaitForTheirTurnToBeGivenAreServed(t *testing.T) {
	clean(t)
	const n, waiting = drain.GiveAtOnce + 40, 40
	old, next := start(t, named("s"), drain.Options{}), start(t, named("new"), drain.Options{})
	clients := idlers(t, old, n)
	pass := passTo(t, next)
	var giving, most atomic.Int32
	release := make(chan bool)
	done := draining(t, old, drain.Leave{Give: func(c syscall.Conn, note []byte) error {
		now := giving.Add(1)
		defer giving.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		<-release
		return pass(c, note)
	}})
	until(t, "as many are being given as may be", func() bool { return giving.Load() == drain.GiveAtOnce })
	answers := make(chan string, n)
	for _, c := range clients {
		c.send(t, get("/"))
		go func() {
			body, _, err := c.receive()
			if err != nil {
				body = err.Error()
			}
			answers <- body
		}()
	}
	for range waiting {
		if got := <-answers; got != "s / 0" {
			t.Errorf("answer %q", got)
		}
	}
	close(release)
	for range n - waiting {
		if got := <-answers; got != "new / 0" {
			t.Errorf("answer %q", got)
		}
	}
	drained(t, done)
	if s := old.Stats(); s.Given != n || most.Load() != drain.GiveAtOnce {
		t.Errorf("%+v, at most %d at a time", s, most.Load())
	}
}

// A look at a hundred thousand connections takes long, and is for the next 256 of them.
func TestConnectionsThatWaitForTheirTurnToBeGivenDoNotWaitForTheNextLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4 * drain.GiveAtOnce
		s := virtual(t, &http.Server{Handler: named("s")}, drain.Options{})
		for range n {
			near, far := net.Pipe()
			t.Cleanup(func() { near.Close() })
			s.l.(*pipes).conns <- movable{far}
		}
		until(t, "they are read from", func() bool { return drain.Waiting(s.Server) == n })
		begin := time.Now()
		drained(t, draining(t, s, drain.Leave{Give: func(syscall.Conn, []byte) error { return nil }}))
		if took := time.Since(begin); took >= drain.ScanEvery || s.Stats().Given != n {
			t.Errorf("it took %v for %+v", took, s.Stats())
		}
	})
}

// movable is a connection within the process that says that it has a descriptor.
type movable struct{ net.Conn }

func (movable) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

func TestWithoutASuccessorConnectionsAreClosedMinAfterTheirLastAnswer(t *testing.T) {
	clean(t)
	begun, release := make(chan bool), make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-release
		}
		named("s").ServeHTTP(w, r)
	}), drain.Options{})
	idle, slow, fresh := dial(t, s.addr), dial(t, s.addr), dial(t, s.addr)
	idle.send(t, get("/"))
	idle.want(t, "s / 0")
	slow.send(t, get("/slow"))
	<-begun
	until(t, "all are open", func() bool { return s.Stats().Conns == 3 })
	const least = 300 * time.Millisecond
	drain.SetFresh(s.Server, least)
	begin := time.Now()
	done := draining(t, s, drain.Leave{Min: least})
	idle.wantEnd(t)
	fresh.wantEnd(t)
	if took := time.Since(begin); took < least {
		t.Errorf("idle connections were closed after %v", took)
	}
	begin = time.Now()
	close(release)
	if slow.want(t, "s /slow 0").Close {
		t.Error("a request from before the drain was answered with Connection: close")
	}
	slow.wantEnd(t)
	if took := time.Since(begin); took < least {
		t.Errorf("the busy connection was closed after %v", took)
	}
	drained(t, done)
}

func TestWithoutASuccessorAnAnswerDuringTheDrainIsTheLast(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{})
	c := dial(t, s.addr)
	until(t, "it is open", func() bool { return s.Stats().Conns == 1 })
	done := draining(t, s, drain.Leave{Min: time.Hour})
	// Whether the drain has begun shows in an answer.
	until(t, "an answer says Connection: close", func() bool {
		c.send(t, get("/"))
		return c.want(t, "s / 0").Close
	})
	c.wantEnd(t)
	drained(t, done)
}

func TestNoAnsweredByteIsLostWhenAClientWritesOn(t *testing.T) {
	clean(t)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Write(make([]byte, 1<<20))
	}), drain.Options{})
	c := dial(t, s.addr)
	s.HeadsUp(context.Background())
	c.send(t, strings.Repeat(get("/"), 1000)) // all but the first stay unread
	body, _, err := c.receive()
	if err != nil || len(body) != 1<<20 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
}

func TestAnAdoptedConnectionHasTheIdleTimeoutAndThenTheWholeHeaderTimeout(t *testing.T) {
	adopted := func(t *testing.T, h *http.Server) *client {
		h.Handler = named("new")
		s := virtual(t, h, drain.Options{})
		near, far := net.Pipe()
		if err := s.Adopt(far, []byte{}, nil); err != nil {
			t.Fatal(err)
		}
		return clientOn(t, near)
	}
	for what, f := range map[string]func(t *testing.T){
		"idle for longer than a header may take": func(t *testing.T) {
			c := adopted(t, &http.Server{ReadHeaderTimeout: 2 * time.Second, IdleTimeout: time.Minute})
			time.Sleep(3 * time.Second) // virtual
			c.send(t, get("/"))
			c.want(t, "new / 0")
		},
		"a header that does not end": func(t *testing.T) {
			c := adopted(t, &http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute})
			time.Sleep(9 * time.Second) // virtual
			begin := time.Now()
			c.send(t, "GET / HT")
			if _, err := io.ReadAll(c.r); err != nil { // net/http says 400
				t.Fatal(err)
			}
			if took := time.Since(begin); took != 10*time.Second {
				t.Errorf("closed after %v", took)
			}
		},
		"idle for too long": func(t *testing.T) {
			begin := time.Now()
			adopted(t, &http.Server{ReadHeaderTimeout: time.Minute, IdleTimeout: 10 * time.Second}).wantEnd(t)
			if took := time.Since(begin); took != 10*time.Second {
				t.Errorf("closed after %v", took)
			}
		},
		"no bound at all": func(t *testing.T) {
			c := adopted(t, &http.Server{ReadTimeout: -1})
			c.send(t, get("/"))
			c.want(t, "new / 0")
		},
	} {
		t.Run(what, func(t *testing.T) { synctest.Test(t, f) })
	}
}

func TestAnAdoptedConnectionCanBeGivenOn(t *testing.T) {
	clean(t)
	servers := []*running{start(t, named("0"), drain.Options{}), start(t, named("1"), drain.Options{}), start(t, named("2"), drain.Options{})}
	c := dial(t, servers[0].addr)
	until(t, "it is accepted", func() bool { return servers[0].Stats().Conns == 1 })
	for i, s := range servers[:2] {
		drained(t, draining(t, s, drain.Leave{Give: passTo(t, servers[i+1])}))
	}
	c.send(t, get("/"))
	c.want(t, "2 / 0")
	if _, err := c.Write([]byte(get("/"))); err != nil {
		t.Fatal(err)
	}
	c.want(t, "2 / 0")
}

func TestUnixSocketsMoveToo(t *testing.T) {
	clean(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old, next := serve(t, l, &http.Server{Handler: named("old")}, drain.Options{}), start(t, named("new"), drain.Options{})
	c := dial(t, path)
	c.send(t, get("/"))
	c.want(t, "old / 0")
	drained(t, draining(t, old, drain.Leave{Give: passTo(t, next)}))
	c.send(t, get("/"))
	c.want(t, "new / 0")
}

// sinkListener gives out connections that count how often they are asked to send a file.
type sinkListener struct {
	net.Listener
	files atomic.Int64
}

type sinkConn struct {
	*net.TCPConn
	files *atomic.Int64
}

func (l *sinkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sinkConn{c.(*net.TCPConn), &l.files}, nil
}

func (c sinkConn) ReadFrom(r io.Reader) (int64, error) {
	c.files.Add(1)
	return c.TCPConn.ReadFrom(r)
}

func TestFilesAreStillSentWithoutACopy(t *testing.T) {
	clean(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l := &sinkListener{Listener: listen(t)}
	s := serve(t, l, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, path)
	})}, drain.Options{H2C: true})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	c.want(t, string(content))
	if l.files.Load() == 0 {
		t.Error("the file was copied")
	}
}

// net/http asks for a whole buffer exactly when it keeps nothing of the next request. If a Go
// version changes that, idle connections would no longer move, and this says why.
func TestNetHTTPAsksForAWholeBufferBetweenTwoRequests(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	sizes := make(chan int, 16)
	l := &oneListener{c: make(chan net.Conn, 1), closed: make(chan bool)}
	l.c <- sizeConn{near, sizes}
	idle := make(chan bool, 16)
	h := &http.Server{Handler: named("s"), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			for len(sizes) > 0 {
				<-sizes
			}
			idle <- true
		}
	}}
	go h.Serve(l)
	defer h.Close()
	c := clientOn(t, far)
	c.send(t, get("/"))
	c.want(t, "s / 0")
	<-idle
	if got := <-sizes; got != drain.EmptyRead {
		t.Errorf("net/http reads %d bytes; want %d", got, drain.EmptyRead)
	}
}

type oneListener struct {
	c      chan net.Conn
	closed chan bool
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.c:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneListener) Close() error   { close(l.closed); return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

type sizeConn struct {
	net.Conn
	sizes chan int
}

func (c sizeConn) Read(p []byte) (int, error) {
	c.sizes <- len(p)
	return c.Conn.Read(p)
}

func TestWhatHasNoDescriptorIsServedAndNotGiven(t *testing.T) {
	clean(t)
	l := &oneListener{c: make(chan net.Conn, 1), closed: make(chan bool)}
	s := serve(t, l, &http.Server{Handler: named("s")}, drain.Options{})
	near, far := net.Pipe()
	l.c <- near
	c := clientOn(t, far)
	c.send(t, get("/"))
	c.want(t, "s / 0")
	drained(t, draining(t, s, drain.Leave{Give: func(syscall.Conn, []byte) error {
		t.Error("given")
		return nil
	}}))
	c.wantEnd(t)
}
