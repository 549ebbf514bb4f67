package rules_test

import (
	"errors"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Each byte is a move in a column from -1 to 8; whatever the moves, Board and
// the plain grid accept and refuse the same ones for the same reasons.
func FuzzDrop(f *testing.F) {
	for _, moves := range []string{"", "0101010", "3333333", "/789", drawnGame, lastDiscWin + "0"} {
		f.Add(moves)
	}
	f.Fuzz(func(t *testing.T, moves string) {
		var b rules.Board
		var g grid
		for i := range min(len(moves), 2*rules.Cells) {
			column := (int(moves[i])-'0'+11)%10 - 1
			next, err := b.Drop(column)
			if want := g.drop(column); !errors.Is(err, want) {
				t.Fatalf("column %d: got %v, want %v:\n%v", column, err, want, b)
			} else if want != nil && next != b {
				t.Fatalf("column %d was refused, yet the board changed to\n%v", column, next)
			}
			b = next
			g.compare(t, b)
		}
	})
}

// Parse accepts exactly the strings that Drop would, and ends where Drop does.
func FuzzParse(f *testing.F) {
	for _, moves := range []string{"", "3344", "01010101", "7", "é", drawnGame} {
		f.Add(moves)
	}
	f.Fuzz(func(t *testing.T, moves string) {
		got, err := rules.Parse(moves)
		var want rules.Board
		for i := range len(moves) {
			next, dropErr := want.Drop(int(moves[i]) - '0')
			if dropErr != nil {
				if err == nil {
					t.Fatalf("Parse accepts %q, Drop says: %v", moves, dropErr)
				}
				return
			}
			want = next
		}
		if err != nil {
			t.Fatalf("Drop accepts %q, Parse says: %v", moves, err)
		}
		if got != want {
			t.Fatalf("%q leads to\n%v\nwant\n%v", moves, got, want)
		}
	})
}
