package drain_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// single is a listener of one connection.
type single struct{ conns chan net.Conn }

func (l single) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l single) Close() error {
	close(l.conns)
	return nil
}

func (l single) Addr() net.Addr { return &net.TCPAddr{} }

// between is a server's end of a connection within the process, and the client's.
func between(t *testing.T, e drain.Entry) (server, client net.Conn) {
	l := single{make(chan net.Conn, 1)}
	client, far := net.Pipe()
	l.conns <- far
	g := drain.NewGate(l, e)
	server, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(server.Close(), client.Close(), g.Close())
		time.Sleep(2 * time.Second) // virtual: who reads sees it
	})
	return server, client
}

// reads takes n bytes every second, until an error.
func reads(c net.Conn, n int) {
	for b := make([]byte, n); ; time.Sleep(time.Second) { // virtual
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
	}
}

func TestAWriteEndsWhenItsPeerTakesNothing(t *testing.T) {
	const within = 30 * time.Second
	for what, c := range map[string]struct {
		rate int // bytes a second that the peer takes
		cut  bool
	}{"nothing": {0, true}, "too little": {200, true}, "enough": {300, false}} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := between(t, drain.Entry{WriteTimeout: within})
				if c.rate > 0 {
					go reads(client, c.rate)
				}
				begun := time.Now()
				const size = 300 * 600
				n, err := server.Write(make([]byte, size))
				took := time.Since(begun)
				if !c.cut {
					if n != size || err != nil {
						t.Errorf("wrote %d, %v in %v", n, err, took)
					}
					return
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || took < within || took > 2*within || n > c.rate*60 {
					t.Errorf("wrote %d, %v after %v", n, err, took)
				}
			})
		})
	}
}

func TestTheTimeOfAWriteBeginsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 30 * time.Second
		server, client := between(t, drain.Entry{WriteTimeout: within})
		go reads(client, 1)
		for _, pause := range []time.Duration{0, within - time.Second, within, time.Hour} {
			time.Sleep(pause) // virtual
			if n, err := server.Write([]byte("ab")); n != 2 || err != nil {
				t.Errorf("after %v: %d, %v", pause, n, err)
			}
		}
		// Deadlines of others count instead, until they are lifted.
		begun := time.Now()
		_ = server.SetWriteDeadline(begun.Add(5 * time.Second))
		if _, err := server.Write(make([]byte, 1000)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		_ = server.SetWriteDeadline(time.Time{})
		begun = time.Now()
		if _, err := server.Write(make([]byte, 1000)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != within {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestWithoutABoundAWriteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := between(t, drain.Entry{})
		go func() {
			time.Sleep(24 * time.Hour) // virtual
			_, _ = io.Copy(io.Discard, client)
		}()
		if n, err := server.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestAClientThatDoesNotReadHoldsNoHandler(t *testing.T) {
	clean(t)
	const size = 8 << 20 // more than kernels keep for a client with a small buffer
	path := filepath.Join(t.TempDir(), "large")
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	config, _ := certificate(t)
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/bytes":
			_, err = w.Write(content)
		case "/reader":
			_, err = io.Copy(w, bytes.NewBuffer(content))
		case "/file":
			var f *os.File
			if f, err = os.Open(path); err == nil {
				defer f.Close()
				w.Header().Set("Content-Length", strconv.Itoa(size))
				_, err = io.Copy(w, f)
			}
		case "/part":
			var f *os.File
			if f, err = os.Open(path); err == nil {
				defer f.Close()
				w.Header().Set("Content-Length", strconv.Itoa(size-1))
				_, err = io.CopyN(w, f, size-1)
			}
		}
		ended <- err
	})
	for what, o := range map[string]drain.Options{"in plain text": {}, "with TLS": {TLS: config}} {
		for _, path := range []string{"/bytes", "/reader", "/file", "/part"} {
			t.Run(path+" "+what, func(t *testing.T) {
				o := o
				o.Entry.WriteTimeout = 250 * time.Millisecond
				s := start(t, h, o)
				ask(t, s.addr, o.TLS != nil, path)
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the handler ended with %v", err)
				}
				until(t, "the connection is closed", func() bool { return s.Stats().Conns == 0 })
				// One that reads after all, again and again, loses no byte.
				o.Entry.WriteTimeout = 30 * time.Second // a busy machine may be late to read
				s = start(t, h, o)
				c := ask(t, s.addr, o.TLS != nil, path)
				read := 0
				for buf := make([]byte, 2<<20); ; time.Sleep(20 * time.Millisecond) { // slow it is
					n, err := io.ReadFull(c, buf)
					if !bytes.Equal(buf[:n], content[read%16:][:n]) {
						t.Fatalf("after %d bytes: other ones", read)
					}
					if read += n; err != nil {
						break
					}
				}
				if read < size-1 {
					t.Errorf("got %d bytes of %d", read, size)
				}
				if err := <-ended; err != nil {
					t.Errorf("the handler ended with %v", err)
				}
			})
		}
	}
}

// ask sends a request. What it returns reads the body of the answer, and nothing before it is
// read from.
func ask(t *testing.T, addr string, secure bool, path string) io.Reader {
	t.Helper()
	c := dial(t, addr)
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if secure {
		c = clientOn(t, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}))
	}
	c.send(t, get(path))
	return &answer{client: c}
}

// answer reads the body of an answer.
type answer struct {
	client *client
	body   io.Reader
}

func (a *answer) Read(p []byte) (int, error) {
	if a.body == nil {
		res, err := http.ReadResponse(a.client.r, nil)
		if err != nil {
			return 0, err
		}
		a.body = res.Body
	}
	return a.body.Read(p)
}

func TestADeadlineForBothEndsReadsAndWritesAlike(t *testing.T) {
	clean(t)
	server, client := net.Pipe()
	defer client.Close()
	w := drain.Wire(server, time.Hour)
	defer w.Close()
	const soon = 20 * time.Millisecond
	if err := w.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.SetDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	}
}
