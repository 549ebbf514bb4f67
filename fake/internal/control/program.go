package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// maxConns bounds the connections of a control plane; more wait.
const maxConns = 256

// Program is a fake that runs as a program.
type Program struct {
	Control http.Handler
	Addr    string // where the control plane listens: host:port on loopback
	// Ready makes what tells whoever started the program where it is, as JSON, of the address of
	// the control plane.
	Ready  func(addr string) any
	Done   <-chan struct{} // closed when the fake has ended by itself; nil if it never does
	Stdout io.Writer
	Stdin  io.Reader // ends the program when it ends; nil: it does not
}

// Run serves the control plane, writes the line that says so, and returns when ctx, standard input
// or the fake has ended. It keeps a goroutine that reads Stdin, until that ends.
func (p Program) Run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", p.Addr)
	if err != nil {
		return fmt.Errorf("control plane: %w", err)
	}
	server := &http.Server{
		Handler:           p.Control,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(drain.NewGate(l, drain.Entry{MaxConns: maxConns})) }()
	defer server.Close()
	line, err := json.Marshal(p.Ready(l.Addr().String()))
	if err == nil {
		_, err = p.Stdout.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("ready line: %w", err)
	}
	var closed chan struct{} // blocks for ever without Stdin
	if p.Stdin != nil {
		closed = make(chan struct{})
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, p.Stdin) // an error is an end as well
		}()
	}
	select {
	case <-ctx.Done():
	case <-closed:
	case <-p.Done:
	case err := <-served:
		return fmt.Errorf("control plane: %w", err)
	}
	return nil
}

// Port is a port in text.
func Port(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, errors.New("want a port from 0 to 65535")
	}
	return int(n), nil
}

// Loopback is the port of an address that no other host can reach.
func Loopback(addr string) (int, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, errors.New("want host:port, such as 127.0.0.1:9090")
	}
	if host != "127.0.0.1" && host != "localhost" {
		return 0, fmt.Errorf("a fake listens on loopback only: want 127.0.0.1 or localhost, got %q", host)
	}
	return Port(port)
}
