package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// patience is how long a message may wait for room in the service manager's queue. Whoever sends
	// is starting, reloading or stopping, and that must not hang on a service manager that does.
	patience = time.Second

	// longestStatus leaves room for everything else in the 4,096 bytes that systemd reads of a datagram.
	longestStatus = 1024

	// longestName is systemd's bound for FDNAME.
	longestName = 255
)

// Notifier tells the service manager what becomes of the service.
//
// The zero Notifier, and one from an environment without NOTIFY_SOCKET, says nothing: its methods
// check their arguments and return nil. A Notifier holds no descriptor, so it needs no closing;
// each message is one datagram over a socket of its own. It is safe for concurrent use.
//
// A message waits at most a second for room in the service manager's queue, and then fails with an
// error that is [os.ErrDeadlineExceeded]. Errors name the message and the socket. A service goes on
// when one occurs: that nobody listens is no reason to stop serving.
type Notifier struct {
	socket   string        // as NOTIFY_SOCKET has it; empty: say nothing
	watchdog time.Duration // how long the service manager waits for a sign of life; 0: for ever
}

// FromEnv makes the Notifier that the environment asks for: NOTIFY_SOCKET is an absolute path or
// the name of an abstract socket after an @; WATCHDOG_USEC is heeded if WATCHDOG_PID is empty or
// this process. The socket need not be there yet. Elsewhere than on Linux the result is the zero
// Notifier.
//
// Variables that systemd would not set so are errors. So is a vsock address, by which a virtual
// machine's init talks to its host and which no service is given.
func FromEnv(getenv func(string) string) (*Notifier, error) {
	socket := getenv("NOTIFY_SOCKET")
	if !supported || socket == "" {
		return &Notifier{}, nil
	}
	if err := checkSocket(socket); err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%q: %w", socket, err)
	}
	watchdog, err := watchdogFrom(getenv)
	if err != nil {
		return nil, err
	}
	return &Notifier{socket: socket, watchdog: watchdog}, nil
}

func checkSocket(socket string) error {
	// sun_path has 108 bytes. A path there ends with a zero byte, an abstract name begins with one in
	// the place of its @.
	longest := 107
	switch {
	case strings.HasPrefix(socket, "vsock"):
		return errors.New("vsock is not spoken here: it must be a path or an @abstract name")
	case strings.HasPrefix(socket, "@"):
		longest = 108
	case !strings.HasPrefix(socket, "/"):
		return errors.New("must be an absolute path or an @abstract name")
	}
	if len(socket) < 2 || len(socket) > longest {
		return fmt.Errorf("is %d bytes long: a socket's name has 2 to %d", len(socket), longest)
	}
	return nil
}

// watchdogFrom follows sd_watchdog_enabled(3).
func watchdogFrom(getenv func(string) string) (time.Duration, error) {
	if getenv("WATCHDOG_USEC") == "" {
		return 0, nil
	}
	if getenv("WATCHDOG_PID") != "" {
		pid, err := number(getenv, "WATCHDOG_PID", largestPID)
		if err != nil || pid != int64(os.Getpid()) {
			return 0, err
		}
	}
	usec, err := number(getenv, "WATCHDOG_USEC", int64(1<<63-1)/int64(time.Microsecond))
	return time.Duration(usec) * time.Microsecond, err
}

// Enabled reports whether there is a service manager to talk to.
func (n *Notifier) Enabled() bool {
	return n.socket != ""
}

// Ready says that the service has started, or has ended the reload that [Notifier.Reloading] began,
// and that this process is its main one. The status is as for [Notifier.Status].
//
// The process is named by its id as it sees it. In a PID namespace of its own that is not the id
// which the service manager knows, and whoever passes NOTIFY_SOCKET in must set it right, as runc
// does.
func (n *Notifier) Ready(status string) error {
	return n.tell(fmt.Sprintf("READY=1\nSTATUS=%s\nMAINPID=%d", harmless(status), os.Getpid()))
}

// Reloading says that the service reloads its configuration; [Notifier.Ready] must follow, be the
// reload a success or not. The message carries the time by CLOCK_MONOTONIC, from which
// Type=notify-reload knows that it was not on its way already when the reload was asked for.
func (n *Notifier) Reloading() error {
	if !n.Enabled() {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return fmt.Errorf("tell the service manager at %s RELOADING=1: read the monotonic clock: %w", n.socket, err)
	}
	return n.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Microseconds()))
}

// Stopping says that the service is on its way out. The status is as for [Notifier.Status].
func (n *Notifier) Stopping(status string) error {
	return n.tell("STOPPING=1\nSTATUS=" + harmless(status))
}

// Status sets the line that systemctl status shows; the empty text clears it. Line breaks and other
// control characters become spaces, bytes that are no UTF-8 question marks, and what is longer than
// 1,024 bytes ends with an ellipsis there. systemd would ignore a status that is not UTF-8, and read
// a second line as an assignment of its own.
func (n *Notifier) Status(text string) error {
	return n.tell("STATUS=" + harmless(text))
}

// Watchdog gives the sign of life that is due every [Notifier.WatchdogInterval].
func (n *Notifier) Watchdog() error {
	return n.tell("WATCHDOG=1")
}

// WatchdogInterval is how often to call [Notifier.Watchdog]: half of the time after which the
// service manager takes the service for hung, as sd_watchdog_enabled(3) recommends. 0 means that no
// sign of life is asked for.
func (n *Notifier) WatchdogInterval() time.Duration {
	return n.watchdog / 2
}

// Store gives the service manager a copy of the descriptor, to be handed in by [Sockets] under the
// name when the service is started again. The file stays the caller's, who may close it at once.
//
// A name is 1 to 255 printable ASCII characters without colon; several descriptors may share one.
// systemd keeps as many as the unit's FileDescriptorStoreMax= says, by default none, and closes
// the others without an answer; so it does with one whose peer hangs up, and with one it has already.
func (n *Notifier) Store(name string, f *os.File) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("store a descriptor: %w", err)
	}
	if !n.Enabled() {
		return nil
	}
	// Control, unlike f.Fd, keeps the number from being closed and given to another meanwhile.
	conn, err := f.SyscallConn()
	var told error
	if err == nil {
		err = conn.Control(func(fd uintptr) {
			told = n.tell("FDSTORE=1\nFDNAME="+name, int(fd))
		})
	}
	if err != nil {
		return fmt.Errorf("store a descriptor as %q: %w", name, err)
	}
	return told
}

// Remove makes the service manager close all descriptors that it keeps under the name, which is as
// for [Notifier.Store]. That there is none is no error.
func (n *Notifier) Remove(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("remove a stored descriptor: %w", err)
	}
	return n.tell("FDSTOREREMOVE=1\nFDNAME=" + name)
}

func (n *Notifier) tell(message string, descriptors ...int) error {
	if !n.Enabled() {
		return nil
	}
	if err := send(n.socket, message, descriptors); err != nil {
		return fmt.Errorf("tell the service manager at %s %s: %w", n.socket, strings.ReplaceAll(message, "\n", " "), err)
	}
	return nil
}

// send connects anew for each message, as libsystemd does, so that a service manager which has
// bound its socket again is found. It must connect: only then does the kernel say when the other's
// queue has room. net.UnixConn, for its part, sends no descriptors over a connected datagram socket.
func send(socket, message string, descriptors []int) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) (done bool) {
		done, sent = sendmsg(int(fd), message, descriptors)
		return done
	})
	return cmp.Or(err, sent)
}

// harmless makes one bounded line of UTF-8 of a text: a line break in it would begin an assignment
// of its own. Nothing that it replaces grows, so the bound can come first.
func harmless(text string) string {
	const ellipsis = "…"
	if len(text) > longestStatus {
		end := longestStatus - len(ellipsis)
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + ellipsis
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

func checkName(name string) error {
	if name == "" || len(name) > longestName {
		return fmt.Errorf("its name is %d bytes long: it must have 1 to %d", len(name), longestName)
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == ':' {
			return fmt.Errorf("its name %q has %q in it: it must be printable ASCII without colon", name, c)
		}
	}
	return nil
}
