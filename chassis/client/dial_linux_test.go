package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// swallows is an address on loopback that answers nobody, until the test ends.
func swallows(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // nobody accepts those that wait, and the kernel drops what comes when there are a few
		waiting, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(waiting) })
		if err := syscall.Connect(waiting, name); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

func TestADialDoesNotGoOnForLongAfterItsRequest(t *testing.T) {
	dialed := make(chan error, 1)
	s := &service{rand: rand.Reader, registry: prometheus.NewRegistry()}
	cfg := client.Config{URL: "http://" + swallows(t), Timeout: 500 * time.Millisecond, Retry: retry.Config{Attempts: 1}}
	games, err := client.New(s, "game", cfg, func(tr *http.Transport) {
		dial := tr.DialContext
		if dial == nil {
			t.Fatal("the client leaves it to the operating system for how long to dial")
		}
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			dialed <- err
			return c, err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(t)
	// It says that the time of the request is over, not what became of the connection.
	if a := do(games, req(t.Context(), t, "GET", "/", nil)); !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("the request ended with %v", a.err)
	}
	var timeout net.Error
	if err := <-dialed; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("the dial ended with %v", err)
	}
}
