package drain_test

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// pipes is a listener of connections within the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// virtual serves connections within the process. In a bubble of synctest nothing is late: who does
// something in time does so on any machine.
func virtual(t *testing.T, h *http.Server, o drain.Options) *running {
	t.Helper()
	t.Cleanup(func() { time.Sleep(2 * time.Second) }) // virtual: who reads sees the end
	return serve(t, &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, h, o)
}

// dial is a client of a server that virtual has made.
func (r *running) dial(t *testing.T) *client {
	t.Helper()
	near, far := net.Pipe()
	r.l.(*pipes).conns <- far
	return clientOn(t, near)
}
