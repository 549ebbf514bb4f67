package jetstream_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// asked returns where the batches begin that the script is asked for, the next n of them. The i-th is
// answered by answer, or by the script when that is nil or returns false.
func (s *script) asked(n int, answer func(i int, m *nats.Msg) bool) (begins func() []int) {
	var asked []int
	for i := range n {
		s.on(directGet, func(m *nats.Msg) bool {
			var q ask
			if err := json.Unmarshal(m.Data, &q); err != nil {
				s.t.Error(err)
			}
			asked = append(asked, q.Seq)
			if answer == nil || !answer(i, m) {
				s.direct(m, "J")
			}
			return true
		})
	}
	return func() []int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return asked
	}
}

// crowd stores n events with so much data each, the last two bytes of which count them.
func crowd(t *testing.T, j journal.Journal, n, size int) {
	t.Helper()
	events := make([]journal.Event, 0, 200)
	for i := range n {
		data := make([]byte, size)
		data[size-2], data[size-1] = byte(i>>8), byte(i)
		if events = append(events, note(fmt.Sprint(i), string(data))); len(events) == cap(events) || i == n-1 {
			must(t, j, "s", journal.Any, events...)
			events = events[:0]
		}
	}
}

// wantCrowd reads what crowd stored.
func wantCrowd(t *testing.T, j journal.Journal, n int) {
	t.Helper()
	i := 0
	for e, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err != nil {
			t.Fatalf("after %d events: %v", i, err)
		}
		if size := len(e.Data); e.Position != journal.Position(i+1) || int(e.Data[size-2])<<8|int(e.Data[size-1]) != i {
			t.Fatalf("event number %d is at position %d, %x", i, e.Position, e.Data[size-2:])
		}
		i++
	}
	if i != n {
		t.Fatalf("%d events, want %d", i, n)
	}
}

func TestBatchesAreAskedForAheadAndReadInTheirOrder(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	const events = 1800
	crowd(t, j, events, 2)
	var held []*nats.Msg
	begins := s.asked(4, func(i int, m *nats.Msg) bool {
		if held = append(held, m); i < 2 {
			return true
		}
		for _, m := range slices.Backward(held) { // the last first
			s.direct(m, "J")
		}
		held = nil
		return true
	})
	wantCrowd(t, j, events)
	if want := []int{1, 513, 1025, 1537}; !slices.Equal(begins(), want) {
		t.Errorf("batches from %v were asked for, want %v, each once and the first three at once", begins(), want)
	}
}

func TestAfterAFailureOneBatchIsAskedForAtATime(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	const events = 1800
	crowd(t, j, events, 2)
	begins := s.asked(7, func(i int, m *nats.Msg) bool {
		if i == 0 {
			s.status(m, "503", "")
		}
		return i == 0
	})
	wantCrowd(t, j, events)
	if want := []int{1, 513, 1025, 1, 513, 1025, 1537}; !slices.Equal(begins(), want) {
		t.Errorf("batches from %v were asked for, want %v", begins(), want)
	}
}

func TestLargeEventsAreNotAskedForAhead(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	const events = 1100 // of which a batch holds less than 400
	crowd(t, j, events, 3000)
	begins := s.asked(6, nil)
	wantCrowd(t, j, events)
	got := begins()
	if n := s.pending(); n != 0 || !slices.IsSorted(got[3:]) || got[3] >= got[1] {
		t.Errorf("batches from %v were asked for, and %d fewer than expected; want three at once, and then three that go on where the one before ends", got, n)
	}
}
