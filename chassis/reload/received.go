//go:build unix

package reload

import (
	"os"
	"slices"
	"time"
)

// received acts on what a worker has said.
func (s *supervisor) received(w *worker, m message, files []*os.File) {
	defer closeFiles(files)
	if !slices.Contains(s.workers, w) {
		return
	}
	switch m.Kind {
	case kindHello:
		s.greeted(w, m.Hello)
	case kindListen:
		s.listening(w, m)
	case kindReady:
		s.ready(w)
	case kindFailed:
		s.failing(w, m)
	case kindHeir:
		s.heirWanted(w)
	case kindRelease:
		s.release()
		w.send(message{Kind: kindAnswer, ID: m.ID})
	case kindStatus:
		w.send(message{Kind: kindAnswer, ID: m.ID, Status: s.status()})
	case kindGather:
		s.deposit(w, m.Snapshot)
		s.gather(w, m.ID)
	case kindSnapshot:
		s.deposit(w, m.Snapshot)
		if m.ID != 0 {
			w.final = true
			w.send(message{Kind: kindAnswer, ID: m.ID})
		}
	case kindCarry:
		s.carried(w, m.Snapshot)
	default:
		s.log.Warn("worker said something unknown", "worker", w.number, "kind", string(m.Kind))
	}
}

// failing notes why a worker will end. One that serves goes on with what it has begun, while
// another one is started in its place.
func (s *supervisor) failing(w *worker, why message) {
	w.fails(why.Reason, why.Error)
	if w != s.active || !s.stopping.IsZero() {
		return
	}
	served := time.Since(w.since)
	s.active = nil
	w.heirless = true
	s.drainBy(w, w.limits().Drain)
	if why.Reason == ReasonStopping { // by somebody's will, which is no crash
		s.log.Warn("the active worker was told to end; another one is started", "worker", w.number, "pid", w.pid, "why", why.Error, "served", served)
	} else {
		s.counts.Crashes++
		s.log.Error("the active worker ends", "worker", w.number, "pid", w.pid, "error", why.Error, "served", served)
		s.again(0)
	}
	s.next()
}

func (s *supervisor) greeted(w *worker, h *hello) {
	if h == nil {
		return
	}
	w.hello = *h
	// For one that is to end, or has ended, another alarm is set.
	if w == s.starting && !w.killed && w.exit == nil {
		s.expect(w, w.limits().Start)
	}
}

// listening gives a starting worker the listener it asks for.
func (s *supervisor) listening(w *worker, m message) {
	answer := message{Kind: kindAnswer, ID: m.ID}
	if w != s.starting {
		answer.Error = "only a worker that starts can open a listener"
		w.send(answer)
		return
	}
	sock, err := s.sockets.open(socketName{m.Name, m.Network, m.Address})
	if err != nil {
		answer.Error, answer.Errno = err.Error(), errnoOf(err)
		w.send(answer)
		return
	}
	w.post(parcel{message: answer, files: []*os.File{sock.file}, keep: true})
}

// heirWanted gives a draining worker that lost its successor another one, now or when there is one.
func (s *supervisor) heirWanted(w *worker) {
	if s.active == nil || s.active == w {
		w.heirless = true
		return
	}
	s.pair(w, s.active, message{Kind: kindHeir}, message{Kind: kindAdopt})
}

// release closes the listeners when the service stops: while the supervisor has them open,
// connections would be let in that nobody answers.
func (s *supervisor) release() {
	if !s.stopping.IsZero() {
		s.letGo()
	}
}

// letGo closes the listeners for good.
func (s *supervisor) letGo() {
	for name := range s.stored {
		s.tell(s.notify.Remove(name)) // its copy lets clients in as well
		delete(s.stored, name)
	}
	if err := s.sockets.close(true); err != nil {
		s.log.Warn("closing sockets", "error", err)
	}
}

// status is what there is to know.
func (s *supervisor) status() *Status {
	st := &Status{
		Supervisor: os.Getpid(), Started: s.started, Binary: s.binary, Directory: s.dir(),
		Workers: []WorkerStatus{}, Sockets: []SocketStatus{}, Last: s.last, Counts: s.counts,
	}
	st.Counts.Failed = map[Reason]uint64{}
	for _, r := range Reasons {
		st.Counts.Failed[r] = s.counts.Failed[r]
	}
	for _, w := range s.workers {
		st.Workers = append(st.Workers, WorkerStatus{
			Worker: w.number, PID: w.pid, Phase: w.phase, Since: w.since, Started: w.started, Version: w.hello.Version,
		})
	}
	for _, sock := range s.sockets.current {
		st.Sockets = append(st.Sockets, SocketStatus(sock.socketName))
	}
	return st
}

// store hands the listening sockets to the service manager, which keeps them should this process
// die, and takes back those that are not used any more: by their name another would be found.
func (s *supervisor) store() {
	if !s.notify.Enabled() {
		return
	}
	for name, kept := range s.stored {
		if !slices.Contains(s.sockets.current, kept) || kept.keptName() != name {
			s.tell(s.notify.Remove(name))
			delete(s.stored, name)
		}
	}
	for _, sock := range s.sockets.current {
		name := sock.keptName()
		if sock.foreign || s.stored[name] == sock {
			continue
		}
		if err := s.notify.Store(name, sock.file); err != nil {
			s.log.Warn("the service manager does not keep a socket, should the supervisor die", "name", sock.Name, "error", err)
			continue
		}
		s.stored[name] = sock
	}
}
