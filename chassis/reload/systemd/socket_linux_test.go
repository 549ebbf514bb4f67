package systemd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// inService makes the test binary, run again, the service that is handed sockets.
const inService = "ROADWORTHY_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(inService) != "" {
		if err := service(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// handed is what the service says about itself, on its standard output.
type handed struct {
	Names      []string
	Inherited  string   // which of the sockets' descriptors a child process has
	Environ    []string // the variables of systemd in that child
	ListenFDS  string   // LISTEN_FDS of the service itself, after all
	ListenAddr string   // LISTEN_ADDR of the child
}

// service takes its sockets over, reports, and answers one connection on each with its name.
func service() error {
	sockets, err := systemd.Sockets(os.Getenv)
	if err != nil {
		return err
	}
	var report handed
	for _, s := range sockets {
		report.Names = append(report.Names, s.Name)
	}
	child := exec.Command("/bin/sh", "-c", `for fd; do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done`, "sh")
	for i := range sockets {
		child.Args = append(child.Args, strconv.Itoa(3+i))
	}
	child.Env = systemd.Clean(os.Environ())
	inherited, err := child.Output()
	if err != nil {
		return err
	}
	report.Inherited = string(inherited)
	for _, entry := range child.Env {
		name, value, _ := strings.Cut(entry, "=")
		if name == "LISTEN_ADDR" {
			report.ListenAddr = value
		} else if name == "NOTIFY_SOCKET" || strings.HasPrefix(name, "WATCHDOG_") || strings.HasPrefix(name, "LISTEN_") {
			report.Environ = append(report.Environ, entry)
		}
	}
	report.ListenFDS = os.Getenv("LISTEN_FDS")
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	for _, s := range sockets {
		if err := answer(s); err != nil {
			return err
		}
	}
	return nil
}

func answer(s systemd.Socket) error {
	l, err := net.FileListener(s.File)
	if err != nil {
		return err
	}
	defer l.Close()
	s.File.Close()
	// A test that was killed connects no more.
	if err := l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "this is %q", s.Name)
	return err
}

// connect tries for as long as nobody listens there yet.
func connect(t *testing.T, network, address string) net.Conn {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	conn, err := net.Dial(network, address)
	for err != nil && time.Now().Before(deadline) {
		<-time.After(time.Millisecond)
		conn, err = net.Dial(network, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	return conn
}

// expectAnswer fails the test unless the service says just this to whoever has connected.
func expectAnswer(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	if got, err := io.ReadAll(conn); err != nil || string(got) != want {
		t.Errorf("%v says %q, %v, want %q", conn.RemoteAddr(), got, err, want)
	}
}

// start runs a command that becomes the service; whatever happens, it is gone when the test ends.
func start(t *testing.T, cmd *exec.Cmd) *json.Decoder {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		if t.Failed() {
			_ = cmd.Process.Kill()
		}
		err := cmd.Wait()
		limit.Stop()
		if err != nil || t.Failed() {
			t.Errorf("the service ended with %v and said %q", err, problems.String())
		}
	})
	return json.NewDecoder(out)
}

func TestAServiceServesOnTheSocketsItIsHanded(t *testing.T) {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	path := filepath.Join(t.TempDir(), "admin")
	admin, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	// LISTEN_PID is known to the process alone that becomes the service.
	cmd := exec.Command("/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0"`, os.Args[0])
	cmd.Env = append(systemd.Clean(os.Environ()), inService+"=1", "LISTEN_FDS=3", "LISTEN_FDNAMES=web:unknown:admin",
		"NOTIFY_SOCKET=/nowhere", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "LISTEN_PIDFDID=1", "LISTEN_ADDR=:8080")
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer spare.Close()
	for _, l := range []net.Listener{web, spare, admin} {
		file, err := l.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	reports := start(t, cmd)
	var got handed
	if err := reports.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := []string{"web", "", "admin"}; !slices.Equal(got.Names, want) {
		t.Errorf("the sockets are %q, want %q", got.Names, want)
	}
	if got.Inherited != "" {
		t.Errorf("a child process has inherited descriptors %q", got.Inherited)
	}
	if got.Environ != nil || got.ListenAddr != ":8080" {
		t.Errorf("a child process hears %q and LISTEN_ADDR=%q, want nothing of systemd and :8080", got.Environ, got.ListenAddr)
	}
	if got.ListenFDS != "3" {
		t.Errorf("the service's own LISTEN_FDS has become %q", got.ListenFDS)
	}
	for _, c := range []struct{ network, address, want string }{
		{"tcp", web.Addr().String(), `this is "web"`},
		{"tcp", spare.Addr().String(), `this is ""`},
		{"unix", path, `this is "admin"`},
	} {
		expectAnswer(t, connect(t, c.network, c.address), c.want)
	}
}

func TestSystemdSocketActivateHandsItsSocketsIn(t *testing.T) {
	program := need.Program(t, "systemd-socket-activate", "systemd")
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	cmd := exec.Command(program, "-l", first, "-l", second, "--fdname=web:admin", "-E", inService+"=1", os.Args[0])
	reports := start(t, cmd)
	// It binds them in this order, and a connection to the second starts the service.
	admin := connect(t, "unix", second)
	var got handed
	if err := reports.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := []string{"web", "admin"}; !slices.Equal(got.Names, want) {
		t.Errorf("the sockets are %q, want %q", got.Names, want)
	}
	if got.Inherited != "" || got.Environ != nil {
		t.Errorf("a child process has inherited descriptors %q and variables %q", got.Inherited, got.Environ)
	}
	expectAnswer(t, connect(t, "unix", first), `this is "web"`)
	expectAnswer(t, admin, `this is "admin"`)
}

// pipes puts the reading ends of pipes at consecutive descriptors, inheritable, and returns the
// first one's number with the writing ends.
func pipes(t *testing.T, count int) (int, []*os.File) {
	t.Helper()
	const first = 300
	var writers []*os.File
	for i := range count {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		writers = append(writers, w)
		raw, err := r.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			copied, err := unix.FcntlInt(fd, unix.F_DUPFD, first+i)
			if err != nil || copied != first+i {
				t.Errorf("descriptor %d cannot be had: got %d, %v", first+i, copied, err)
			}
		})
		r.Close()
		if err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
	return first, writers
}

func TestEverySocketHasItsNameAndClosesOnExec(t *testing.T) {
	for _, c := range []struct {
		names string
		want  []string
		files []string
	}{
		{"", []string{"", ""}, []string{"LISTEN_FDS descriptor 300", "LISTEN_FDS descriptor 301"}},
		{"web:web", []string{"web", "web"}, []string{"web", "web"}},
		{"unknown:", []string{"", ""}, []string{"LISTEN_FDS descriptor 300", "LISTEN_FDS descriptor 301"}},
	} {
		t.Run("names "+c.names, func(t *testing.T) {
			first, writers := pipes(t, 2)
			sockets, err := systemd.SocketsFrom(first, environment(own("LISTEN_PID"), "LISTEN_FDS=2", "LISTEN_FDNAMES="+c.names))
			if err != nil {
				t.Fatal(err)
			}
			if len(sockets) != 2 {
				t.Fatalf("got %d, want 2", len(sockets))
			}
			for i, s := range sockets {
				defer s.File.Close()
				if s.Name != c.want[i] || s.File.Name() != c.files[i] {
					t.Errorf("got %q in file %q, want %q in %q", s.Name, s.File.Name(), c.want[i], c.files[i])
				}
				flags, err := unix.FcntlInt(uintptr(first+i), unix.F_GETFD, 0)
				if err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor %d has flags %#x, %v", first+i, flags, err)
				}
				text := fmt.Sprintf("through pipe %d", i)
				if _, err := writers[i].WriteString(text); err != nil {
					t.Fatal(err)
				}
				writers[i].Close()
				if got, err := io.ReadAll(s.File); err != nil || string(got) != text {
					t.Errorf("got %q, %v, want %q", got, err, text)
				}
			}
		})
	}
}

func TestWhatIsNotForThisProcessIsLeftAlone(t *testing.T) {
	for name, entries := range map[string][]string{
		"nothing set":     nil,
		"no process":      {"LISTEN_FDS=1"},
		"no count":        {own("LISTEN_PID")},
		"another process": {"LISTEN_PID=1", "LISTEN_FDS=nonsense"},
	} {
		if got, err := systemd.Sockets(environment(entries...)); got != nil || err != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestBadVariablesAreErrors(t *testing.T) {
	for _, c := range []struct {
		entries []string
		want    string
	}{
		{[]string{"LISTEN_PID=self", "LISTEN_FDS=1"}, `LISTEN_PID="self": must be a number from 1 to 2147483647`},
		{[]string{"LISTEN_PID=-1", "LISTEN_FDS=1"}, `LISTEN_PID="-1"`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=one"}, `LISTEN_FDS="one": must be a number from 1 to 1024`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=0"}, `LISTEN_FDS="0"`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=1025"}, `LISTEN_FDS="1025"`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=99999999999999999999"}, `LISTEN_FDS="99999999999999999999"`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=2", "LISTEN_FDNAMES=a"}, `LISTEN_FDNAMES="a": 1 names for LISTEN_FDS=2 descriptors`},
		{[]string{own("LISTEN_PID"), "LISTEN_FDS=1", "LISTEN_FDNAMES=a:b"}, `LISTEN_FDNAMES="a:b": 2 names for LISTEN_FDS=1 descriptors`},
	} {
		got, err := systemd.Sockets(environment(c.entries...))
		if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, %v, want an error with %q", c.entries, got, err, c.want)
		}
	}
}

func TestADescriptorThatIsNotOpenIsAnError(t *testing.T) {
	first, _ := pipes(t, 1)
	got, err := systemd.SocketsFrom(first, environment(own("LISTEN_PID"), "LISTEN_FDS=2"))
	if got != nil || !errors.Is(err, unix.EBADF) || !strings.Contains(err.Error(), "LISTEN_FDS=2: set close-on-exec on descriptor 301") {
		t.Errorf("got %v, %v", got, err)
	}
	if err := unix.Close(first); err != nil {
		t.Errorf("the one that is open was taken over: %v", err)
	}
}

func TestCleanTakesAwayWhatSystemdSaid(t *testing.T) {
	environ := []string{
		"PATH=/bin", "NOTIFY_SOCKET=/run/systemd/notify", "LISTEN_ADDR=:8080", "WATCHDOG_PID=1", "WATCHDOG_USEC=1", "LISTEN_PID=1",
		"LISTEN_PIDFDID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=LISTEN_FDS", "NOTIFY_SOCKETS=x", "NAMES=LISTEN_FDS=1", "WATCHDOG_NAME=rex", "odd",
	}
	before := slices.Clone(environ)
	want := []string{"PATH=/bin", "LISTEN_ADDR=:8080", "NOTIFY_SOCKETS=x", "NAMES=LISTEN_FDS=1", "WATCHDOG_NAME=rex", "odd"}
	if got := systemd.Clean(environ); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(environ, before) {
		t.Errorf("its argument became %q", environ)
	}
	if got := systemd.Clean(nil); got != nil {
		t.Errorf("of nothing comes %q", got)
	}
}
