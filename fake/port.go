package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ports are the sockets of a fake. They outlive the lives of its service, so that addresses
// stay what they were, and they know every connection, so that clients can be hung up on.
type ports struct {
	wanted map[string]int // port numbers by listener

	mu     sync.Mutex
	byName map[string]*port
	conns  map[*conn]struct{} // as many as the service's own limits let it accept
	closed bool
}

func newPorts(wanted map[string]int) *ports {
	return &ports{wanted: maps.Clone(wanted), byName: map[string]*port{}, conns: map[*conn]struct{}{}}
}

// check refuses numbers that no port has.
func (p *ports) check() error {
	for _, name := range slices.Sorted(maps.Keys(p.wanted)) {
		if n := p.wanted[name]; n < 0 || n > 65535 {
			return fmt.Errorf("port %d for listener %q: want 0 (any free one) to 65535", n, name)
		}
	}
	return nil
}

// listen is the service's World.Listen. Network and address are what production would bind;
// a fake binds loopback in their place.
func (p *ports) listen(ctx context.Context, name, _, _ string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, net.ErrClosed
	}
	s := p.byName[name]
	if s == nil {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.wanted[name])))
		if err != nil {
			return nil, fmt.Errorf("port %d on loopback: %w", p.wanted[name], err)
		}
		s = &port{TCPListener: l.(*net.TCPListener)}
		p.byName[name] = s
	}
	return s.lend(p)
}

// addr is the address of a listener, empty when there is none.
func (p *ports) addr(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byName[name]; s != nil {
		return s.Addr().String()
	}
	return ""
}

func (p *ports) all() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	addrs := make(map[string]string, len(p.byName))
	for name, s := range p.byName {
		addrs[name] = s.Addr().String()
	}
	return addrs
}

// known says for an error message which listeners there are.
func (p *ports) known() string {
	names := slices.Sorted(maps.Keys(p.all()))
	if len(names) == 0 {
		return "the service has none"
	}
	return "the service has " + strings.Join(names, ", ")
}

// hangUp cuts every connection and leaves new ones waiting in the sockets until the service
// has closed its listeners and opened others.
func (p *ports) hangUp() {
	p.mu.Lock()
	sockets := slices.Collect(maps.Values(p.byName))
	p.mu.Unlock()
	for _, s := range sockets {
		s.pause(s.current())
	}
	p.mu.Lock()
	conns := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// close frees the addresses. Nothing is accepted any more when it is called.
func (p *ports) close() {
	p.mu.Lock()
	p.closed = true
	sockets := slices.Collect(maps.Values(p.byName))
	p.mu.Unlock()
	for _, s := range sockets {
		s.close()
	}
}

// port is one socket.
type port struct {
	*net.TCPListener

	accepting sync.Mutex // held during Accept; guards held
	held      net.Conn   // accepted when it was too late for one lease, for the next one

	mu    sync.Mutex
	lease *lease // the current one
}

// lend makes the lease of a new life.
func (s *port) lend(p *ports) (*lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s.lease = &lease{ports: p, port: s, closed: make(chan struct{})}
	return s.lease, nil
}

// pause has l accept nothing any more, and returns when no Accept of it is under way.
func (s *port) pause(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.paused.Store(true)
	if s.lease != l {
		return
	}
	_ = s.SetDeadline(time.Unix(1, 0)) // wakes Accept; a closed socket needs no waking
	s.accepting.Lock()
	defer s.accepting.Unlock()
}

// current is the lease of the life that goes on.
func (s *port) current() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

func (s *port) close() {
	s.accepting.Lock()
	defer s.accepting.Unlock()
	_ = s.Close()
	if s.held != nil {
		_ = s.held.Close()
		s.held = nil
	}
}

// lease is a port in the hands of one life of the service: closing it ends the lease and
// leaves the socket open.
type lease struct {
	ports  *ports
	port   *port
	paused atomic.Bool
	once   sync.Once
	closed chan struct{}
}

// errPaused is told to nobody: Accept waits in its place.
var errPaused = errors.New("accepting is paused")

// Accept implements net.Listener.
func (l *lease) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err == errPaused {
		// A server that saw an error before it was told to stop would call it a failure.
		<-l.closed
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *lease) accept() (net.Conn, error) {
	s := l.port
	s.accepting.Lock()
	defer s.accepting.Unlock()
	inner, err := s.held, error(nil)
	if s.held = nil; inner == nil && !l.paused.Load() {
		inner, err = s.Accept()
	}
	if l.paused.Load() {
		s.held = inner
		return nil, errPaused
	}
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, ports: l.ports}
	l.ports.mu.Lock()
	defer l.ports.mu.Unlock()
	l.ports.conns[c] = struct{}{}
	return c, nil
}

// Close implements net.Listener. When it returns no Accept of this lease is under way, which
// could take a connection from the next one.
func (l *lease) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.port.pause(l)
	})
	return nil
}

// Addr implements net.Listener.
func (l *lease) Addr() net.Addr { return l.port.Addr() }

// conn is a connection that ports knows until it is closed.
type conn struct {
	net.Conn
	ports *ports
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.ports.mu.Lock()
	delete(c.ports.conns, c)
	c.ports.mu.Unlock()
	return c.Conn.Close()
}
