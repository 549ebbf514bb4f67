package journaltest

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Promises are the names of all rules.
func Promises() (names []string) {
	for _, r := range rules() {
		names = append(names, r.promise)
	}
	return names
}

// Breaks reports whether the rule of the given promise fails, on a record instead of t.
func Breaks(t *testing.T, promise string, open func(t testing.TB) journal.Journal, reopen func(t testing.TB, closed journal.Journal) journal.Journal) bool {
	rec := &record{TB: t}
	for _, r := range rules() {
		if r.promise != promise {
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.run(rec, suite{open: open, reopen: reopen, patience: time.Second / 2})
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
