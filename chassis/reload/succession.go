//go:build unix

package reload

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// reload begins to replace the active worker, or remembers to; done, which may be nil, is told how
// it went.
func (s *supervisor) reload(done *func(Outcome)) {
	switch {
	case done == nil:
	case !s.stopping.IsZero():
		(*done)(Outcome{Time: time.Now(), Reason: ReasonStopping, Error: "the service stops"})
	default:
		s.queued = append(s.queued, done)
	}
	// What starts now may have read what was changed since: only one that starts later has surely
	// not.
	s.pending = true
	s.next()
}

// next begins what had to wait.
func (s *supervisor) next() {
	if s.starting != nil || s.replacing != nil || !s.stopping.IsZero() {
		return
	}
	switch {
	case s.active == nil:
		// Whatever was changed is in the start that has to come anyway.
		if s.pending {
			s.stopRestart()
		}
		if s.restart == nil {
			s.take()
			s.start()
		}
	case s.upgrade && len(s.queued) == 0 && s.active.build.current():
		// A reload that nobody waits for can wait for the one that follows the upgrade.
		s.upgrade = false
		s.pauseToReplace()
		if s.replacing == nil {
			s.next()
		}
	case (s.pending || s.upgrade) && s.draining() < s.limits.Draining:
		s.take()
		s.tell(s.notify.Reloading())
		s.start()
	}
}

// take makes those who wait for the next reload wait for the one that begins now.
func (s *supervisor) take() {
	if s.pending {
		s.rolled, s.crashes = false, 0 // what was asked for may mend it
	}
	s.pending = false
	s.waiters = append(s.waiters, s.queued...)
	s.queued = nil
}

func (s *supervisor) draining() int {
	n := 0
	for _, w := range s.workers {
		if w.phase == Draining {
			n++
		}
	}
	return n
}

// start starts a worker.
func (s *supervisor) start() {
	s.number++
	w, err := s.spawn(s.number)
	if err != nil {
		s.log.Error("a worker could not be started", "worker", s.number, "error", err)
		s.startFailed(Outcome{Time: time.Now(), Worker: s.number, Reason: ReasonExec, Error: err.Error()}, 1)
		return
	}
	s.workers = append(s.workers, w)
	s.starting = w
	s.expect(w, s.limits.Start)
}

// expect kills a worker that is not ready within d.
func (s *supervisor) expect(w *worker, d time.Duration) {
	w.alarm(s, time.Until(w.started.Add(d)), func() {
		if s.starting == w {
			w.fails(ReasonTimeout, fmt.Sprintf("it was not ready within %v", d))
			w.kill()
		}
	})
}

// ready makes the starting worker the active one. This is the point of no return.
func (s *supervisor) ready(w *worker) {
	if w != s.starting || w.killed {
		return
	}
	old := s.active
	s.starting, s.active, s.served = nil, w, true
	w.enter(Active)
	w.stopAlarm()
	s.stopRestart()
	s.limits = w.limits()
	if err := s.sockets.commit(); err != nil {
		s.log.Warn("closing sockets that are not used any more", "error", err)
	}
	s.store()
	commit := message{Kind: kindCommit}
	if s.books.carry != nil {
		commit.Snapshots = []Snapshot{*s.books.carry} // it outlives this process there
	}
	if old == nil {
		w.send(commit)
	} else {
		s.pair(old, w, message{Kind: kindDrain}, commit)
		s.drainBy(old, old.limits().Drain)
	}
	s.heirs(w)
	outcome := Outcome{Time: time.Now(), Worker: w.number, PID: w.pid, Took: time.Since(w.started)}
	s.last = &outcome
	if old != nil {
		s.counts.Reloads++
		s.log.Info("reloaded", "worker", w.number, "pid", w.pid, "took", outcome.Took, "drains", old.number)
	} else {
		s.log.Info("worker is ready", "worker", w.number, "pid", w.pid, "took", outcome.Took)
	}
	s.answer(outcome)
	if s.upgrade && !w.build.current() {
		s.upgrade = false // whoever asked can ask again
		s.log.Error("the supervisor stays as it is: its file cannot be read, or was replaced once more", "binary", s.binary)
	}
	s.tell(s.notify.Ready(fmt.Sprintf("worker %d serves, process %d", w.number, w.pid)))
	w.alarm(s, s.Timing.Good, func() { s.proven(w) })
	debug.FreeOSMemory() // a few hundred KiB are in use
	dropPages()
	if w.hello.Protocol > protocol {
		s.upgrade = true
	}
	s.next()
}

// proven notes that a worker has served for a while.
func (s *supervisor) proven(w *worker) {
	if w != s.active {
		return
	}
	s.crashes = 0
	if !s.rolled && !s.good.same(w.build) {
		s.good.close()
		s.good = w.build.keep()
	}
}

// answer tells those who wait how the reload went.
func (s *supervisor) answer(o Outcome) {
	waiters := s.waiters
	s.waiters = nil
	for _, done := range waiters {
		(*done)(o)
	}
}

// forget has done not be told how the reload went.
func (s *supervisor) forget(done *func(Outcome)) {
	s.waiters, s.queued = without(s.waiters, done), without(s.queued, done)
}

func without[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(list, func(o T) bool { return o == one })
}
