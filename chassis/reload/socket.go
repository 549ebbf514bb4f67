//go:build unix

package reload

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// sameAddress reports whether both can share a socket although their names differ.
func (n socketName) sameAddress(o socketName) bool {
	return n.Network == o.Network && n.Address == o.Address && !strings.HasSuffix(n.Address, ":0")
}

// socket is a listening socket that the supervisor owns.
type socket struct {
	socketName
	file    *os.File
	foreign bool // from the service manager, whose path it is to remove
	kept    bool // of a supervisor that has died; the service manager has kept it for this one
}

// keptPrefix begins the names under which the service manager keeps sockets. It hands them in among
// its own, which have other names.
const keptPrefix = "kept "

// keptName is the name under which the service manager keeps a socket: it tells all by which the
// socket is found again.
func (n socketName) keptName() string {
	return keptPrefix + url.QueryEscape(n.Name) + " " + url.QueryEscape(n.Network) + " " + url.QueryEscape(n.Address)
}

// parseKept reads what keptName has written.
func parseKept(text string) (n socketName, ok bool) {
	rest, ok := strings.CutPrefix(text, keptPrefix)
	fields := strings.Split(rest, " ")
	if !ok || len(fields) != 3 {
		return socketName{}, false
	}
	for i, to := range []*string{&n.Name, &n.Network, &n.Address} {
		value, err := url.QueryUnescape(fields[i])
		if err != nil {
			return socketName{}, false
		}
		*to = value
	}
	return n, n.keptName() == text
}

// reachable reports whether clients can still find a socket: the path of one in the file system may
// have been removed while nobody served.
func (n socketName) reachable() bool {
	if n.Network != "unix" || strings.HasPrefix(n.Address, "@") {
		return true
	}
	_, err := os.Lstat(n.Address)
	return err == nil
}

// is reports whether both are one socket.
func (s *socket) is(f *os.File) bool {
	a, err := s.file.Stat()
	b, other := f.Stat()
	return err == nil && other == nil && os.SameFile(a, b)
}

// fdOf is the descriptor of f, valid until f is closed. os.File.Fd would make it blocking, for the
// workers as well: the mode belongs to what they share.
func fdOf(f *os.File) int {
	fd := -1
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(p uintptr) { fd = int(p) })
	}
	runtime.KeepAlive(f)
	return fd
}

// close closes the supervisor's descriptor. The path of a unix socket is removed with the last
// use of it.
func (s *socket) close(remove bool) error {
	err := s.file.Close()
	if remove && s.Network == "unix" && !s.foreign {
		if e := os.Remove(s.Address); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// fileListener is a listener of which a file can be had.
type fileListener interface {
	net.Listener
	File() (*os.File, error)
}

// bind opens a listening socket.
func bind(listen ListenFunc, name socketName) (*socket, error) {
	l, err := listen(name.Network, name.Address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, ok := l.(fileListener)
	if !ok {
		return nil, fmt.Errorf("listener of type %T has no file", l)
	}
	file, err := f.File()
	if err != nil {
		return nil, err
	}
	return &socket{socketName: name, file: file}, nil
}

// sockets are the listening sockets of a service, and those being opened for its next worker.
type sockets struct {
	listen    ListenFunc
	current   []*socket
	next      []opening
	inherited []*socket // from the service manager, until somebody asks for them; own ones until nobody has
}

// opening is a socket as the starting worker has asked for it: one of the current ones, maybe by
// another name, or a new one.
type opening struct {
	name   socketName
	socket *socket
}

// open returns the socket that the starting worker asks for.
func (s *sockets) open(name socketName) (*socket, error) {
	found := s.find(s.current, func(have *socket) bool { return have.socketName == name })
	if found == nil {
		found = s.find(s.current, func(have *socket) bool { return have.sameAddress(name) })
	}
	if found == nil {
		found = s.inherit(name)
	}
	if found == nil {
		var err error
		if found, err = bind(s.listen, name); err != nil {
			return nil, err
		}
	}
	s.next = append(s.next, opening{name, found})
	return found, nil
}

// find returns the first of list that matches and that the starting worker does not have yet.
func (s *sockets) find(list []*socket, match func(*socket) bool) *socket {
	for _, have := range list {
		if match(have) && !slices.ContainsFunc(s.next, func(o opening) bool { return o.socket == have }) {
			return have
		}
	}
	return nil
}

// inherit takes what the service manager has kept for name, which is as exact as with one that is
// current, or has opened for it: a socket of that name, or else one at that address.
func (s *sockets) inherit(name socketName) *socket {
	for _, match := range []func(have *socket) bool{
		func(have *socket) bool { return have.kept && have.socketName == name },
		func(have *socket) bool { return have.kept && have.sameAddress(name) },
		func(have *socket) bool { return have.foreign && have.Name == name.Name },
		func(have *socket) bool { return have.foreign && have.Address == boundAddress(name) },
	} {
		if found := s.find(s.inherited, match); found != nil {
			return s.pick(found)
		}
	}
	return nil
}

// pick takes one of the inherited sockets.
func (s *sockets) pick(one *socket) *socket {
	s.inherited = without(s.inherited, one)
	return one
}

// adopt makes f, which a worker that was taken over listens on, one of the current sockets. When
// the service manager has handed it in as well, its own is the one.
func (s *sockets) adopt(name socketName, f *os.File) {
	sock := s.pick(s.find(s.inherited, func(have *socket) bool { return have.is(f) }))
	if sock == nil {
		sock = &socket{file: f}
	} else {
		_ = f.Close()
	}
	sock.socketName = name
	s.current = append(s.current, sock)
}

// disown undoes adopt for all.
func (s *sockets) disown() {
	for _, have := range s.current {
		if have.foreign || have.kept {
			s.inherited = append(s.inherited, have)
		} else {
			_ = have.file.Close()
		}
	}
	s.current = nil
}

// boundAddress is how the kernel would write an address.
func boundAddress(name socketName) string {
	if name.Network == "unix" {
		return name.Address
	}
	addr, err := net.ResolveTCPAddr(name.Network, name.Address)
	if err != nil {
		return ""
	}
	if addr.IP == nil {
		return net.JoinHostPort("::", fmt.Sprint(addr.Port))
	}
	return addr.String()
}

// commit makes the sockets of the worker that has become ready the current ones, and closes those
// that it did not ask for, but for those that the service manager has opened.
func (s *sockets) commit() error {
	before := s.current
	s.current = nil
	for _, o := range s.next {
		o.socket.socketName = o.name
		s.current = append(s.current, o.socket)
	}
	s.next = nil
	for _, have := range slices.Clone(s.inherited) {
		if have.kept { // what the service had before
			before = append(before, s.pick(have))
		}
	}
	var errs []error
	for _, old := range before {
		if !slices.Contains(s.current, old) {
			errs = append(errs, old.close(!usesPath(s.current, old.Address)))
		}
	}
	return errors.Join(errs...)
}

// abandon closes what was opened for a worker that did not become ready.
func (s *sockets) abandon() error {
	var errs []error
	for _, o := range s.next {
		switch {
		case slices.Contains(s.current, o.socket):
		case o.socket.foreign || o.socket.kept:
			s.inherited = append(s.inherited, o.socket)
		default:
			errs = append(errs, o.socket.close(!usesPath(s.current, o.socket.Address)))
		}
	}
	s.next = nil
	return errors.Join(errs...)
}

// close closes everything. remove says that nobody uses the paths of unix sockets any more.
func (s *sockets) close(remove bool) error {
	errs := []error{s.abandon()}
	for _, have := range append(s.current, s.inherited...) {
		errs = append(errs, have.close(remove))
	}
	s.current, s.inherited = nil, nil
	return errors.Join(errs...)
}

func usesPath(list []*socket, path string) bool {
	for _, have := range list {
		if have.Network == "unix" && have.Address == path {
			return true
		}
	}
	return false
}

// errnoOf is the operating system's number of an error, 0 when it has none.
func errnoOf(err error) int {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return int(errno)
	}
	return 0
}
