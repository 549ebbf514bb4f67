//go:build unix

package reload

import (
	"net"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// inheritSockets takes over what the service manager has opened for the service, or kept for it.
func (s *supervisor) inheritSockets() error {
	handed, err := systemd.Sockets(getenv(s.Environ))
	if err != nil {
		return err
	}
	for _, h := range handed {
		if name, ok := parseKept(h.Name); ok {
			s.inheritKept(h.Name, &socket{socketName: name, file: h.File, kept: true})
			continue
		}
		sock := &socket{socketName: socketName{Name: h.Name}, file: h.File, foreign: true}
		if l, err := net.FileListener(h.File); err == nil {
			sock.Network, sock.Address = l.Addr().Network(), l.Addr().String()
			_ = l.Close()
		} else {
			s.log.Warn("the service manager handed in a descriptor that nothing listens on", "name", h.Name, "error", err)
			_ = h.File.Close()
			continue
		}
		s.sockets.inherited = append(s.sockets.inherited, sock)
	}
	return nil
}

// inheritKept takes back what the service manager has kept of a supervisor that has died. That two
// have one name means that it was not heard that the first is not used any more: neither is.
func (s *supervisor) inheritKept(as string, sock *socket) {
	_, twice := s.stored[as]
	s.stored[as] = sock
	if !twice && sock.reachable() {
		s.sockets.inherited = append(s.sockets.inherited, sock)
		return
	}
	first := s.sockets.find(s.sockets.inherited, func(have *socket) bool { return have.kept && have.socketName == sock.socketName })
	for _, have := range []*socket{s.sockets.pick(first), sock} {
		if have != nil {
			_ = have.close(true) // it may be gone, which is why
		}
	}
	s.tell(s.notify.Remove(as))
	delete(s.stored, as)
}
