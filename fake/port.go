package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// ports are the sockets of a fake. They outlive the lives of its service, so that addresses
// stay what they were, and they know every connection, so that clients can be hung up on.
type ports struct {
	wanted map[string]int // port numbers by listener

	door func(*lease, *wire.Conn) bool // asked of each connection; false: it is not for the service, or not yet

	// A fault, of whatever tenant, makes trouble of connections, and may have left some there that is none of
	// the next call's.
	troubled atomic.Bool

	mu     sync.Mutex
	byName map[string]*port
	conns  map[*wire.Conn]struct{} // as many as the service's own limits let it accept
	peers  map[peer]*wire.Conn     // the same, by their other ends
	closed bool
}

// peer is the other end of a connection to a listener.
type peer struct {
	listener string
	addr     netip.AddrPort
}

func newPorts(wanted map[string]int) *ports {
	return &ports{wanted: maps.Clone(wanted), byName: map[string]*port{}, conns: map[*wire.Conn]struct{}{}, peers: map[peer]*wire.Conn{}}
}

// conn is the connection that a call has come by, nil when that is not known.
func (p *ports) conn(listener string, addr netip.AddrPort) *wire.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peers[peer{listener, addr}]
}

// inside is the service's World.Inside: faults that need plain text have it there.
func (p *ports) inside(listener string, c net.Conn) net.Conn {
	if outer := p.conn(listener, acl.AddrPort(c.RemoteAddr())); outer != nil {
		return outer.Inside(c)
	}
	return c
}

// open takes a connection in that was accepted.
func (p *ports) open(listener string, inner net.Conn) *wire.Conn {
	end := peer{listener, acl.AddrPort(inner.RemoteAddr())}
	var c *wire.Conn
	c = wire.New(inner, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
		if p.peers[end] == c { // another connection may have come from there since
			delete(p.peers, end)
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c], p.peers[end] = struct{}{}, c
	return c
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
		s = &port{TCPListener: l.(*net.TCPListener), name: name}
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
	name string

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

	lateMu sync.Mutex
	late   []*wire.Conn // delivered and not yet accepted, at most maxKept
	over   bool         // nothing is accepted any more
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
	for {
		inner, err := s.held, error(nil)
		if s.held = nil; inner == nil && !l.paused.Load() {
			inner, err = s.Accept()
		}
		if l.paused.Load() {
			s.held = inner
			return nil, errPaused
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Somebody has woken it: what was late is there, or it is paused by now. A look at both
			// comes after the deadline is lifted, so that who sets it again is not missed.
			if err := s.SetDeadline(time.Time{}); err != nil {
				return nil, err
			}
			if c := l.takeLate(); c != nil {
				return c, nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := l.ports.open(s.name, inner); l.ports.door(l, c) {
			return c, nil
		}
	}
}

// deliver has a connection accepted that was kept back until now. One that comes after the end of
// the lease is closed.
func (l *lease) deliver(c *wire.Conn) {
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	if l.over {
		_ = c.Close()
		return
	}
	l.late = append(l.late, c)
	_ = l.port.SetDeadline(time.Unix(1, 0)) // wakes Accept
}

// takeLate is the next connection that was delivered, nil if there is none.
func (l *lease) takeLate() *wire.Conn {
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	if len(l.late) == 0 {
		return nil
	}
	c := l.late[0]
	if l.late = l.late[1:]; len(l.late) > 0 {
		_ = l.port.SetDeadline(time.Unix(1, 0))
	}
	return c
}

// finish closes what was delivered too late.
func (l *lease) finish() {
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	l.over = true
	for _, c := range l.late {
		_ = c.Close()
	}
	l.late = nil
}

// Close implements net.Listener. When it returns no Accept of this lease is under way, which
// could take a connection from the next one.
func (l *lease) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.port.pause(l)
		l.finish()
	})
	return nil
}

// Addr implements net.Listener.
func (l *lease) Addr() net.Addr { return l.port.Addr() }
