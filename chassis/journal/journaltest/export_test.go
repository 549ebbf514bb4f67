package journaltest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Promises are the names of all rules.
func Promises() (names []string) {
	for _, r := range rules() {
		names = append(names, r.promise)
	}
	return names
}

// OpensTwice reports whether the rule of the given promise opens a journal that exists.
func OpensTwice(promise string) bool {
	for _, r := range rules() {
		if r.promise == promise {
			return r.reopens || r.peers || r.promise == "closing answers every append, and truly"
		}
	}
	return false
}

// A Maker opens journals for rules; what it leaves nil is an option that was not given.
type Maker struct {
	Open    func(testing.TB) journal.Journal
	Reopen  func(t testing.TB, closed journal.Journal) journal.Journal
	Peer    func(t testing.TB, first journal.Journal) journal.Journal
	Clocked func(testing.TB, clock.Clock) journal.Journal
}

// Breaks reports whether the rule of the given promise fails, on a record instead of t.
func Breaks(t *testing.T, promise string, m Maker) bool {
	rec := &record{TB: t}
	for _, r := range rules() {
		if r.promise != promise {
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.run(rec, suite{open: m.Open, reopen: m.Reopen, peer: m.Peer, clocked: m.Clocked, patience: time.Second / 2})
		}()
		<-done
	}
	return rec.failed
}

// A record is a test that may fail.
type record struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (r *record) Helper() {}
func (r *record) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *record) Logf(string, ...any)   {}
func (r *record) Errorf(string, ...any) { r.fail() }
func (r *record) Error(...any)          { r.fail() }
func (r *record) Fatalf(string, ...any) { r.fail(); runtime.Goexit() }
func (r *record) Fatal(...any)          { r.fail(); runtime.Goexit() }
func (r *record) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}
