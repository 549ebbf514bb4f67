package drain_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// running is a server under test.
type running struct {
	*drain.Server
	addr   string
	l      net.Listener
	served chan error
}

// named answers with its name, the path and the length of the body.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s %s %d", name, r.URL.Path, len(body))
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func start(t testing.TB, h http.Handler, o drain.Options) *running {
	t.Helper()
	return serve(t, listen(t), &http.Server{Handler: h}, o)
}

func serve(t testing.TB, l net.Listener, h *http.Server, o drain.Options) *running {
	t.Helper()
	r := &running{Server: drain.New(h, o), addr: l.Addr().String(), l: l, served: make(chan error, 1)}
	go func() { r.served <- r.Serve(l) }()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// sharing serves h on another descriptor of r's listening socket, as a successor process does.
func (r *running) sharing(t testing.TB, h http.Handler, o drain.Options) *running {
	t.Helper()
	f, err := r.l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, &http.Server{Handler: h}, o)
}

// clean fails the test if it leaves goroutines or descriptors behind. Call it first.
func clean(t testing.TB) {
	t.Helper()
	listen(t).Close() // the runtime keeps two descriptors from the first use of the network
	goroutines, files := runtime.NumGoroutine(), descriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines || descriptors() > files; runtime.Gosched() {
			if time.Now().After(end) {
				buf := make([]byte, 1<<16)
				t.Fatalf("left behind: %d goroutines of %d, %d descriptors of %d\n%s",
					runtime.NumGoroutine()-goroutines, runtime.NumGoroutine(), descriptors()-files, descriptors(), buf[:runtime.Stack(buf, true)])
			}
		}
	})
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// until fails the test if what does not become true.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// quick runs try until one run took less than limit, and fails after the fifth: a busy machine may hold
// up any of them, what is slow by itself holds up all.
func quick(t *testing.T, limit time.Duration, try func(*testing.T) time.Duration) {
	t.Helper()
	var took time.Duration
	for range 5 {
		if took = try(t); took < limit {
			return
		}
	}
	t.Errorf("it took %v, want less than %v", took, limit)
}

// within is a context for what should take far less.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// draining starts a Drain; the channel has its result.
func draining(t testing.TB, s *running, how drain.Leave) chan error {
	ctx, done := within(t, 40*time.Second), make(chan error, 1)
	go func() { done <- s.Drain(ctx, how) }()
	return done
}

func drained(t testing.TB, done chan error) {
	t.Helper()
	if err := <-done; err != nil {
		t.Fatalf("Drain: %v", err)
	}
}

// client is a connection whose owner never retries.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return clientOn(t, c)
}

func clientOn(t testing.TB, c net.Conn) *client {
	_ = c.SetDeadline(time.Now().Add(40 * time.Second))
	t.Cleanup(func() { c.Close() })
	return &client{c, bufio.NewReader(c)}
}

func (c *client) send(t testing.TB, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func (c *client) receive() (string, *http.Response, error) {
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", nil, err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), res, err
}

// want reads an answer and compares.
func (c *client) want(t testing.TB, body string) *http.Response {
	t.Helper()
	got, res, err := c.receive()
	if err != nil {
		t.Fatalf("no answer, want %q: %v", body, err)
	}
	if got != body {
		t.Fatalf("answer %q, want %q", got, body)
	}
	return res
}

// wantMove asks until the server called new answers: a request that comes together with the end
// of the last answer is still read by the old one.
func (c *client) wantMove(t testing.TB) {
	t.Helper()
	until(t, "it moves", func() bool {
		c.send(t, get("/move"))
		got, _, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		if got != "old /move 0" && got != "new /move 0" {
			t.Fatalf("answer %q", got)
		}
		return got == "new /move 0"
	})
}

// wantEnd reads to the end of the connection.
func (c *client) wantEnd(t testing.TB) {
	t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		t.Fatalf("read %q, %v; want the end", b, err)
	}
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n" }

func post(path string, n int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, n, strings.Repeat("x", n))
}

// passTo gives connections to next the way processes do: descriptors over a unix socket, and an
// acknowledgement for each.
func passTo(t testing.TB, next *running) func(syscall.Conn, []byte) error {
	t.Helper()
	const lanes = 4
	free := make(chan *net.UnixConn, lanes)
	var receivers sync.WaitGroup
	for range lanes {
		near, far := socketPair(t)
		free <- near
		receivers.Go(func() { receive(t, far, next) })
		t.Cleanup(func() { near.Close() })
	}
	return func(c syscall.Conn, note []byte) error {
		message := []byte{0}
		if note != nil {
			message = append([]byte{1}, note...)
		}
		lane := <-free
		defer func() { free <- lane }()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		var sent error
		err = raw.Control(func(fd uintptr) {
			_, _, sent = lane.WriteMsgUnix(message, syscall.UnixRights(int(fd)), nil)
		})
		if err = errors.Join(err, sent); err != nil {
			return err
		}
		ack := make([]byte, 1)
		if _, err := io.ReadFull(lane, ack); err != nil {
			return err
		}
		if ack[0] != 1 {
			return errors.New("not adopted")
		}
		return nil
	}
}

func socketPair(t testing.TB) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func receive(t testing.TB, far *net.UnixConn, next *running) {
	defer far.Close()
	b, oob := make([]byte, 128), make([]byte, 64)
	for {
		n, oobn, _, _, err := far.ReadMsgUnix(b, oob)
		if err != nil || n == 0 {
			return
		}
		ack := byte(0)
		if messages, err := syscall.ParseSocketControlMessage(oob[:oobn]); err != nil {
			t.Error(err)
		} else if fds, err := syscall.ParseUnixRights(&messages[0]); err != nil {
			t.Error(err)
		} else {
			f := os.NewFile(uintptr(fds[0]), "received")
			c, err := net.FileConn(f)
			f.Close()
			if err != nil {
				t.Error(err)
			} else if err := next.Adopt(c, noteIn(b[:n]), nil); err != nil {
				c.Close()
			} else {
				ack = 1
			}
		}
		if _, err := far.Write([]byte{ack}); err != nil {
			return
		}
	}
}

// noteIn is the note in a message of passTo.
func noteIn(message []byte) []byte {
	if message[0] == 0 {
		return nil
	}
	return append([]byte{}, message[1:]...)
}

// delays are the times that a packet takes one way.
func delays(t *testing.T, f func(t *testing.T, delay time.Duration)) {
	for _, d := range []time.Duration{0, 2 * time.Millisecond} {
		t.Run(fmt.Sprintf("at %v each way", d), func(t *testing.T) { f(t, d) })
	}
}

// delayed is the address of something that passes connections on to addr, delay later.
func delayed(t testing.TB, addr string, delay time.Duration) string {
	t.Helper()
	if delay == 0 {
		return addr
	}
	l := listen(t)
	var mu sync.Mutex
	var pairs sync.WaitGroup
	var open []net.Conn
	pairs.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			mu.Lock()
			open = append(open, near, far)
			mu.Unlock()
			pairs.Go(func() { carry(far, near, delay) })
			pairs.Go(func() { carry(near, far, delay) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		pairs.Wait()
	})
	return l.Addr().String()
}

// carry copies from one end to the other, each byte delay after it came, the end as well.
func carry(to, from net.Conn, delay time.Duration) {
	type piece struct {
		b  []byte
		at time.Time
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			pieces <- piece{b[:n], time.Now().Add(delay)}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at)) // the delay is what this is for
		if _, err := to.Write(p.b); err != nil {
			from.Close()
		}
	}
	_ = to.(*net.TCPConn).CloseWrite()
}
