package systemd_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestEachMessageIsOneDatagram(t *testing.T) {
	messages := []struct {
		name string
		tell func(*systemd.Notifier) error
		want string
	}{
		{"ready", func(n *systemd.Notifier) error { return n.Ready("serving on :8080") },
			fmt.Sprintf("READY=1\nSTATUS=serving on :8080\nMAINPID=%d", os.Getpid())},
		{"ready clears the status", func(n *systemd.Notifier) error { return n.Ready("") },
			fmt.Sprintf("READY=1\nSTATUS=\nMAINPID=%d", os.Getpid())},
		{"stopping", func(n *systemd.Notifier) error { return n.Stopping("draining") }, "STOPPING=1\nSTATUS=draining"},
		{"status", func(n *systemd.Notifier) error { return n.Status("3 workers") }, "STATUS=3 workers"},
		{"watchdog", (*systemd.Notifier).Watchdog, "WATCHDOG=1"},
		{"remove", func(n *systemd.Notifier) error { return n.Remove("http, public") }, "FDSTOREREMOVE=1\nFDNAME=http, public"},
	}
	for kind, socket := range map[string]string{
		"path":     "",
		"abstract": fmt.Sprintf("@roadworthy-%d-%d", os.Getpid(), time.Now().UnixNano()),
	} {
		t.Run(kind, func(t *testing.T) {
			m := listen(t, socket)
			n := m.notifier(t)
			if !n.Enabled() {
				t.Fatal("not enabled")
			}
			for _, message := range messages {
				t.Run(message.name, func(t *testing.T) {
					if err := message.tell(n); err != nil {
						t.Fatal(err)
					}
					m.expect(t, message.want)
				})
			}
		})
	}
}

func TestReloadingCarriesTheMonotonicClock(t *testing.T) {
	now := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano() / 1000
	}
	m := listen(t, "")
	before := now()
	if err := m.notifier(t).Reloading(); err != nil {
		t.Fatal(err)
	}
	after := now()
	message, _ := m.next(t)
	var usec int64
	if _, err := fmt.Sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%d", &usec); err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	if want := fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", usec); message != want {
		t.Errorf("got %q, want %q", message, want)
	}
	if usec < before || usec > after {
		t.Errorf("told %d µs, between %d and %d", usec, before, after)
	}
}

func TestWithoutASocketNothingIsSaid(t *testing.T) {
	fromEnv, err := systemd.FromEnv(environment("WATCHDOG_USEC=nonsense"))
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]*systemd.Notifier{"zero": {}, "from the environment": fromEnv} {
		t.Run(name, func(t *testing.T) {
			if n.Enabled() {
				t.Error("enabled")
			}
			if got := n.WatchdogInterval(); got != 0 {
				t.Errorf("a watchdog interval of %v", got)
			}
			for _, err := range []error{
				n.Ready("x"), n.Reloading(), n.Stopping("x"), n.Status("x"), n.Watchdog(), n.Store("x", os.Stdin), n.Remove("x"),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			if n.Store("a:b", os.Stdin) == nil || n.Remove("") == nil {
				t.Error("a bad name went unnoticed")
			}
		})
	}
}

func TestASocketThatCannotBeIsRefused(t *testing.T) {
	for socket, want := range map[string]string{
		"vsock:2:1234":                  `NOTIFY_SOCKET="vsock:2:1234": vsock is not spoken here: it must be a path or an @abstract name`,
		"vsock-stream:2:1234":           `vsock is not spoken here`,
		"run/notify":                    `NOTIFY_SOCKET="run/notify": must be an absolute path or an @abstract name`,
		"@":                             `is 1 bytes long: a socket's name has 2 to 108`,
		"/":                             `is 1 bytes long: a socket's name has 2 to 107`,
		"/" + strings.Repeat("x", 107):  `is 108 bytes long: a socket's name has 2 to 107`,
		"@" + strings.Repeat("x", 108):  `is 109 bytes long`,
		"\x00" + strings.Repeat("x", 4): `must be an absolute path`,
	} {
		n, err := systemd.FromEnv(environment("NOTIFY_SOCKET=" + socket))
		if n != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", socket, n, err, want)
		}
	}
}

func TestTheLongestSocketNamesWork(t *testing.T) {
	// A folder that leaves room, unlike that of t.TempDir on some machines.
	dir, err := os.MkdirTemp("/tmp", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	abstract := fmt.Sprintf("@roadworthy-%d-%d-", os.Getpid(), time.Now().UnixNano())
	for _, socket := range []string{
		dir + "/" + strings.Repeat("x", 107-len(dir)-1),
		abstract + strings.Repeat("x", 108-len(abstract)),
	} {
		m := listen(t, socket)
		if err := m.notifier(t).Watchdog(); err != nil {
			t.Error(err)
		}
		m.expect(t, "WATCHDOG=1")
	}
}

func TestTheWatchdogIsForThisProcessAndHalfItsTime(t *testing.T) {
	const socket = "NOTIFY_SOCKET=/run/systemd/notify"
	for _, c := range []struct {
		name    string
		entries []string
		want    time.Duration
		problem string
	}{
		{name: "none asked for"},
		{name: "for whoever reads it", entries: []string{"WATCHDOG_USEC=30000000"}, want: 15 * time.Second},
		{name: "for this process", entries: []string{"WATCHDOG_USEC=1", own("WATCHDOG_PID")}, want: 500 * time.Nanosecond},
		{name: "for another process", entries: []string{"WATCHDOG_USEC=nonsense", "WATCHDOG_PID=1"}},
		{name: "a process without time", entries: []string{own("WATCHDOG_PID")}},
		{name: "the longest", entries: []string{"WATCHDOG_USEC=9223372036854775"}, want: 9223372036854775 * time.Microsecond / 2},
		{name: "too long", entries: []string{"WATCHDOG_USEC=9223372036854776"}, problem: `WATCHDOG_USEC="9223372036854776": must be a number from 1 to 9223372036854775`},
		{name: "no time", entries: []string{"WATCHDOG_USEC=0"}, problem: `WATCHDOG_USEC="0"`},
		{name: "no number", entries: []string{"WATCHDOG_USEC=30s"}, problem: `WATCHDOG_USEC="30s"`},
		{name: "no process", entries: []string{"WATCHDOG_USEC=1", "WATCHDOG_PID=self"}, problem: `WATCHDOG_PID="self": must be a number from 1 to 2147483647`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := systemd.FromEnv(environment(append(c.entries, socket)...))
			if c.problem != "" {
				if n != nil || err == nil || !strings.Contains(err.Error(), c.problem) {
					t.Fatalf("got %v, %v, want an error with %q", n, err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := n.WatchdogInterval(); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAStatusIsOneBoundedLine(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	for text, want := range map[string]string{
		"":                           "",
		"on\nREADY=1\r\n\x00\u0085":  "on READY=1    ",
		"grün \xff\xfe, \xc3(":       "grün ?, ?(",
		strings.Repeat("x", 1024):    strings.Repeat("x", 1024),
		strings.Repeat("x", 1025):    strings.Repeat("x", 1021) + "…",
		strings.Repeat("ü", 1<<20):   strings.Repeat("ü", 510) + "…",
		strings.Repeat("\xbf", 2000): "…",
	} {
		if err := n.Status(text); err != nil {
			t.Fatal(err)
		}
		m.expect(t, "STATUS="+want)
		if err := n.Stopping(text); err != nil {
			t.Fatal(err)
		}
		m.expect(t, "STOPPING=1\nSTATUS="+want)
		if err := n.Ready(text); err != nil {
			t.Fatal(err)
		}
		m.expect(t, fmt.Sprintf("READY=1\nSTATUS=%s\nMAINPID=%d", want, os.Getpid()))
	}
}

func TestAStoredListenerOutlivesItsOwner(t *testing.T) {
	m := listen(t, "")
	owner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := owner.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.notifier(t).Store("http", file); err != nil {
		t.Fatal(err)
	}
	address := owner.Addr().String()
	file.Close()
	owner.Close()

	message, files := m.next(t)
	if message != "FDSTORE=1\nFDNAME=http" || len(files) != 1 {
		t.Fatalf("got %q and %d descriptors", message, len(files))
	}
	m.quiet(t)
	heir, err := net.FileListener(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	if heir.Addr().String() != address {
		t.Errorf("it listens on %v, want %v", heir.Addr(), address)
	}
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := heir.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "still here" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStoringLeavesTheFileAsItIs(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := n.Store("pipe", r); err != nil {
		t.Fatal(err)
	}
	m.next(t)
	// A descriptor that was made a blocking one would ignore the deadline.
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the deadline's error", err)
	}
}

func TestWhatCannotBeStoredIsRefused(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	for name, want := range map[string]string{
		"":                       "its name is 0 bytes long: it must have 1 to 255",
		strings.Repeat("x", 256): "its name is 256 bytes long: it must have 1 to 255",
		"a:b":                    `its name "a:b" has ':' in it: it must be printable ASCII without colon`,
		"a\nREADY=1":             `has '\n' in it`,
		"a\x7f":                  `has '\x7f' in it`,
		"grün":                   `has 'Ã' in it`,
	} {
		for _, err := range []error{n.Store(name, os.Stdin), n.Remove(name)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want an error with %q", name, err, want)
			}
		}
	}
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if err := n.Store("null", closed); err == nil || err.Error() != `store a descriptor as "null": use of closed file` {
		t.Errorf("a closed file: %v", err)
	}
	if err := n.Store("nil", nil); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("no file: %v", err)
	}
	m.quiet(t)

	longest := strings.Repeat("~", 254) + " "
	if err := n.Store(longest, os.Stdin); err != nil {
		t.Fatal(err)
	}
	if message, files := m.next(t); message != "FDSTORE=1\nFDNAME="+longest || len(files) != 1 {
		t.Errorf("got %q and %d descriptors", message, len(files))
	}
}

func TestAnErrorSaysWhatWasToldToWhom(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	m.conn.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for want, err := range map[string]error{
		fmt.Sprintf("READY=1 STATUS=on MAINPID=%d", os.Getpid()): n.Ready("on"),
		"RELOADING=1 MONOTONIC_USEC=":                            n.Reloading(),
		"STOPPING=1 STATUS=":                                     n.Stopping(""),
		"STATUS=busy":                                            n.Status("busy"),
		"WATCHDOG=1":                                             n.Watchdog(),
		"FDSTORE=1 FDNAME=null":                                  n.Store("null", null),
		"FDSTOREREMOVE=1 FDNAME=null":                            n.Remove("null"),
	} {
		want = "tell the service manager at " + m.socket + " " + want
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q and that nobody listens", err, want)
		}
	}
}

func TestAServiceManagerThatHangsIsNotWaitedForLong(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	// net.unix.max_dgram_qlen is 10 or 512 by default.
	for range 100_000 {
		start := time.Now()
		err := n.Watchdog()
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want the deadline's error", err)
		}
		if waited := time.Since(start); waited < time.Second || waited > 30*time.Second {
			t.Errorf("waited for %v, want about 1 s", waited)
		}
		m.next(t)
		if err := n.Watchdog(); err != nil {
			t.Errorf("there was room again: %v", err)
		}
		return
	}
	t.Fatal("100,000 messages that nobody read were all sent")
}

func TestMessagesFromManyGoroutinesArriveWholeAndLeaveNothingOpen(t *testing.T) {
	m := listen(t, "")
	n := m.notifier(t)
	const senders, each = 8, 50
	before := descriptors(t)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				if err := n.Status(fmt.Sprintf("%d of sender %d", i, s)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]int{}
	for range senders * each {
		message, _ := m.next(t)
		seen[message]++
	}
	wg.Wait()
	for s := range senders {
		for i := range each {
			if got := seen[fmt.Sprintf("STATUS=%d of sender %d", i, s)]; got != 1 {
				t.Errorf("message %d of sender %d came %d times", i, s, got)
			}
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func TestSystemdNotifySaysTheSame(t *testing.T) {
	program := need.Program(t, "systemd-notify", "systemd")
	m := listen(t, "")
	// Without --no-block it would wait for a barrier descriptor to be closed, and for 5 s.
	reference := exec.Command(program, "--no-block", "--ready", "--status=serving on :8080", fmt.Sprintf("--pid=%d", os.Getpid()))
	reference.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.socket)
	if out, err := reference.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, _ := m.next(t)
	if err := m.notifier(t).Ready("serving on :8080"); err != nil {
		t.Fatal(err)
	}
	got, _ := m.next(t)
	if !slices.Equal(assignments(got), assignments(want)) {
		t.Errorf("got %q, systemd-notify says %q", got, want)
	}
}

// assignments are a message's lines, whose order has no meaning.
func assignments(message string) []string {
	return slices.Sorted(strings.Lines(strings.TrimSuffix(message, "\n") + "\n"))
}
