//go:build unix

package reload

import (
	"os/exec"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestABinaryThatServesAfterARollbackHasItsCrashesForgotten(t *testing.T) {
	s := patient(t)
	w, _ := enlist(t, s, Active)
	s.rolled, s.crashes = true, crashesToRollBack
	s.proven(w)
	if s.crashes != 0 {
		t.Errorf("%d crashes in a row are remembered of a worker that has served", s.crashes)
	}
	if s.good != nil {
		t.Error("what was rolled back to is noted anew as what to roll back to")
	}
	s.crashed(w, &exit{})
	if s.restart != nil {
		t.Error("the first crash after a long while has to wait")
	}
}

func TestAWorkerThatIsToEndKeepsItsAlarmWhateverItStillSays(t *testing.T) {
	child := exec.Command(need.Program(t, "sleep", "coreutils"), "60")
	must(t, child.Start())
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	hello := message{Kind: kindHello, Hello: &hello{Limits: Limits{Start: time.Hour}}}
	s := patient(t)
	w, _ := enlist(t, s, Starting)
	s.starting, w.process = w, child.Process
	s.stop(nil)
	stop := w.timer
	s.received(w, hello, nil)
	if w.timer != stop {
		t.Error("a start has its time although the service stops")
	}
	s.hurry()
	second := w.timer
	s.received(w, hello, nil)
	if w.timer != second {
		t.Error("a start has its time although the service ends at once")
	}

	other := patient(t)
	w, _ = enlist(t, other, Starting)
	other.starting = w
	other.exited(w, &exit{})
	ended := w.timer
	other.received(w, hello, nil)
	if w.timer != ended {
		t.Error("a start has its time although it has ended")
	}
}
