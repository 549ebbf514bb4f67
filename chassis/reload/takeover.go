//go:build unix

package reload

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// openDirectory locks the run directory and answers commands there.
func (s *supervisor) openDirectory() error {
	if s.Directory == "" {
		s.makeLocks()
		return nil
	}
	err := makeDirectory(s.Directory)
	if err == nil {
		s.lock, err = lockDirectory(s.Directory)
	}
	if err == nil {
		s.control, err = listenControl(s.Directory)
	}
	if err == nil {
		go s.serveControl(s.control)
		return nil
	}
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
	var used *InUseError
	if s.Named || errors.As(err, &used) {
		return err
	}
	s.log.Warn("without a run directory there are no commands (reload, status, stop) and no takeover", "error", err)
	s.makeLocks()
	return nil
}

// makeLocks makes a directory for the locks of workers where there is no run directory. The workers
// of this supervisor share it; those of another one do not.
func (s *supervisor) makeLocks() {
	dir, err := os.MkdirTemp("", "locks-")
	if err != nil {
		s.log.Warn("workers can lock nothing: a service that holds something exclusively ends", "error", err)
		return
	}
	s.locks = dir
}

// dir is the run directory, empty when there is none.
func (s *supervisor) dir() string {
	if s.lock == nil {
		return ""
	}
	return s.Directory
}

func (s *supervisor) closeDirectory() {
	if s.locks != "" {
		if err := os.RemoveAll(s.locks); err != nil {
			s.log.Warn("removing the directory of the locks", "error", err)
		}
	}
	if s.lock == nil {
		return
	}
	_ = s.control.Close()
	_ = os.Remove(filepath.Join(s.Directory, controlName))
	_ = s.lock.Close()
}

// takeOver finds workers whose supervisor has died and takes them over with their sockets.
func (s *supervisor) takeOver() {
	if s.dir() == "" {
		return
	}
	for _, path := range workerSockets(s.Directory) {
		s.number = max(s.number, numberOf(path)) // of one that cannot be taken over, too
		if err := s.takeOverAt(path); err != nil {
			s.log.Warn("a worker could not be taken over", "socket", path, "error", err)
		}
	}
	s.books.ended = append(s.books.ended, collectLeft(s.Directory)...)
	slices.SortFunc(s.workers, func(a, b *worker) int { return a.number - b.number })
	for _, w := range s.workers {
		s.number = max(s.number, w.number)
		s.log.Info("took a worker over", "worker", w.number, "pid", w.pid, "phase", string(w.phase))
		switch {
		case w == s.active:
		case w.phase == Active && s.active != nil:
			// The supervisor died when the next one had been told to serve and this one not yet to drain.
			s.pair(w, s.active, message{Kind: kindDrain}, message{Kind: kindAdopt})
			s.drainBy(w, w.limits().Drain)
		default:
			w.heirless = true
			s.drainBy(w, w.limits().Drain)
		}
	}
	if s.active != nil {
		s.tell(s.notify.Ready(fmt.Sprintf("worker %d serves, process %d", s.active.number, s.active.pid)))
	}
}

// takeoverTimeout is how long a worker may take to introduce itself to a new supervisor.
const takeoverTimeout = 2 * time.Second

func (s *supervisor) takeOverAt(path string) error {
	d := net.Dialer{Timeout: takeoverTimeout}
	c, err := d.Dial("unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path) // of a dead one
	}
	if err != nil {
		return err
	}
	link := newChannel(c.(*net.UnixConn))
	late := time.AfterFunc(takeoverTimeout, link.close)
	m, files, err := link.receive()
	if !late.Stop() && err == nil {
		err = os.ErrDeadlineExceeded
	}
	if err == nil && (m.Kind != kindHello || m.Hello == nil) {
		err = fmt.Errorf("it said %q first", m.Kind)
	}
	if err != nil {
		closeFiles(files)
		link.close()
		return err
	}
	// It will be killed by its process id: by what the kernel says that is.
	pid, err := peerPID(link.conn, m.PID)
	var process *os.Process
	if err == nil {
		process, err = os.FindProcess(pid)
	}
	if err != nil {
		closeFiles(files)
		link.close()
		return err
	}
	w := &worker{number: m.Hello.Worker, pid: pid, process: process, started: m.Hello.Started, hello: *m.Hello}
	w.enter(m.Hello.Phase)
	s.workers = append(s.workers, w)
	s.counts.Takeovers++
	s.served = true
	s.attach(w, link)
	if c := m.Hello.Carry; c != nil && c.newer(s.books.carry) {
		s.books.carry = c
	}
	if w.phase != Active || s.active != nil && s.active.number > w.number {
		closeFiles(files)
		return nil
	}
	s.active, s.limits = w, w.limits()
	s.sockets.disown() // those of an older one
	for i, f := range files {
		if i < len(m.Hello.Sockets) {
			s.sockets.adopt(m.Hello.Sockets[i], f)
		} else {
			_ = f.Close()
		}
	}
	return nil
}
