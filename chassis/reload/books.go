//go:build unix

package reload

import (
	"os"
	"slices"
	"time"
)

// books is the supervisor's part in counting: while two workers live, and after one has died, what
// each has counted belongs to the service's figures. Only workers understand snapshots, so they
// merge them as well; the supervisor keeps them.
type books struct {
	carry   *Snapshot  // of ended workers, in one; nil before the first
	ended   []Snapshot // of ended workers that are not in carry
	carrier *worker    // who has been asked to carry; nil when nobody is
	asked   []Snapshot // what was to be carried, carry left out
	gathers []*gathering
	timeout time.Duration // gatherTimeout
}

// gathering is a worker's question for the snapshots of the others.
type gathering struct {
	by      *worker
	id      uint64
	missing []*worker // who have not answered yet
	timer   *time.Timer
}

// gatherTimeout is how long a worker may take to say what it has counted; then what it said last
// counts.
const gatherTimeout = 250 * time.Millisecond

// gather asks all living workers but by for their snapshots, and then answers by.
func (s *supervisor) gather(by *worker, id uint64) {
	g := &gathering{by: by, id: id}
	for _, w := range s.workers {
		if w != by && w.phase != Starting && !w.final {
			g.missing = append(g.missing, w)
			w.send(message{Kind: kindSnapshot})
		}
	}
	s.books.gathers = append(s.books.gathers, g)
	g.timer = time.AfterFunc(s.books.timeout, func() {
		s.post(func() {
			g.missing = nil
			s.answerGathers()
		})
	})
	s.answerGathers()
}

// answerGathers answers the questions for which nobody is waited for.
func (s *supervisor) answerGathers() {
	s.books.gathers = slices.DeleteFunc(s.books.gathers, func(g *gathering) bool {
		if len(g.missing) > 0 {
			return false
		}
		g.timer.Stop()
		if slices.Contains(s.workers, g.by) {
			g.by.send(message{Kind: kindAnswer, ID: g.id, Snapshots: s.snapshots(g.by), Status: s.status()})
		}
		return true
	})
}

// snapshots is what the workers other than except have counted, the ended ones included.
func (s *supervisor) snapshots(except *worker) []Snapshot {
	all := s.uncarried()
	for _, w := range s.workers {
		if w != except && w.snapshot != nil {
			all = append(all, *w.snapshot)
		}
	}
	return all
}

// uncarried is what ended workers have counted.
func (s *supervisor) uncarried() []Snapshot {
	var all []Snapshot
	if s.books.carry != nil {
		all = append(all, *s.books.carry)
	}
	return append(all, s.books.ended...)
}

// deposit keeps what a worker has counted. After its last word nothing counts that was on its way.
// One that could not say it sends nothing, and then what it said before counts.
func (s *supervisor) deposit(w *worker, data []byte) {
	if w.final {
		return
	}
	if len(data) > 0 {
		w.snapshot = &Snapshot{Worker: w.number, Living: true, Data: data}
	}
	s.heard(w)
}

// heard notes that w has nothing more to say to those who gather.
func (s *supervisor) heard(w *worker) {
	for _, g := range s.books.gathers {
		g.missing = slices.DeleteFunc(g.missing, func(o *worker) bool { return o == w })
	}
	s.answerGathers()
}

// bury keeps what a worker that has ended had counted.
func (s *supervisor) bury(w *worker) {
	if w.snapshot != nil {
		s.books.ended = append(s.books.ended, Snapshot{Worker: w.number, Data: w.snapshot.Data})
	}
	if s.books.carrier == w {
		s.books.carrier, s.books.asked = nil, nil
	}
	if s.dir() != "" {
		_ = os.Remove(workerSocket(s.Directory, w.number)) // a worker that was killed leaves it
	}
	s.heard(w)
	s.askToCarry()
}

// askToCarry has the active worker make one snapshot of those of ended workers, so that there are
// never many.
func (s *supervisor) askToCarry() {
	if s.active == nil || s.books.carrier != nil || len(s.books.ended) == 0 {
		return
	}
	s.books.carrier = s.active
	s.books.asked = slices.Clone(s.books.ended)
	s.active.send(message{Kind: kindCarry, Snapshots: s.uncarried()})
}

// carried takes the one snapshot in place of those it was made of.
func (s *supervisor) carried(w *worker, data []byte) {
	if s.books.carrier != w {
		return
	}
	carried := s.books.asked
	if s.books.carry != nil {
		carried = append(carried, *s.books.carry)
	}
	s.books.ended = s.books.ended[len(s.books.asked):]
	s.books.carrier, s.books.asked = nil, nil
	s.books.carry = ofAll(carried, data)
	s.askToCarry()
}
