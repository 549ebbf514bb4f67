package bot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func randomAt(r *rand.Rand, ply int) rules.Board {
	for {
		var b rules.Board
		for b.Ply() < ply && b.Outcome() == rules.Ongoing {
			var keep []int
			for _, c := range b.Moves() {
				n, _ := b.Drop(c)
				if n.Winner() == rules.None {
					keep = append(keep, c)
				}
			}
			if len(keep) == 0 {
				break
			}
			b, _ = b.Drop(keep[r.IntN(len(keep))])
		}
		if b.Ply() == ply && b.Outcome() == rules.Ongoing {
			return b
		}
	}
}

func TestTmp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, ply := range []int{0, 4, 8, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30} {
		n := 60
		maxN, sumN, stopped := 0, 0, 0
		var maxT, sum time.Duration
		for range n {
			b := randomAt(r, ply)
			t0 := time.Now()
			s := search{ctx: context.Background(), depth: rules.Cells, budget: hardBudget, table: make([]entry, hardTable)}
			s.best(positionOf(b), r)
			d := time.Since(t0)
			maxT = max(maxT, d)
			sum += d
			maxN = max(maxN, s.visited)
			sumN += s.visited
			if s.stopped {
				stopped++
			}
		}
		fmt.Println("ply", ply, "mean nodes", sumN/n, "max", maxN, "mean", sum/time.Duration(n), "max", maxT, "stopped", stopped)
	}
}
