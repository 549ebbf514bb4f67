package drain_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// errNoPreface is what the prefaces of these tests complain of.
var errNoPreface = errors.New("want a line that begins with #")

// line is a preface for tests: "#" and a name up to the line's end, read byte by byte.
func line(c net.Conn) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	var name []byte
	for b := make([]byte, 1); len(name) < 100; {
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, err
		}
		switch {
		case len(name) == 0 && b[0] != '#':
			return nil, errNoPreface
		case b[0] == '\n':
			return name[1:], nil
		}
		name = append(name, b[0])
	}
	return nil, errNoPreface
}

// noter answers with what is known of the connection, and its address.
func noter(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %v", name, drain.Note(r.Context()), strings.HasPrefix(r.RemoteAddr, "127.0.0.1:"))
	})
}

func TestThePrefaceComesBeforeTheRequestAndIsKnownToIt(t *testing.T) {
	clean(t)
	config, roots := certificate(t)
	client := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	for what, o := range map[string]drain.Options{"plain text": {}, "HTTP/2 as well": {H2C: true}, "TLS": {TLS: config}} {
		t.Run(what, func(t *testing.T) {
			o.Entry.Preface = line
			s := start(t, noter("s"), o)
			c := dial(t, s.addr)
			c.send(t, "#ada\n")
			if o.TLS != nil {
				c = clientOn(t, tls.Client(c.Conn, client))
			}
			for range 2 {
				c.send(t, get("/"))
				c.want(t, `s "ada" true`)
			}
			nobody := dial(t, s.addr)
			nobody.send(t, "#\n")
			if o.TLS == nil {
				nobody.send(t, get("/"))
				nobody.want(t, `s "" true`)
			}
		})
	}
	if drain.Note(context.Background()) != nil {
		t.Error("a note of no connection")
	}
}

func TestAConnectionWithABadPrefaceIsClosedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{Entry: drain.Entry{Preface: line}})
		s := virtual(t, &http.Server{Handler: noter("s"), ReadHeaderTimeout: time.Second}, o)
		bad := s.dial(t)
		_, _ = io.WriteString(bad, get("/")) // no more than a byte is read
		if b, _ := io.ReadAll(bad.r); len(b) > 0 {
			t.Errorf("answer %q", b)
		}
		if r := wantRefusal(t, refusals, drain.ReasonPreface, 0, ""); !errors.Is(r.Err, errNoPreface) {
			t.Errorf("error %v", r.Err)
		}
		for _, beginning := range []string{"", "#ad"} {
			// A later deadline of its own does not help.
			slow := s.dial(t)
			_, _ = io.WriteString(slow, beginning)
			slow.wantEnd(t)
			if r := wantRefusal(t, refusals, drain.ReasonPreface, 0, ""); r.Err == nil {
				t.Error("without a cause")
			}
		}
	})
}

func TestASilentClientHoldsUpNobodyElsesPreface(t *testing.T) {
	clean(t)
	s := start(t, noter("s"), drain.Options{Entry: drain.Entry{Preface: line}})
	dial(t, s.addr)
	c := dial(t, s.addr)
	c.send(t, "#bob\n"+get("/"))
	c.want(t, `s "bob" true`)
}

func TestTheNoteTravelsWithTheConnection(t *testing.T) {
	clean(t)
	o := drain.Options{Entry: drain.Entry{Preface: line}}
	old := start(t, noter("old"), o)
	idle, prefaced, untouched := dial(t, old.addr), dial(t, old.addr), dial(t, old.addr)
	idle.send(t, "#ada\n"+get("/"))
	idle.want(t, `old "ada" true`)
	prefaced.send(t, "#bob\n")
	until(t, "all are open", func() bool { return old.Stats().Conns == 3 })
	next := old.sharing(t, noter("new"), o)
	drained(t, draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute}))
	for range 2 {
		idle.send(t, get("/"))
		idle.want(t, `new "ada" true`)
		prefaced.send(t, get("/"))
		prefaced.want(t, `new "bob" true`)
	}
	untouched.send(t, "#carol\n"+get("/"))
	untouched.want(t, `new "carol" true`)
	if given := old.Stats().Given; given != 3 {
		t.Errorf("%d connections were given", given)
	}
	last := next.sharing(t, noter("last"), drain.Options{}) // a preface is not expected any more
	drained(t, draining(t, next, drain.Leave{Give: passTo(t, last), Min: time.Minute}))
	idle.send(t, get("/"))
	idle.want(t, `last "ada" true`)
}

func TestAConnectionInTheMiddleOfItsPrefaceIsNotGiven(t *testing.T) {
	clean(t)
	begun := make(chan bool)
	o := drain.Options{Entry: drain.Entry{Preface: func(c net.Conn) ([]byte, error) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil {
			return nil, err
		}
		close(begun)
		rest, err := line(prepended{c, b})
		return rest, err
	}}}
	old := start(t, noter("old"), o)
	c := dial(t, old.addr)
	c.send(t, "#")
	<-begun
	next := old.sharing(t, noter("new"), drain.Options{})
	done := draining(t, old, drain.Leave{Give: passTo(t, next), Min: time.Minute})
	old.HeadsUp(within(t, time.Second)) // returns when that of the drain has begun
	c.send(t, "ada\n")
	drained(t, done) // it is given when the preface is there
	c.send(t, get("/"))
	c.want(t, `new "ada" true`)
}

// prepended is a connection of which b was read already.
type prepended struct {
	net.Conn
	b []byte
}

func (p prepended) Read(b []byte) (int, error) {
	if p.b[0] != 0 {
		b[0], p.b[0] = p.b[0], 0
		return 1, nil
	}
	return p.Conn.Read(b)
}

func TestAConnectionThatIsTakenBackKeepsItsNote(t *testing.T) {
	clean(t)
	var tried atomic.Int32
	s := start(t, noter("s"), drain.Options{Entry: drain.Entry{Preface: line}})
	idle, fresh := dial(t, s.addr), dial(t, s.addr)
	idle.send(t, "#ada\n"+get("/"))
	idle.want(t, `s "ada" true`)
	until(t, "both are open", func() bool { return s.Stats().Conns == 2 })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	notes := make(chan bool, 1000)
	go func() {
		done <- s.Drain(ctx, drain.Leave{Min: time.Minute, Give: func(_ syscall.Conn, note []byte) error {
			tried.Add(1)
			notes <- note == nil
			return errors.New("no")
		}})
	}()
	until(t, "both were tried", func() bool { return s.Stats().TakenBack >= 2 })
	cancel()
	<-done
	if one, other := <-notes, <-notes; one == other {
		t.Error("the successor cannot tell which preface was read")
	}
	idle.send(t, get("/"))
	idle.want(t, `s "ada" true`)
	fresh.send(t, "#bob\n"+get("/"))
	fresh.want(t, `s "bob" true`)
}

func TestTheHeaderBehindAPrefaceOfAnAdoptedConnectionHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, refusals := told(drain.Options{Entry: drain.Entry{Preface: line}})
		s := virtual(t, &http.Server{Handler: noter("s"), ReadHeaderTimeout: time.Second, IdleTimeout: time.Hour}, o)
		for _, beginning := range []string{"#ad", "#ada\nGET / HTTP/1.1\r\nHost: x\r\n"} {
			near, far := net.Pipe()
			if err := s.Adopt(far, nil, nil); err != nil {
				t.Fatal(err)
			}
			c := clientOn(t, near)
			c.send(t, beginning)
			c.wantEnd(t)
			select {
			case <-refusals:
			case <-time.After(10 * time.Second):
				t.Errorf("%q: nobody was told", beginning)
			}
		}
	})
}

func TestThePrefaceOfAGateEndsAtTheDeadlineOfTheFirstRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := between(t, drain.Entry{Preface: func(c net.Conn) ([]byte, error) {
			return io.ReadAll(c) // without a deadline of its own
		}})
		_ = server.SetDeadline(time.Now().Add(time.Minute)) // as grpc-go does before the handshake
		if took := late(t, server); took != time.Minute {
			t.Errorf("the first read ended after %v, want a minute", took)
		}
	})
}

func TestAGateReadsPrefacesAtTheFirstRead(t *testing.T) {
	clean(t)
	refusals := make(chan drain.Refusal, 1)
	g := drain.NewGate(listen(t), drain.Entry{Preface: line, Refused: func(r drain.Refusal) { refusals <- r }})
	defer g.Close()
	accept := func(preface string) (net.Conn, *client) {
		c := dial(t, g.Addr().String())
		c.send(t, preface)
		s, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s, c
	}
	s, c := accept("#ada\nhello")
	b := make([]byte, 5)
	if note := drain.AddrNote(s.RemoteAddr()); note != nil {
		t.Errorf("note %q before anything is read", note)
	}
	if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if note := drain.AddrNote(s.RemoteAddr()); string(note) != "ada" || s.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("note %q of %v", note, s.RemoteAddr())
	}
	bad, _ := accept("hello")
	for range 2 {
		if _, err := bad.Read(b); !errors.Is(err, errNoPreface) {
			t.Errorf("error %v", err)
		}
	}
	wantRefusal(t, refusals, drain.ReasonPreface, 0, "")
	if note := drain.AddrNote(c.LocalAddr()); note != nil {
		t.Errorf("note %q of an address that has none", note)
	}
}

func TestConnectionsThatAreBeingSetUpCanBeClosed(t *testing.T) {
	clean(t)
	g := drain.NewGate(listen(t), drain.Entry{})
	defer g.Close()
	var conns []net.Conn
	var clients []*client
	for range 3 {
		clients = append(clients, dial(t, g.Addr().String()))
		s, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conns = append(conns, s)
	}
	for _, s := range conns {
		if _, err := s.Write([]byte("settings")); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range conns[1:] {
		if err := s.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := conns[2].SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n := g.CloseFresh(); n != 1 {
		t.Errorf("%d were closed", n)
	}
	if _, err := conns[1].Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the server reads %v", err)
	}
	if b, err := io.ReadAll(clients[1].r); string(b) != "settings" || err != nil {
		t.Errorf("the client reads %q, %v", b, err)
	}
	for _, i := range []int{0, 2} {
		clients[i].send(t, "x")
		if n, err := conns[i].Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("connection %d: %d, %v", i, n, err)
		}
	}
}
