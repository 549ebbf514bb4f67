package retry_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

func TestWhatRunsApartEndsWhoeverWaitsForItAsItEnded(t *testing.T) {
	for name, c := range map[string]struct {
		f      func() string
		says   string
		panics any // its value
		exits  bool
	}{
		"it returns":                      {f: func() string { return "done" }, says: "done"},
		"it panics":                       {f: func() string { panic("oops") }, panics: "oops"},
		"it panics with an error":         {f: func() string { panic(io.ErrUnexpectedEOF) }, panics: io.ErrUnexpectedEOF},
		"it ends its goroutine":           {f: func() string { runtime.Goexit(); return "" }, exits: true},
		"it recovers from its own panics": {f: func() (s string) { defer func() { s = recover().(string) }(); panic("oops") }, says: "oops"},
	} {
		t.Run(name, func(t *testing.T) {
			said, passed, left := "", any(nil), make(chan bool)
			returned := false
			go func() {
				defer close(left)
				defer func() { passed = recover() }()
				type result struct {
					said string
					end  retry.Ending
				}
				results := make(chan result)
				retry.Apart(c.f, func(s string, e retry.Ending) { results <- result{s, e} })
				r := <-results
				r.end.Pass()
				said, returned = r.said, true
			}()
			<-left
			if said != c.says || returned != (c.panics == nil && !c.exits) || (passed != nil) != (c.panics != nil) {
				t.Fatalf("said %q, returned %v, panicked with %v", said, returned, passed)
			}
			if c.panics == nil {
				return
			}
			p, ok := passed.(*retry.Panic)
			if !ok || !strings.Contains(string(p.Stack), "apart_test.go") || !strings.Contains(p.Error(), string(p.Stack)) {
				t.Fatalf("passed on %T: %v", passed, passed)
			}
			if err, isError := c.panics.(error); isError {
				if !errors.Is(p, err) {
					t.Errorf("%v is not %v", p, err)
				}
			} else if p.Value != c.panics || errors.Unwrap(p) != nil {
				t.Errorf("passed on %v, which unwraps to %v", p.Value, errors.Unwrap(p))
			}
		})
	}
}
