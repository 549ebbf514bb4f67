//go:build unix

package reload

import (
	"testing"
)

func TestWhatEndedWorkersCountedIsKnownWhateverTheOrderInWhichTheyEnd(t *testing.T) {
	dir := shortDir(t)
	merge := func(ended []Snapshot) (all []byte, _ error) {
		for _, o := range ended {
			all = append(all, o.Data...)
		}
		return all, nil
	}
	s := patient(t) // the supervisor that will be killed
	hire := func(number int, phase Phase) *worker {
		up, down := channels(t)
		l, err := newLink(number, false, dir, up)
		must(t, err)
		t.Cleanup(l.Close)
		l.mu.Lock() // it listens already
		l.counter.Carry, l.phase = merge, phase
		l.mu.Unlock()
		w := &worker{number: number, pid: 1}
		w.enter(phase)
		s.attach(w, down)
		s.workers = append(s.workers, w)
		return w
	}
	ends := func(number int, data string) {
		s.bury(&worker{number: number, snapshot: &Snapshot{Worker: number, Data: []byte(data)}})
		pump(t, s, func() bool { return s.books.carrier == nil })
	}
	s.active = hire(5, Active)
	ends(2, "2")
	ends(4, "4") // worker 5 carries that
	w := hire(6, Starting)
	s.starting = w
	s.ready(w)
	ends(3, "3") // after a long drain; worker 6 carries it all
	if c := s.books.carry; c.Worker != 4 || c.Of != 3 || string(c.Data) != "243" {
		t.Fatalf("carried %+v", c)
	}
	next := patient(t)
	for _, number := range []int{5, 6} { // as the directory lists them
		must(t, next.takeOverAt(workerSocket(dir, number)))
	}
	if c := next.books.carry; c.Worker != 4 || c.Of != 3 || string(c.Data) != "243" {
		t.Errorf("the next supervisor has %+v", c)
	}
}

func TestAWorkerThatCannotSayWhatItCountedHasCountedWhatItSaidBefore(t *testing.T) {
	s := patient(t)
	a, atA := enlist(t, s, Draining)
	_, atB := enlist(t, s, Active)
	must(t, atA.send(message{Kind: kindSnapshot, Snapshot: []byte("12")}))
	must(t, atA.send(message{Kind: kindGather, ID: 4})) // one that gathers
	if m := heard(t, s, atB); m.Kind != kindSnapshot {
		t.Fatalf("heard %+v", m)
	}
	must(t, atB.send(message{Kind: kindSnapshot})) // is not kept waiting either
	if m := heard(t, s, atA); m.ID != 4 {
		t.Errorf("heard %+v", m)
	}
	must(t, atA.send(message{Kind: kindSnapshot, ID: 5})) // and its last word
	if m := heard(t, s, atA); m.ID != 5 || !a.final {
		t.Errorf("heard %+v, final %v", m, a.final)
	}
	s.bury(a)
	if ended := s.books.ended; len(ended) != 1 || string(ended[0].Data) != "12" {
		t.Errorf("what it has counted is %+v, want 12", ended)
	}

	dir := shortDir(t)
	l, down := linked(t, dir)
	down.close()
	<-l.gone
	must(t, l.Leave(within(t), nil))
	if left := collectLeft(dir); len(left) != 0 {
		t.Errorf("it has left %+v for the next supervisor", left)
	}
}
