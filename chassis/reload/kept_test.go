//go:build unix

package reload

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// copied is the descriptor that a worker has of a socket.
func copied(t *testing.T, of *socket) *os.File {
	t.Helper()
	fd, err := syscall.Dup(fdOf(of.file))
	must(t, err)
	return os.NewFile(uintptr(fd), "copy")
}

// listening is a socket that listens where the system likes, as if that were configured.
func listening(t *testing.T, name string) *socket {
	t.Helper()
	made, err := bind(net.Listen, socketName{name, "tcp", "127.0.0.1:0"})
	must(t, err)
	l, err := net.FileListener(made.file)
	must(t, err)
	made.Address = l.Addr().String()
	must(t, l.Close())
	t.Cleanup(func() { _ = made.file.Close() })
	return made
}

// keeping is a supervisor whose service manager keeps sockets, and what that is told.
func keeping(t *testing.T) (*supervisor, func() string) {
	t.Helper()
	path := shortDir(t) + "/notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { _ = manager.Close() })
	s := quiet(t, "NOTIFY_SOCKET="+path)
	s.notify, err = systemd.FromEnv(getenv(s.Environ))
	must(t, err)
	if !s.notify.Enabled() {
		t.Skip("there is no service manager on this system")
	}
	return s, func() string {
		b, n := make([]byte, 4096), 0
		raw, err := manager.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) {
			n, _, _ = syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT) // what is told is there when store returns
		}))
		n = max(n, 0)
		return strings.ReplaceAll(string(b[:n]), "\n", " ")
	}
}

// keep hands s what the service manager has kept.
func keep(s *supervisor, sock *socket) {
	sock.kept = true
	s.inheritKept(sock.keptName(), sock)
}

func TestASocketThatWasKeptIsFoundByNameAndAddressOnly(t *testing.T) {
	s, told := keeping(t)
	before, other := listening(t, "http"), listening(t, "grpc")
	keep(s, before)
	keep(s, other)
	// Of the same name and at another address it is another one, and at its own it is the one by any name.
	now, err := s.sockets.open(socketName{"http", "tcp", "127.0.0.1:0"})
	must(t, err)
	same, err := s.sockets.open(socketName{"rpc", "tcp", other.Address})
	must(t, err)
	if now == before || same != other {
		t.Fatalf("opened %+v and %+v, kept %+v and %+v", now, same, before, other)
	}
	must(t, s.sockets.abandon())
	if len(s.sockets.inherited) != 2 {
		t.Fatalf("a start that failed lost what was kept: %+v", s.sockets.inherited)
	}
	same, err = s.sockets.open(socketName{"rpc", "tcp", other.Address})
	must(t, err)
	must(t, s.sockets.commit())
	grpc := "FDNAME=kept grpc tcp 127.0.0.1%3A" + port(other)
	http := "FDNAME=kept http tcp 127.0.0.1%3A" + port(before)
	s.store()
	got := map[string]bool{told(): true, told(): true, told(): true}
	for _, want := range []string{"FDSTOREREMOVE=1 " + grpc, "FDSTOREREMOVE=1 " + http, "FDSTORE=1 FDNAME=kept rpc tcp 127.0.0.1%3A" + port(other)} {
		if !got[want] {
			t.Errorf("told %v, want %q", got, want)
		}
	}
	if err := before.file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("what nobody has asked for stays open: %v", err)
	}
	if len(s.sockets.current) != 1 || s.sockets.current[0] != same || len(s.sockets.inherited) != 0 {
		t.Errorf("sockets %+v", s.sockets)
	}
	s.store()
	if more := told(); more != "" {
		t.Errorf("told once more: %q", more)
	}
	must(t, s.sockets.close(true))
}

// port is that at which sock listens.
func port(sock *socket) string { return sock.Address[strings.LastIndex(sock.Address, ":")+1:] }

func TestOfWhatWasKeptAWorkerThatIsTakenOverHasTheOneThatItListensOn(t *testing.T) {
	s, told := keeping(t)
	stale, serving := listening(t, "http"), listening(t, "http")
	keep(s, stale)
	keep(s, serving)
	s.sockets.adopt(serving.socketName, copied(t, serving))
	if len(s.sockets.current) != 1 || s.sockets.current[0] != serving {
		t.Fatalf("it has %+v, want %+v", s.sockets.current[0], serving)
	}
	s.sockets.disown() // a newer worker is taken over as well
	s.sockets.adopt(serving.socketName, copied(t, serving))
	if s.sockets.current[0] != serving {
		t.Fatalf("it has %+v, want %+v", s.sockets.current[0], serving)
	}
	// A stop lets go of both at once: the service manager's copy lets clients in as well.
	s.stopping = time.Now()
	s.release()
	for range 2 {
		if got := told(); !strings.HasPrefix(got, "FDSTOREREMOVE=1 FDNAME=kept http tcp 127.0.0.1%3A") {
			t.Errorf("told %q", got)
		}
	}
	for _, sock := range []*socket{stale, serving} {
		if _, err := net.Dial("tcp", sock.Address); err == nil {
			t.Errorf("%s lets clients in after the stop has begun", sock.Address)
		}
	}
}

func TestASocketThatWasKeptInVainIsLetGoOf(t *testing.T) {
	s, told := keeping(t)
	dir := shortDir(t)
	opened := func(path string) *socket {
		made, err := bind(net.Listen, socketName{"http", "unix", path})
		must(t, err)
		return made
	}
	lost := opened(dir + "/lost")
	must(t, os.Remove(dir+"/lost"))
	keep(s, lost)
	first := opened(dir + "/twice")
	must(t, os.Remove(dir+"/twice"))
	second := opened(dir + "/twice")
	keep(s, first)
	keep(s, second)
	if len(s.sockets.inherited) != 0 || len(s.stored) != 0 {
		t.Errorf("kept %+v, stored %v", s.sockets.inherited, s.stored)
	}
	for _, want := range []string{lost.keptName(), first.keptName()} {
		if got := told(); got != "FDSTOREREMOVE=1 FDNAME="+want {
			t.Errorf("told %q, want that %q is not used", got, want)
		}
	}
	for _, sock := range []*socket{lost, first, second} {
		if err := sock.file.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s stays open: %v", sock.Address, err)
		}
	}
	if _, err := os.Lstat(dir + "/twice"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its path is left: %v", err)
	}
	abstract := socketName{"http", "unix", "@abstract"}
	if !abstract.reachable() {
		t.Error("an address that is no path in the file system is looked for there")
	}
}

func FuzzNamesOfKeptSockets(f *testing.F) {
	f.Add("http", "tcp", "127.0.0.1:8080")
	f.Add("admin", "unix", "/run/a b%:c.sock")
	f.Add("kept http tcp ", "", "%zz")
	f.Fuzz(func(t *testing.T, name, network, address string) {
		for _, text := range []string{name, keptPrefix + name + " " + network + " " + address} {
			if n, ok := parseKept(text); ok && n.keptName() != text {
				t.Errorf("%q was read as %+v", text, n)
			}
		}
		want := socketName{name, network, address}
		text := want.keptName()
		if got, ok := parseKept(text); !ok || got != want {
			t.Errorf("%+v came back as %+v", want, got)
		}
		for _, c := range []byte(text) {
			if c < ' ' || c > '~' || c == ':' {
				t.Errorf("%q has %q in it, which systemd does not take", text, c)
			}
		}
	})
}
