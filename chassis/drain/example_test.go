package drain_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// One client connection, two servers: the second goes on where the first leaves off.
func Example() {
	serve := func(name string) (*drain.Server, net.Listener) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		s := drain.New(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, name)
		})}, drain.Options{})
		go func() { _ = s.Serve(l) }()
		return s, l
	}
	old, l := serve("the old one")
	next, _ := serve("the new one")
	defer next.Close()

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	answers := bufio.NewReader(client)
	ask := func() {
		fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		body := make([]byte, answer.ContentLength)
		_, _ = answer.Body.Read(body)
		fmt.Printf("%s\n", body)
	}
	ask()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = old.Drain(ctx, drain.Leave{Give: func(c syscall.Conn, note []byte) error {
		// A real one sends the descriptor to another process (SCM_RIGHTS) and waits for its
		// acknowledgement. The duplicate here is what such a process would receive.
		file, err := c.(*net.TCPConn).File()
		if err != nil {
			return err
		}
		defer file.Close()
		received, err := net.FileConn(file)
		if err != nil {
			return err
		}
		return next.Adopt(received, note, nil)
	}})
	fmt.Println("drained:", err, "- given:", old.Stats().Given)
	ask()
	// Output:
	// the old one
	// drained: <nil> - given: 1
	// the new one
}

// A gate ends accepting while its server believes that the listener is open.
func ExampleGate() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	gate := drain.NewGate(l, drain.Entry{})
	accepted := make(chan net.Conn)
	ended := make(chan error)
	go func() {
		for {
			c, err := gate.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	c := <-accepted

	gate.Quiesce()
	_, err = net.Dial("tcp", l.Addr().String())
	fmt.Println("another one is let in:", err == nil)
	fmt.Println("open:", gate.Conns(), "fresh:", gate.Fresh())
	fmt.Fprint(c, "hello")
	fmt.Println("open:", gate.Conns(), "fresh:", gate.Fresh())
	c.Close()
	gate.Close()
	fmt.Println(<-ended)
	// Output:
	// another one is let in: false
	// open: 1 fresh: 1
	// open: 1 fresh: 0
	// use of closed network connection
}
