package report_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

// What the paper proves: a key with more than n/limit hits is kept, no kept key has missed more than n/limit,
// and what was evicted and what is kept are all.
func TestTheTopKeepsWhatComesOftenAndLosesNoHit(t *testing.T) {
	const limit = 50
	for name, draw := range map[string]func(r *rand.Rand) int{
		"few keys":         func(r *rand.Rand) int { return r.IntN(limit) },
		"skewed":           func(r *rand.Rand) int { return int(1 / (r.Float64() + 1e-6)) },
		"all different":    func(r *rand.Rand) int { return r.IntN(1 << 40) },
		"one among others": func(r *rand.Rand) int { return r.IntN(2) * r.IntN(1<<40) },
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var evicted uint64
			top := report.NewTop(limit, func(_ string, n *uint64) { evicted += *n })
			truth := map[string]uint64{}
			const n = 100_000
			for range n {
				key := fmt.Sprint(draw(r))
				truth[key]++
				*top.Hit(key)++
			}
			kept := map[string]bool{}
			var sum uint64
			top.Each(func(key string, hits, missed uint64) {
				kept[key] = true
				sum += hits
				if hits > truth[key] || truth[key] > hits+missed || missed > n/limit {
					t.Errorf("%s came %d times: counted %d, missed at most %d", key, truth[key], hits, missed)
				}
			})
			for key, count := range truth {
				if count > n/limit && !kept[key] {
					t.Errorf("%s came %d times and is not kept", key, count)
				}
			}
			if sum+evicted != n || len(kept) > limit {
				t.Errorf("%d hits of %d keys, and %d evicted; want %d", sum, len(kept), evicted, n)
			}
		})
	}
}
