package rules_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// The number of distinct positions after n plies on the 7×6 grid, where a
// finished game is counted and not continued: sequence A212693 of the On-Line
// Encyclopedia of Integer Sequences, by John Tromp and by Stefan Edelkamp and
// Peter Kissmann, who counted independently of each other.
var positionsAfter = []int{1, 7, 49, 238, 1120, 4263, 16422, 54859, 184275, 558186, 1662623}

func TestTheNumberOfPositionsIsThePublishedOne(t *testing.T) {
	last := len(positionsAfter) - 1
	if testing.Short() {
		last = 8
	}
	positions := map[rules.Board]struct{}{{}: {}}
	for ply := 0; ; ply++ {
		if got, want := len(positions), positionsAfter[ply]; got != want {
			t.Fatalf("there are %d positions after %d plies, want %d", got, ply, want)
		}
		if ply == last {
			return
		}
		next := make(map[rules.Board]struct{}, positionsAfter[ply+1])
		for b := range positions {
			for _, column := range b.Moves() {
				after, err := b.Drop(column)
				if err != nil {
					t.Fatalf("column %d is offered as a move, but: %v\n%v", column, err, b)
				}
				next[after] = struct{}{}
			}
		}
		positions = next
	}
}
