package failure_test

import (
	"errors"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

var (
	benchCodes  = failure.NewSet("bench")
	benchCaller = benchCodes.Caller(1001, "asked for too much")
	benchStore  = benchCodes.Dependency(1002, "the store does not answer")
)

// Benchmark a failure as a handler makes it, about as deep below the server as handlers are.
func BenchmarkMake(b *testing.B) {
	cause := errors.New("connection refused")
	for name, code := range map[string]*failure.Code{"caller": benchCaller, "dependency": benchStore} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				made = deep(12, func() error { return code.Wrap(cause) })
			}
		})
	}
}

// made keeps what is measured from being left out.
var made error

//go:noinline
func deep(calls int, f func() error) error {
	if calls == 0 {
		return f()
	}
	return deep(calls-1, f)
}
