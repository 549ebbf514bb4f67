package systemd_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// manager is a service manager's end of NOTIFY_SOCKET.
type manager struct {
	socket string
	conn   *net.UnixConn
}

// listen binds the socket at a path of the test's own, or at the name given.
func listen(t *testing.T, socket string) *manager {
	t.Helper()
	if socket == "" {
		socket = filepath.Join(t.TempDir(), "notify")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{socket: socket, conn: conn}
}

// notifier is what a service started by the manager gets, with further variables as NAME=value.
func (m *manager) notifier(t *testing.T, variables ...string) *systemd.Notifier {
	t.Helper()
	n, err := systemd.FromEnv(environment(append(variables, "NOTIFY_SOCKET="+m.socket)...))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// next is the next datagram, and what descriptors came with it.
func (m *manager) next(t *testing.T) (string, []*os.File) {
	t.Helper()
	message, control := make([]byte, 8192), make([]byte, 1024)
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, controls, flags, _, err := m.conn.ReadMsgUnix(message, control)
	if err != nil {
		t.Fatal(err)
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		t.Fatalf("the datagram was cut: flags %#x", flags)
	}
	parts, err := unix.ParseSocketControlMessage(control[:controls])
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for _, part := range parts {
		descriptors, err := unix.ParseUnixRights(&part)
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range descriptors {
			file := os.NewFile(uintptr(fd), "received")
			t.Cleanup(func() { file.Close() })
			files = append(files, file)
		}
	}
	return string(message[:n]), files
}

// expect fails the test unless exactly this datagram comes next, without a descriptor, and no other after it.
func (m *manager) expect(t *testing.T, want string) {
	t.Helper()
	got, files := m.next(t)
	if got != want || len(files) != 0 {
		t.Errorf("got %q and %d descriptors, want %q and none", got, len(files), want)
	}
	m.quiet(t)
}

// quiet fails the test if a datagram is waiting: one is, the moment that its sender returns.
func (m *manager) quiet(t *testing.T) {
	t.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		waiting := make([]byte, 8192)
		n, _, err := unix.Recvfrom(int(fd), waiting, unix.MSG_DONTWAIT)
		if err != unix.EAGAIN {
			t.Errorf("got %q, %v, want nothing", waiting[:max(n, 0)], err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// environment is a getenv of NAME=value entries.
func environment(entries ...string) func(string) string {
	values := map[string]string{}
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

// own is an entry whose value is this process.
func own(name string) string {
	return fmt.Sprintf("%s=%d", name, os.Getpid())
}
