package acl_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// conn reads the PROXY header in the first Read, which is in the goroutine that serves the connection.
type conn struct {
	net.Conn
	guard *acl.Guard
	once  sync.Once
	peer  acl.Peer
	err   error
}

func (c *conn) Read(p []byte) (int, error) {
	c.once.Do(func() { c.peer, c.err = c.guard.Receive(c.Conn) })
	if c.err != nil {
		return 0, io.EOF // net/http has nothing to answer then
	}
	return c.Conn.Read(p)
}

type listener struct {
	net.Listener
	guard *acl.Guard
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, guard: l.guard}, nil
}

// serve starts a server that answers who it holds the caller for, and returns its address. What checks
// of its health look like is sent to checks, as far as somebody receives it.
func serve(t *testing.T, network, address string, g *acl.Guard) (addr string, checks chan string) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	checks = make(chan string, 1)
	s := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := r.Context().Value(key{}).(*conn)
			client, verdict := g.Check(c.peer, r.Header[g.Header()], r.URL.Path)
			if r.URL.Path == "/health" {
				h, _ := c.peer.Header()
				select {
				case checks <- fmt.Sprintf("%s %s %s", text(client), verdict, h):
				default:
				}
			}
			if !verdict.Allowed() {
				w.WriteHeader(http.StatusForbidden)
			}
			fmt.Fprintf(w, "%s %s", text(client), verdict)
		}),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(listener{l, g})
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return l.Addr().String(), checks
}

// caller is an open connection from an address of the loopback network.
type caller struct {
	net.Conn
	answers *bufio.Reader
}

func call(from, network, address string) (*caller, error) {
	d := net.Dialer{Timeout: time.Minute}
	if network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial(network, address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &caller{c, bufio.NewReader(c)}, nil
}

// ask sends a request with these header lines and returns what the server answers.
func (c *caller) ask(path string, lines ...string) (string, error) {
	request := "GET " + path + " HTTP/1.1\r\nHost: example.com\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return "", err
	}
	return c.answer()
}

// answer is the body of what the server answers next.
func (c *caller) answer() (string, error) {
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return string(body), err
}

func TestAStrangerCannotPretendToBeAProxy(t *testing.T) {
	for from, line := range map[string]string{acl.FromXForwardedFor: "X-Forwarded-For: 1.1.1.1", acl.FromForwarded: "Forwarded: for=1.1.1.1"} {
		addr, _ := serve(t, "tcp", "127.0.0.1:0", mustNew(t, everybody(from, "127.0.0.7")))
		c, err := call("127.0.0.1", "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, err := c.ask("/", line); got != "127.0.0.1 allowed" || err != nil {
			t.Errorf("%s is answered %q, %v", line, got, err)
		}
	}
	addr, _ := serve(t, "tcp", "127.0.0.1:0", mustNew(t, everybody(acl.FromProxy, "127.0.0.7")))
	c, err := call("127.0.0.1", "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.ask("/", "X-Forwarded-For: 1.1.1.1"); got != "127.0.0.1 allowed" || err != nil {
		t.Errorf("a client without a header is answered %q, %v", got, err)
	}
	c, err = call("127.0.0.1", "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n")
	// Nothing more is sent: what the server leaves unread would reset the connection under its answer.
	if got, err := c.answer(); err != nil || !strings.HasPrefix(got, "400 Bad Request") {
		t.Errorf("a PROXY header of a stranger is answered %q, %v", got, err)
	}
}

func TestAProxyBehindAUnixSocket(t *testing.T) {
	for from, want := range map[string]string{acl.FromXForwardedFor: "203.0.113.5 allowed", acl.FromProxy: "203.0.113.5 allowed"} {
		path := t.TempDir() + "/s"
		addr, _ := serve(t, "unix", path, mustNew(t, everybody(from, "unix")))
		c, err := call("", "unix", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if from == acl.FromProxy {
			_, _ = io.WriteString(c, "PROXY TCP4 203.0.113.5 10.0.0.1 1 1\r\n")
		}
		if got, err := c.ask("/", "X-Forwarded-For: 203.0.113.5"); got != want || err != nil {
			t.Errorf("%s: %q, %v", from, got, err)
		}
	}
}
