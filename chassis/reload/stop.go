//go:build unix

package reload

import (
	"slices"
	"time"
)

// drainBy kills w when it has not drained by then.
func (s *supervisor) drainBy(w *worker, d time.Duration) {
	w.enter(Draining)
	w.alarm(s, d+s.Timing.Grace, func() { s.overdue(w) })
}

// overdue ends a worker that has not drained in time.
func (s *supervisor) overdue(w *worker) {
	s.log.Error("worker did not end in time and is killed", "worker", w.number, "pid", w.pid, "drains_since", w.since)
	s.counts.Killed++
	s.failed = s.failed || !s.stopping.IsZero()
	w.kill()
}

// gone notes that a worker has ended.
func (s *supervisor) gone(w *worker, e *exit) {
	if !slices.Contains(s.workers, w) {
		return
	}
	s.workers = slices.DeleteFunc(s.workers, func(o *worker) bool { return o == w })
	w.release()
	defer s.next()
	defer s.bury(w)
	switch {
	case w == s.starting:
		s.starting = nil
		if err := s.sockets.abandon(); err != nil {
			s.log.Warn("closing sockets of a worker that was not ready", "error", err)
		}
		s.startFailed(w.outcome(e), e.code())
	case w == s.active:
		s.active = nil
		s.crashed(w, e)
	default:
		s.failed = s.failed || !s.stopping.IsZero() && e != nil && !e.clean()
		s.log.Info("worker has ended", "worker", w.number, "pid", w.pid, "how", e.String(), "drained", time.Since(w.since))
	}
}

// stop ends the service: at once when it is asked for a second time. done, which may be nil, is
// told when everything has ended.
func (s *supervisor) stop(done *func()) {
	if done != nil {
		s.stopped = append(s.stopped, done)
	}
	if !s.stopping.IsZero() {
		if done == nil && time.Since(s.stopping) > sameSignal {
			s.hurry()
		}
		return
	}
	s.stopping = time.Now()
	s.log.Info("stopping", "workers", len(s.workers))
	s.tell(s.notify.Stopping("draining"))
	s.stopRestart()
	for _, done := range s.queued {
		(*done)(Outcome{Time: time.Now(), Reason: ReasonStopping, Error: "the service stops"})
	}
	s.queued, s.pending = nil, false
	if s.starting != nil {
		s.starting.failure = message{Reason: ReasonStopping, Error: "the service stops"}
		s.starting.abandon(s, s.starting.limits().Drain+s.Timing.Grace)
	}
	if s.active != nil {
		s.active.send(message{Kind: kindDrain, Stop: true})
		s.drainBy(s.active, s.active.limits().Stop)
	} else {
		s.release()
	}
}

// hurry ends what still drains.
func (s *supervisor) hurry() {
	if s.hurried {
		return // a further signal does not give them another second
	}
	s.hurried, s.failed = true, true
	s.log.Warn("second signal: ending without draining")
	for _, w := range s.workers {
		w.send(message{Kind: kindHurry})
		w.alarm(s, time.Second, w.kill)
	}
}
