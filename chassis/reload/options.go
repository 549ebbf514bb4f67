//go:build unix

package reload

import (
	"log/slog"
	"net"
	"os"
	"time"
)

// ListenFunc opens a listening socket.
type ListenFunc func(network, address string) (net.Listener, error)

// Options say what a supervisor supervises.
type Options struct {
	// Program is what the daemon is called in messages, such as "gamed".
	Program string
	// Args are the arguments of the process, the program's name first; workers get the same.
	Args []string
	// Environ is the environment of the process as "KEY=value"; workers get it without what
	// the service manager says to the supervisor.
	Environ []string
	// Directory is the run directory; Named says that somebody has asked for it. One that was
	// not asked for and cannot be used is done without: there are no commands then, and no
	// takeover, and locks are in a temporary directory.
	Directory string
	Named     bool
	// Listen opens listening sockets.
	Listen ListenFunc
	// Log takes what the supervisor has to say.
	Log *slog.Logger
	// Stdin, Stdout and Stderr are those of the workers.
	Stdin, Stdout, Stderr *os.File

	// Timing is for tests; its zero value is what services want.
	Timing Timing
}

// Timing is how patient a supervisor is.
type Timing struct {
	// Grace is how long after the end of its drain a worker is killed; 2 s by default.
	Grace time.Duration
	// Good is how long a worker must have served until its binary is one to roll back to, and
	// until crashes before are forgotten; 10 s by default.
	Good time.Duration
	// Backoff is how long the second restart after a crash in a row waits, and the longest
	// wait; 100 ms and 10 s by default. The first does not wait.
	Backoff, MaxBackoff time.Duration
}

func (t *Timing) setDefaults() {
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{{&t.Grace, 2 * time.Second}, {&t.Good, 10 * time.Second}, {&t.Backoff, 100 * time.Millisecond}, {&t.MaxBackoff, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.standard
		}
	}
}
