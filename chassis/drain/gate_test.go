package drain_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// accepting takes everything out of a gate.
func accepting(g *drain.Gate) (taken chan net.Conn, ended chan error) {
	taken, ended = make(chan net.Conn, 64), make(chan error, 1)
	go func() {
		for {
			c, err := g.Accept()
			if err != nil {
				ended <- err
				return
			}
			taken <- c
		}
	}()
	return taken, ended
}

func TestAGateAcceptsNothingBeforeItsServerDoes(t *testing.T) {
	clean(t)
	l := &countingListener{Listener: listen(t)}
	g := drain.NewGate(l, drain.Entry{})
	if g.Addr() != l.Addr() {
		t.Error(g.Addr())
	}
	c := dial(t, l.Addr().String())
	if g.Conns() != 0 || l.accepts.Load() != 0 {
		t.Error("it accepts")
	}
	taken, ended := accepting(g)
	got := <-taken
	c.send(t, "x")
	if b := make([]byte, 1); g.Conns() != 1 {
		t.Error(g.Conns())
	} else if _, err := got.Read(b); err != nil {
		t.Error(err)
	}
	g.Quiesce()
	g.Quiesce()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if g.Conns() != 1 {
		t.Error("a connection that was taken is the taker's to close")
	}
	got.Close()
	got.Close()
	if g.Conns() != 0 {
		t.Error(g.Conns())
	}
}

type countingListener struct {
	net.Listener
	accepts atomic.Int64
	closes  atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	l.accepts.Add(1)
	return l.Listener.Accept()
}

func (l *countingListener) Close() error {
	l.closes.Add(1)
	return l.Listener.Close()
}

func TestQuiesceReturnsWhenEverythingAcceptedIsDelivered(t *testing.T) {
	clean(t)
	l := &countingListener{Listener: listen(t)}
	g := drain.NewGate(l, drain.Entry{})
	first := make(chan net.Conn)
	go func() {
		c, err := g.Accept()
		if err != nil {
			t.Error(err)
		}
		first <- c
	}()
	dial(t, l.Addr().String())
	defer (<-first).Close()
	dial(t, l.Addr().String())
	until(t, "the second is accepted", func() bool { return g.Conns() == 2 })
	quiet := make(chan bool)
	go func() {
		g.Quiesce()
		close(quiet)
	}()
	until(t, "the listener is closed", func() bool { return l.closes.Load() > 0 })
	select {
	case <-quiet:
		t.Error("it returned with one that nobody has")
	default:
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-quiet
	g.Close()
}

func TestClosingAGateClosesWhatNobodyHasTaken(t *testing.T) {
	clean(t)
	l := listen(t)
	g := drain.NewGate(l, drain.Entry{})
	taken := make(chan net.Conn)
	go func() {
		c, _ := g.Accept()
		taken <- c
	}()
	dial(t, l.Addr().String())
	defer (<-taken).Close()
	c := dial(t, l.Addr().String())
	until(t, "it is accepted", func() bool { return g.Conns() == 2 })
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	adopted := make(chan error)
	go func() { adopted <- g.Adopt(near) }()
	until(t, "it is to be adopted", func() bool { return g.Conns() == 3 })
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if err := <-adopted; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	go io.WriteString(far, "x")
	if _, err := near.Read(make([]byte, 1)); err != nil {
		t.Errorf("what was not adopted is still the caller's: %v", err)
	}
	if err := g.Adopt(near); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if g.Conns() != 1 {
		t.Error(g.Conns())
	}
}

func TestAGateBoundsItsConnections(t *testing.T) {
	clean(t)
	l := &countingListener{Listener: listen(t)}
	g := drain.NewGate(l, drain.Entry{MaxConns: 2})
	taken, ended := accepting(g)
	for range 4 {
		dial(t, l.Addr().String()) // the kernel's queue takes them
	}
	one, two := <-taken, <-taken
	if n := l.accepts.Load(); n != 2 || g.Conns() != 2 {
		t.Errorf("%d accepted, %d open", n, g.Conns())
	}
	near, far := net.Pipe()
	defer far.Close()
	if err := g.Adopt(near); err != nil { // on top
		t.Error(err)
	}
	three := <-taken
	one.Close()
	if n := l.accepts.Load(); n != 2 {
		t.Errorf("%d accepted with %d open", n, g.Conns())
	}
	two.Close()
	four := <-taken
	three.Close()
	five := <-taken
	four.Close()
	five.Close()
	dial(t, l.Addr().String())
	dial(t, l.Addr().String())
	six, seven := <-taken, <-taken
	until(t, "it is full", func() bool { return g.Conns() == 2 })
	g.Quiesce() // while it waits for room
	g.Close()
	<-ended
	six.Close()
	seven.Close()
}

func TestAConnectionIsFreshUntilTheServerWrites(t *testing.T) {
	clean(t)
	l := listen(t)
	g := drain.NewGate(l, drain.Entry{})
	taken, _ := accepting(g)
	defer g.Close()
	for _, write := range []func(c net.Conn) error{
		func(c net.Conn) error { _, err := io.WriteString(c, "x"); return err },
		func(c net.Conn) error { _, err := io.Copy(c, io.LimitReader(strings.NewReader("x"), 1)); return err },
	} {
		client := dial(t, l.Addr().String())
		c := <-taken
		if g.Fresh() != 1 || g.Conns() != 1 {
			t.Errorf("fresh: %d of %d", g.Fresh(), g.Conns())
		}
		if err := write(c); err != nil {
			t.Error(err)
		}
		if g.Fresh() != 0 {
			t.Errorf("fresh: %d", g.Fresh())
		}
		if _, ok := c.(io.ReaderFrom); !ok {
			t.Error("it cannot send files")
		}
		if raw, err := c.(syscall.Conn).SyscallConn(); err != nil || raw == nil {
			t.Error(err)
		}
		if _, ok := c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn); !ok {
			t.Error("the connection within is not what the listener gave")
		}
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(client.r); string(b) != "x" || err != nil {
			t.Error(b, err)
		}
		c.Close()
	}
	near, far := net.Pipe()
	defer far.Close()
	if err := g.Adopt(near); err != nil {
		t.Fatal(err)
	}
	c := <-taken
	defer c.Close()
	if _, err := c.(syscall.Conn).SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

// scriptListener fails as it is told, then blocks until it is closed.
type scriptListener struct {
	errs   chan error
	conns  chan net.Conn
	closed chan bool
	once   sync.Once
}

func (l *scriptListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *scriptListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
func (l *scriptListener) Addr() net.Addr { return &net.TCPAddr{} }

func script(errs ...error) *scriptListener {
	l := &scriptListener{errs: make(chan error, 64), conns: make(chan net.Conn, 1), closed: make(chan bool)}
	for _, err := range errs {
		l.errs <- err
	}
	return l
}

type passingError struct{}

func (passingError) Error() string   { return "passes" }
func (passingError) Temporary() bool { return true }

func TestErrorsOfAcceptingThatPassAreWaitedOut(t *testing.T) {
	clean(t)
	near, far := net.Pipe()
	defer far.Close()
	l := script(&net.OpError{Op: "accept", Err: syscall.EMFILE}, passingError{}, syscall.ENOBUFS)
	l.conns <- near
	said := new(complaints)
	s := serve(t, l, &http.Server{Handler: named("s"), ErrorLog: log.New(said, "", 0)}, drain.Options{})
	c := clientOn(t, far)
	begin := time.Now()
	c.send(t, get("/"))
	c.want(t, "s / 0")
	if took := time.Since(begin); took > 30*time.Second { // 35 ms are waited
		t.Errorf("it took %v", took)
	}
	want := "http: Accept error: accept: " + syscall.EMFILE.Error() + "; retrying in 5ms\nhttp: Accept error: passes; retrying in 10ms\n"
	if !strings.HasPrefix(said.String(), want) {
		t.Errorf("said %q", said)
	}
	_ = s
}

func TestAGateIsClosedWhileItWaitsAnErrorOut(t *testing.T) {
	clean(t)
	quick(t, 200*time.Millisecond, func(t *testing.T) time.Duration {
		l := script()
		for range cap(l.errs) {
			l.errs <- syscall.EMFILE
		}
		g := drain.NewGate(l, drain.Entry{})
		_, ended := accepting(g)
		until(t, "it waits", func() bool { return len(l.errs) < cap(l.errs)-6 }) // 320 ms by now
		begin := time.Now()
		g.Close()
		<-ended
		return time.Since(begin)
	})
}

func TestOtherErrorsOfAcceptingEndServing(t *testing.T) {
	clean(t)
	broken := errors.New("broken")
	s := drain.New(&http.Server{}, drain.Options{})
	if err := s.Serve(script(broken)); err != broken {
		t.Error(err)
	}
	if err := s.Serve(script()); err == nil || errors.Is(err, broken) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// When a service is replaced, other processes have the socket as well.
func TestAGateThatIsClosedLeavesTheQueueToWhoElseHasTheSocket(t *testing.T) {
	clean(t)
	l := listen(t)
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	g := drain.NewGate(l, drain.Entry{})
	taken := make(chan net.Conn)
	go func() {
		c, _ := g.Accept()
		taken <- c
	}()
	dial(t, l.Addr().String())
	defer (<-taken).Close()
	dial(t, l.Addr().String())
	until(t, "the second is accepted", func() bool { return g.Conns() == 2 })
	queued := []*client{dial(t, l.Addr().String()), dial(t, l.Addr().String()), dial(t, l.Addr().String())}
	g.Close()
	for range queued {
		_ = other.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
		c, err := other.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "x")
		c.Close()
	}
	for _, c := range queued {
		if b, err := io.ReadAll(c.r); string(b) != "x" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
	}
}
