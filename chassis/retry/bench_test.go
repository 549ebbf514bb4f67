package retry_test

import (
	"crypto/rand"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// BenchmarkAccepted is what the rules cost a request that is accepted.
func BenchmarkAccepted(b *testing.B) {
	p := retry.New("game", retry.Config{}, clock.Real(), rand.Reader)
	b.ReportAllocs()
	for b.Loop() {
		r, err := p.Begin()
		if err != nil {
			b.Fatal(err)
		}
		r.Attempted(retry.Accepted)
	}
}
