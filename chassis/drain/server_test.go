package drain_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestAHandlerThatHasHijackedIsWaitedFor(t *testing.T) {
	clean(t)
	end := make(chan bool)
	hijacked := make(chan net.Conn, 1)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		line, _ := rw.ReadString('\n')
		io.WriteString(c, line)
		hijacked <- c
		<-end
	}), drain.Options{H2C: true})
	c := dial(t, s.addr)
	c.send(t, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello\n")
	if b, err := c.r.ReadString('o'); err != nil {
		t.Fatal(b, err)
	}
	server := <-hijacked
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx, drain.Leave{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v, with a handler that runs", err)
	}
	if n := s.Stats().Conns; n != 1 {
		t.Errorf("%d open", n)
	}
	done := draining(t, s, drain.Leave{})
	server.Close()
	if err := server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	close(end)
	drained(t, done)
	if s := s.Stats(); s.Conns != 0 || s.Cut["hijacked"] != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAHijackedConnectionWithoutAHandlerIsLeftToItsOwnerAndCutByClose(t *testing.T) {
	clean(t)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := http.NewResponseController(w).Hijack()
		io.WriteString(c, "x")
	}), drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	if b, err := c.r.ReadByte(); b != 'x' {
		t.Fatal(err)
	}
	drained(t, draining(t, s, drain.Leave{}))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	c.wantEnd(t)
	if s := s.Stats(); s.Conns != 0 || s.Cut["hijacked"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAHandlerThatDoesNotEndIsCutAndCounted(t *testing.T) {
	clean(t)
	begun, end := make(chan bool), make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end // whatever becomes of its context
	}), drain.Options{})
	c, idle := dial(t, s.addr), dial(t, s.addr)
	c.send(t, get("/"))
	<-begun
	until(t, "both are accepted", func() bool { return s.Stats().Conns == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx, drain.Leave{Min: time.Minute}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	idle.wantEnd(t)
	if s := s.Stats(); s.Conns != 0 || s.Cut["http1"] != 1 || s.Cut["h2"] != 0 || s.Cut["hijacked"] != 0 {
		t.Errorf("%+v", s)
	}
	close(end)
	if err := s.Adopt(idle, nil, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Adopt after Close: %v", err)
	}
}

func TestAConnectionThatIsBeingGivenIsNotCut(t *testing.T) {
	clean(t)
	old, next := start(t, named("old"), drain.Options{}), start(t, named("new"), drain.Options{})
	pass := passTo(t, next)
	for _, taken := range []bool{true, false} {
		t.Run(fmt.Sprintf("taken: %v", taken), func(t *testing.T) {
			old := old
			if !taken {
				old = start(t, named("old"), drain.Options{})
			}
			c := dial(t, old.addr)
			c.send(t, get("/"))
			c.want(t, "old / 0")
			giving, go_ := make(chan bool), make(chan bool)
			ctx, cancel := context.WithCancel(context.Background())
			result := make(chan error)
			go func() {
				result <- old.Drain(ctx, drain.Leave{Give: func(c syscall.Conn, note []byte) error {
					close(giving)
					<-go_
					if !taken {
						return errors.New("no")
					}
					return pass(c, note)
				}})
			}()
			<-giving
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := old.Close(); err != nil {
				t.Error(err)
			}
			close(go_)
			if taken {
				c.send(t, get("/"))
				c.want(t, "new / 0")
			} else {
				c.wantEnd(t)
			}
			until(t, "it is off the books", func() bool { return old.Stats().Conns == 0 })
			if cut := old.Stats().Cut["http1"]; cut != 0 {
				t.Errorf("cut: %d", cut)
			}
		})
	}
}

func TestAnAdoptedConnectionIsReadFromOnlyOnceTheOtherProcessKnows(t *testing.T) {
	for name, refusal := range map[string]error{"it knows": nil, "it could not be told": errors.New("gone")} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			l := listen(t)
			defer l.Close()
			c := dial(t, l.Addr().String())
			theirs, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			f, err := theirs.(*net.TCPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			received, err := net.FileConn(f)
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			c.send(t, get("/"))
			s := start(t, named("s"), drain.Options{})
			told := make(chan bool, 2)
			if err := s.Adopt(received, nil, func() error { told <- true; return refusal }); err != nil {
				t.Fatal(err)
			}
			<-told
			if refusal == nil {
				c.want(t, "s / 0")
				c.send(t, get("/again"))
				c.want(t, "s /again 0")
				if n := s.Stats().Adopted; n != 1 {
					t.Errorf("%d adopted", n)
				}
			} else {
				until(t, "it is off the books", func() bool { return s.Stats().Conns == 0 })
				b := make([]byte, len(get("/")))
				if _, err := io.ReadFull(theirs, b); err != nil || string(b) != get("/") {
					t.Errorf("the other process reads %q, %v", b, err)
				}
				io.WriteString(theirs, "HTTP/1.1 204 No Content\r\n\r\n")
				c.want(t, "")
				if n := s.Stats().Adopted; n != 0 {
					t.Errorf("%d adopted of those that are another's", n)
				}
			}
			if len(told) > 0 {
				t.Error("it was told twice")
			}
		})
	}
}

func TestTheCallersHooksAreStillCalled(t *testing.T) {
	clean(t)
	type key struct{}
	var mu sync.Mutex
	var states []http.ConnState
	h := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Context().Value(key{}), r.TLS) }),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, key{}, c.(interface{ NetConn() net.Conn }).NetConn().LocalAddr())
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if raw, err := c.(syscall.Conn).SyscallConn(); raw == nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, state)
		},
	}
	s := serve(t, listen(t), h, drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/"))
	c.want(t, s.addr+" <nil>")
	drained(t, draining(t, s, drain.Leave{}))
	until(t, "the hook has seen it all", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return fmt.Sprint(states) == "[new active idle closed]"
	})
}

func TestWithoutAHandlerTheDefaultOneServes(t *testing.T) {
	clean(t)
	s := start(t, nil, drain.Options{})
	c := dial(t, s.addr)
	c.send(t, get("/nowhere"))
	if res := c.want(t, "404 page not found\n"); res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
}

func TestABoundOfConnectionsIsFreedByGivingThemAway(t *testing.T) {
	clean(t)
	old, next := start(t, named("old"), drain.Options{Entry: drain.Entry{MaxConns: 1}}), start(t, named("new"), drain.Options{Entry: drain.Entry{MaxConns: 1}})
	first, second := dial(t, old.addr), dial(t, old.addr)
	first.send(t, get("/"))
	first.want(t, "old / 0")
	second.send(t, get("/"))
	if n := old.Stats().Conns; n != 1 {
		t.Errorf("%d open", n)
	}
	first.Close()
	second.want(t, "old / 0")
	drained(t, draining(t, old, drain.Leave{Give: passTo(t, next)}))
	second.send(t, get("/"))
	second.want(t, "new / 0")
}

func TestAServerThatNeverServedDrainsAndCloses(t *testing.T) {
	clean(t)
	s := drain.New(&http.Server{}, drain.Options{})
	if err := s.Drain(context.Background(), drain.Leave{}); err != nil {
		t.Error(err)
	}
	l := &countingListener{Listener: listen(t)}
	if err := s.Serve(l); err != nil || l.closes.Load() == 0 {
		t.Errorf("Serve after Drain: %v, the listener closed %d times", err, l.closes.Load())
	}
}

func TestServeReturnsNilWhenTheServerIsShutDownByOtherMeans(t *testing.T) {
	clean(t)
	h := &http.Server{}
	s := drain.New(h, drain.Options{})
	ended := make(chan error)
	l := &countingListener{Listener: listen(t)}
	go func() { ended <- s.Serve(l) }()
	until(t, "it accepts", func() bool { return l.accepts.Load() > 0 })
	h.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// silentClient asks again and again without allocating.
type silentClient struct {
	net.Conn
	request []byte
	answer  []byte
}

func silent(t testing.TB, addr string) *silentClient {
	c := dial(t, addr)
	_ = c.SetDeadline(time.Time{})
	c.send(t, get("/"))
	_, res, err := c.receive()
	if err != nil {
		t.Fatal(err)
	}
	s := &silentClient{Conn: c.Conn, request: []byte(get("/"))}
	// The next answer is as long as this one.
	c.send(t, get("/"))
	head, err := c.r.Peek(1)
	if err != nil {
		t.Fatal(head, err)
	}
	n := c.r.Buffered()
	_, _ = c.r.Discard(n)
	s.answer = make([]byte, n)
	res.Body.Close()
	return s
}

func (c *silentClient) ask(t testing.TB) {
	if _, err := c.Write(c.request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c.Conn, c.answer); err != nil {
		t.Fatal(err)
	}
}

// bare is the same server without this package.
func bare(t testing.TB, h http.Handler) string {
	l := listen(t)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: protocols}
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l.Addr().String()
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

func TestARequestAllocatesNoMoreThanInNetHTTP(t *testing.T) {
	clean(t)
	s := start(t, hello, drain.Options{H2C: true})
	plain, wrapped := silent(t, bare(t, hello)), silent(t, s.addr)
	var a, b float64
	for range 10 { // pools are emptied now and then, of both
		a = testing.AllocsPerRun(1000, func() { plain.ask(t) })
		b = testing.AllocsPerRun(1000, func() { wrapped.ask(t) })
		if b <= a {
			return
		}
	}
	t.Errorf("%v allocations a request, net/http makes %v", b, a)
}

// Keep-alive requests through net/http alone and through this package, in turn, so that what else
// the machine does falls on both.
func BenchmarkRequestBesideNetHTTP(b *testing.B) {
	s := start(b, hello, drain.Options{H2C: true})
	plain, wrapped := silent(b, bare(b, hello)), silent(b, s.addr)
	var took [2]time.Duration
	const turn = 50
	for b.Loop() {
		for i, c := range []*silentClient{plain, wrapped} {
			begin := time.Now()
			for range turn {
				c.ask(b)
			}
			took[i] += time.Since(begin)
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/turn/float64(b.N), "net/http-ns")
	b.ReportMetric(float64(took[1].Nanoseconds())/turn/float64(b.N), "drain-ns")
	b.ReportMetric(float64(took[1])/float64(took[0]), "ratio")
	b.ReportMetric(0, "ns/op")
}

// nothing is a connection that costs nothing.
type nothing struct{ net.Conn }

func (nothing) Read(p []byte) (int, error)      { return len(p), nil }
func (nothing) Write(p []byte) (int, error)     { return len(p), nil }
func (nothing) SetReadDeadline(time.Time) error { return nil }

// What the wrapper adds to each call.
func BenchmarkConn(b *testing.B) {
	c, p := drain.Wrap(nothing{}), []byte("GET / HTTP/1.1\r\n")
	if _, err := c.Read(p); err != nil { // it finds out which protocol this is
		b.Fatal(err)
	}
	for name, call := range map[string]func(){
		"Read":            func() { _, _ = c.Read(p) },
		"Write":           func() { _, _ = c.Write(p) },
		"SetReadDeadline": func() { _ = c.SetReadDeadline(time.Time{}) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// idlers opens n connections to s that have asked once.
func idlers(t testing.TB, s *running, n int) []*client {
	t.Helper()
	clients := make([]*client, n)
	for i := range clients {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		clients[i] = &client{c, bufio.NewReaderSize(c, 256)}
		clients[i].send(t, get("/"))
		clients[i].want(t, "s / 0")
	}
	return clients
}

func fits(t testing.TB, descriptors int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(descriptors) {
		need.Missing(t, "%d descriptors are needed, %d allowed: raise ulimit -n (%v)", descriptors, limit.Cur, err)
	}
}

func TestFourThousandIdleConnectionsMove(t *testing.T) {
	const n = 4000
	fits(t, 3*n+200)
	clean(t)
	old, next := start(t, named("s"), drain.Options{}), start(t, named("s"), drain.Options{})
	begin := time.Now()
	clients := idlers(t, old, n)
	opened := time.Since(begin)
	pass := passTo(t, next)
	begin = time.Now()
	if err := old.Drain(within(t, 5*time.Minute), drain.Leave{Give: pass, Min: time.Hour}); err != nil {
		t.Fatalf("Drain: %v", err)
	}
	took := time.Since(begin)
	t.Logf("%d connections opened in %v and moved in %v", n, opened, took)
	// About 0.1 s is what it takes, a fifth of the time in which they were opened one after the other; each
	// look at all of them costs a slow machine more than that.
	if took > max(5*time.Second, 10*opened) {
		t.Errorf("it took %v to move what was opened in %v", took, opened)
	}
	if s := old.Stats(); s.Given != n || s.TakenBack != 0 {
		t.Errorf("%+v", s)
	}
	for _, c := range clients {
		c.send(t, get("/"))
		c.want(t, "s / 0")
	}
}

// A predecessor that still drains hands connections over while its successor ends.
func TestAConnectionThatIsAdoptedWhileTheLastOnesLeaveIsServedOrNotTaken(t *testing.T) {
	clean(t)
	last := start(t, named("last"), drain.Options{})
	pass := passTo(t, last)
	l := listen(t)
	defer l.Close()
	taken := 0
	for i := range 2000 {
		c := dial(t, l.Addr().String())
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := drain.New(&http.Server{Handler: named("s")}, drain.Options{})
		served := make(chan error, 1)
		go func() { served <- s.Serve(script()) }()
		told := make(chan bool, 1)
		adopting := make(chan error, 1)
		go func() {
			for range i % 50 {
				runtime.Gosched()
			}
			adopting <- s.Adopt(theirs, nil, func() error { told <- true; return nil })
		}()
		if err := s.Drain(within(t, 40*time.Second), drain.Leave{Give: pass}); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := <-adopting; err != nil {
			theirs.Close()
		}
		if len(told) > 0 {
			taken++
			c.send(t, get("/"))
			c.want(t, "last / 0")
		}
		c.Close()
	}
	t.Logf("%d were taken", taken)
}

func TestTheEndOfAHijackedConnectionIsNotTakenForThatOfAnother(t *testing.T) {
	clean(t)
	for range 30 { // it takes a moment that is met in every tenth
		endsOfHijacked(t, 100)
	}
}

// endsOfHijacked closes n hijacked connections during a drain while another one is open.
func endsOfHijacked(t *testing.T, n int) {
	t.Helper()
	hijacked := make(chan net.Conn, n)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stay" {
			io.WriteString(w, "stays")
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- c
	}), drain.Options{})
	conns := make([]net.Conn, n)
	for i := range conns {
		c := dial(t, s.addr)
		defer c.Close()
		c.send(t, get("/"))
		conns[i] = <-hijacked
	}
	idle := dial(t, s.addr)
	defer idle.Close()
	idle.send(t, get("/stay"))
	idle.want(t, "stays")
	until(t, "no handler runs", func() bool { return drain.Handlers(s.Server) == 0 })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Drain(ctx, drain.Leave{Min: time.Hour}) }()
	until(t, "it drains", func() bool { return s.Draining() || len(done) > 0 })
	var closers sync.WaitGroup
	for i := range 4 {
		closers.Go(func() {
			for _, c := range conns[i*n/4 : (i+1)*n/4] {
				c.Close()
			}
		})
	}
	closers.Wait()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("it has drained with a connection open: %v", err)
	}
}
