package rules_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Whole games that end on the last disc that fits.
const (
	drawnGame   = "510465540343244065342100053663125613621221"
	lastDiscWin = "336114413045645343650210532640065222065112"
)

func play(t *testing.T, moves string) rules.Board {
	t.Helper()
	b, err := rules.Parse(moves)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheZeroBoardIsEmptyAndRedMovesFirst(t *testing.T) {
	var b rules.Board
	if b.Turn() != rules.Red || b.Ply() != 0 || b.Outcome() != rules.Ongoing || b.Winner() != rules.None {
		t.Errorf("got turn %v, ply %d, %v, winner %v", b.Turn(), b.Ply(), b.Outcome(), b.Winner())
	}
	if want := []int{0, 1, 2, 3, 4, 5, 6}; !slices.Equal(b.Moves(), want) {
		t.Errorf("moves are %v, want %v", b.Moves(), want)
	}
}

func TestDiscsStackUpAndSidesAlternate(t *testing.T) {
	b := play(t, "3334")
	for row, want := range []rules.Side{rules.Red, rules.Yellow, rules.Red, rules.None} {
		if got := b.At(3, row); got != want {
			t.Errorf("column 3 row %d holds %v, want %v", row, got, want)
		}
	}
	if got := b.At(4, 0); got != rules.Yellow {
		t.Errorf("column 4 row 0 holds %v, want yellow", got)
	}
	if b.Height(3) != 3 || b.Height(4) != 1 || b.Height(0) != 0 {
		t.Errorf("heights are %d, %d, %d, want 3, 1, 0", b.Height(3), b.Height(4), b.Height(0))
	}
	if b.Turn() != rules.Red || b.Ply() != 4 {
		t.Errorf("got turn %v at ply %d, want red at 4", b.Turn(), b.Ply())
	}
}

func TestDiscsAreTheBitsOfOneSide(t *testing.T) {
	b := play(t, "0610")
	if got, want := b.Discs(rules.Red), uint64(1|1<<7); got != want {
		t.Errorf("red holds %#x, want %#x", got, want)
	}
	if got, want := b.Discs(rules.Yellow), uint64(1<<42|1<<1); got != want {
		t.Errorf("yellow holds %#x, want %#x", got, want)
	}
	if got := b.Discs(rules.None); got != 0 {
		t.Errorf("none holds %#x, want 0", got)
	}
}

func TestOutsideTheGridThereIsNothing(t *testing.T) {
	b := play(t, drawnGame)
	for _, cell := range []rules.Cell{{-1, 0}, {7, 0}, {0, -1}, {0, 6}} {
		if got := b.At(cell.Column, cell.Row); got != rules.None {
			t.Errorf("At(%d, %d) is %v, want none", cell.Column, cell.Row, got)
		}
	}
	if b.Height(-1) != 0 || b.Height(7) != 0 {
		t.Errorf("heights outside are %d and %d, want 0", b.Height(-1), b.Height(7))
	}
}

func TestPositionsReachedInDifferentOrdersAreEqual(t *testing.T) {
	if a, b := play(t, "012"), play(t, "210"); a != b {
		t.Errorf("boards differ:\n%v\n%v", a, b)
	}
	if a, b := play(t, "012"), play(t, "102"); a == b {
		t.Errorf("boards with swapped colours are equal:\n%v", a)
	}
}

func TestDropRefusesAndLeavesTheBoardUnchanged(t *testing.T) {
	reasons := []error{rules.ErrNoColumn, rules.ErrColumnFull, rules.ErrGameOver}
	for _, test := range []struct {
		name, moves string
		column      int
		want        error
		text        string
	}{
		{"a column left of the grid", "", -1, rules.ErrNoColumn,
			"drop a disc in column -1: no such column, the columns are 0 to 6"},
		{"a column right of the grid", "", 7, rules.ErrNoColumn,
			"drop a disc in column 7: no such column, the columns are 0 to 6"},
		{"a full column", "333333", 3, rules.ErrColumnFull,
			"drop a disc in column 3: the column is full"},
		{"a move after a win", "0101010", 2, rules.ErrGameOver,
			"drop a disc in column 2: the game is over (red wins)"},
		{"a move after a draw", drawnGame, 2, rules.ErrGameOver,
			"drop a disc in column 2: the game is over (draw)"},
		{"a column that does not exist after the game", "0101010", 9, rules.ErrNoColumn,
			"drop a disc in column 9: no such column, the columns are 0 to 6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := play(t, test.moves)
			after, err := before.Drop(test.column)
			for _, reason := range reasons {
				if got := errors.Is(err, reason); got != (reason == test.want) {
					t.Errorf("errors.Is(%v, %v) is %t", err, reason, got)
				}
			}
			if err != nil && err.Error() != test.text {
				t.Errorf("the error reads %q, want %q", err, test.text)
			}
			if after != before {
				t.Errorf("the board changed to\n%v", after)
			}
		})
	}
}

func TestParseNamesTheMoveThatFails(t *testing.T) {
	for _, test := range []struct {
		name, moves string
		want        error
		text        string
	}{
		{"a digit too high", "337", rules.ErrNoColumn,
			`move 3 of "337": column '7': no such column, the columns are 0 to 6`},
		{"a character below the digits", "3/", rules.ErrNoColumn,
			`move 2 of "3/": column '/': no such column, the columns are 0 to 6`},
		{"a full column", "3333333", rules.ErrColumnFull,
			`move 7 of "3333333": drop a disc in column 3: the column is full`},
		{"a move after the end", "01010101", rules.ErrGameOver,
			`move 8 of "01010101": drop a disc in column 1: the game is over (red wins)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := rules.Parse(test.moves)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err.Error() != test.text {
				t.Errorf("the error reads %q, want %q", err, test.text)
			}
			if b != (rules.Board{}) {
				t.Errorf("the board is not empty:\n%v", b)
			}
		})
	}
}

func TestFullColumnsAreNoMoves(t *testing.T) {
	if got, want := play(t, "000000333333").Moves(), []int{1, 2, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("moves are %v, want %v", got, want)
	}
}

func TestAFinishedGameHasNoTurnAndNoMoves(t *testing.T) {
	for _, moves := range []string{"0101010", "60101010", drawnGame, lastDiscWin} {
		b := play(t, moves)
		if b.Turn() != rules.None || len(b.Moves()) != 0 {
			t.Errorf("after %s it is the turn of %v with moves %v", moves, b.Turn(), b.Moves())
		}
	}
}

func TestStringDrawsTheBoardTopRowFirst(t *testing.T) {
	want := strings.Join([]string{
		". . . . . . .",
		". . . . . . .",
		". . . . . . .",
		". . . Y . . .",
		". . . R . . .",
		"Y . . R . . R",
		"0 1 2 3 4 5 6",
	}, "\n")
	if got := play(t, "30336").String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSidesAndOutcomesHaveNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{rules.None.String(), "none"},
		{rules.Red.String(), "red"},
		{rules.Yellow.String(), "yellow"},
		{rules.Side(9).String(), "Side(9)"},
		{rules.Ongoing.String(), "ongoing"},
		{rules.RedWins.String(), "red wins"},
		{rules.YellowWins.String(), "yellow wins"},
		{rules.Draw.String(), "draw"},
		{rules.Outcome(9).String(), "Outcome(9)"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestOpponentsFaceEachOther(t *testing.T) {
	for side, want := range map[rules.Side]rules.Side{
		rules.Red: rules.Yellow, rules.Yellow: rules.Red, rules.None: rules.None,
	} {
		if got := side.Opponent(); got != want {
			t.Errorf("the opponent of %v is %v, want %v", side, got, want)
		}
	}
}
