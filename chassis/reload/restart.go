//go:build unix

package reload

import (
	"time"
)

// startFailed notes that a worker ended before it was ready.
func (s *supervisor) startFailed(o Outcome, code int) {
	s.last = &o
	s.counts.Failed[o.Reason]++
	switch {
	case !s.stopping.IsZero():
	case s.active != nil:
		s.upgrade = false
		s.log.Error("reload failed; the worker before goes on", "reason", o.Reason, "error", o.Error, "worker", o.Worker, "active", s.active.number)
		s.tell(s.notify.Ready("reload failed: " + o.Error))
	case !s.served:
		// The first start: whoever started the daemon sees why. The worker has said it, unless it
		// could not.
		if o.Reason != ReasonConfig && o.Reason != ReasonSetup {
			s.log.Error("the service did not start", "reason", o.Reason, "error", o.Error)
		}
		s.code = max(code, 1)
		s.stopping = time.Now()
		s.waiters, s.queued, s.pending = append(s.waiters, s.queued...), nil, false
	default:
		s.log.Error("a worker could not replace the one that died", "reason", o.Reason, "error", o.Error, "worker", o.Worker)
		s.again(s.Timing.Backoff)
	}
	s.answer(o)
}

// crashed notes that the active worker has died, and has another one started.
func (s *supervisor) crashed(w *worker, e *exit) {
	if !s.stopping.IsZero() {
		s.failed = s.failed || e != nil && !e.clean()
		s.release()
		s.log.Info("worker has ended", "worker", w.number, "pid", w.pid, "how", e.String())
		return
	}
	s.counts.Crashes++
	s.log.Error("the active worker died", "worker", w.number, "pid", w.pid, "how", w.cause(e), "served", time.Since(w.since))
	s.again(0)
}

// again has a worker started after a crash, the later the more there were, and after the first one
// after the time given.
func (s *supervisor) again(wait time.Duration) {
	s.stopRestart()
	s.crashes++
	if s.crashes >= crashesToRollBack && s.good != nil && !s.rolled && !s.good.current() {
		s.rolled = true
		s.counts.Rollbacks++
		s.log.Error("rolling back to the binary before", "crashes", s.crashes)
	}
	if s.crashes > 1 {
		wait = min(s.Timing.Backoff<<min(s.crashes-2, 16), s.Timing.MaxBackoff)
	}
	if wait == 0 || s.starting != nil {
		return // next starts one at once, or it is on its way
	}
	var mine *time.Timer
	mine = time.AfterFunc(wait, func() {
		s.post(func() {
			if s.restart == mine {
				s.restart = nil
				s.next()
			}
		})
	})
	s.restart = mine
}

// stopRestart has no worker started for the crash before any more.
func (s *supervisor) stopRestart() {
	if s.restart != nil {
		s.restart.Stop()
		s.restart = nil
	}
}
