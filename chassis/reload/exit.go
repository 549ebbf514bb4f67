//go:build unix

package reload

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// exit is how a process ended. nil is one that was not a child, of which nobody learns how.
type exit struct{ status syscall.WaitStatus }

// clean reports whether it ended as it should.
func (e *exit) clean() bool { return e != nil && e.status.Exited() && e.status.ExitStatus() == 0 }

// code is what the daemon exits with when its first worker has ended so: never 0.
func (e *exit) code() int {
	if e == nil || !e.status.Exited() || e.status.ExitStatus() == 0 {
		return 1
	}
	return e.status.ExitStatus()
}

func (e *exit) String() string {
	switch {
	case e == nil:
		return "not known: it was not a child"
	case e.status.Exited():
		return fmt.Sprintf("exit status %d", e.status.ExitStatus())
	case e.status.Signaled():
		return "signal: " + e.status.Signal().String()
	}
	return fmt.Sprintf("wait status %#x", uint32(e.status))
}

// reap learns which workers have ended. As the first process of its PID namespace the supervisor
// also inherits the processes whose parents have died, and collects them when they end.
func (s *supervisor) reap() {
	if os.Getpid() == 1 {
		for {
			pid, e := collect(-1)
			if pid <= 0 {
				return
			}
			if w := s.byPID(pid); w != nil {
				s.exited(w, e)
			}
		}
	}
	for _, w := range append([]*worker(nil), s.workers...) {
		if !w.child || w.exit != nil {
			continue
		}
		switch pid, e := collect(w.pid); {
		case pid == w.pid:
			s.exited(w, e)
		case pid < 0:
			s.gone(w, nil) // somebody else has collected it
		}
	}
}

func (s *supervisor) byPID(pid int) *worker {
	for _, w := range s.workers {
		if w.child && w.exit == nil && w.pid == pid {
			return w
		}
	}
	return nil
}

// collect is wait4 without waiting. pid is 0 when nothing has ended, and negative when there is no
// such child.
func collect(pid int) (int, *exit) {
	for {
		var e exit
		got, err := syscall.Wait4(pid, &e.status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return -1, nil
		default:
			return got, &e
		}
	}
}
