package bot_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Red wins from the empty board, and only by starting in the centre: proven by
// James D. Allen and, independently, by Victor Allis in 1988.
func TestHardOpensInTheCentre(t *testing.T) {
	for seed := range uint64(20) {
		if _, column := move(t, rules.Board{}, bot.Hard, seeded(seed)); column != 3 {
			t.Errorf("seed %d opens in column %d, want 3", seed, column)
		}
	}
}

// Positions with their scores as published with Pascal Pons' solver, "Solving
// Connect 4: how to build a perfect AI", part 2, and in its test sets.
// Columns are counted from 1. A score s > 0 says that the side to move wins with
// its disc number 22-s and s < 0 that it loses to the opponent's disc number
// 22+s, if both play the best moves; 0 is a draw.
var published = []struct {
	moves string
	score int
}{
	{"4455", 18},
	{"44455554221", -15},
	{"2252576253462244111563365343671351441", -1},
	{"7422341735647741166133573473242566", 1},
	{"23163416124767223154467471272416755633", 0},
	{"71255763773133525731261364622167124446454", 0},
	{"65214673556155731566316327373221417", -1},
	{"52677675164321472411331752454", 0},
	{"3135151421347443544172316522225776773566", 0},
	{"562154564361751726662253737734213275114", 0},
	{"233377345754465174223731671122611552", 1},
	{"6763525635134453444361412671365712", -1},
	{"3146762114467714356347741621375222", -1},
	{"67152117737262713366376314254", 6},
	{"2762751722231276466633475674533", 5},
	{"3642756176227637211322113551637574556", 2},
	{"22647455554314246733661634615122372377511", 0},
	{"427566236745127177115664464254", 2},
	{"7172212567451542223676134464437761515", 0},
	{"641154574541323641152467137655232232366", 0},
	{"5775265212657176476365522624313714333", 2},
	{"3575316255751336464276636772271112", -3},
}

func TestHardAgainstItselfEndsWhereThePublishedSolutionDoes(t *testing.T) {
	random := seeded(5)
	for _, test := range published {
		var b rules.Board
		for _, digit := range test.moves {
			next, err := b.Drop(int(digit - '1'))
			if err != nil {
				t.Fatal(err)
			}
			b = next
		}
		winner, discs := rules.None, rules.Cells/2
		switch {
		case test.score > 0:
			winner, discs = b.Turn(), 22-test.score
		case test.score < 0:
			winner, discs = b.Turn().Opponent(), 22+test.score
		}
		ply := 2 * discs
		if winner == rules.Red {
			ply--
		}
		end := game(t, b, bot.Hard, bot.Hard, random)
		if end.Winner() != winner || end.Ply() != ply {
			t.Errorf("%s ended after %d plies, winner %v; want %d plies, winner %v:\n%v",
				test.moves, end.Ply(), end.Winner(), ply, winner, end)
		}
	}
}

// minimax returns how the game ends for the side to move if both play the best
// moves, by playing them all: 0 for a draw, else the number of cells left empty
// plus one, negative for a loss. It shares nothing with the search under test.
func minimax(b rules.Board, known map[rules.Board]int) int {
	switch b.Outcome() {
	case rules.Draw:
		return 0
	case rules.RedWins, rules.YellowWins:
		return -(rules.Cells - b.Ply() + 1)
	}
	if value, ok := known[b]; ok {
		return value
	}
	best := -rules.Cells
	for _, column := range b.Moves() {
		next, _ := b.Drop(column)
		best = max(best, -minimax(next, known))
	}
	known[b] = best
	return best
}

// The positions come from games of Medium against itself, which last longer and
// end in finer positions than random ones.
func TestHardPlaysTheLastTwelvePliesPerfectly(t *testing.T) {
	random := seeded(9)
	positions, wins, draws, losses := 0, 0, 0, 0
	want := 150
	if testing.Short() {
		want = 30
	}
	for positions < want {
		var b rules.Board
		for b.Outcome() == rules.Ongoing && b.Ply() < 30 {
			b, _ = move(t, b, bot.Medium, random)
		}
		known := map[rules.Board]int{}
		for b.Outcome() == rules.Ongoing {
			value := minimax(b, known)
			next, column := move(t, b, bot.Hard, random)
			if got := -minimax(next, known); got != value {
				t.Fatalf("column %d is worth %d, the best move %d:\n%v", column, got, value, b)
			}
			positions++
			switch {
			case value > 0:
				wins++
			case value < 0:
				losses++
			default:
				draws++
			}
			// Medium goes on, so that Hard must also punish mistakes.
			if b = next; b.Outcome() == rules.Ongoing {
				b, _ = move(t, b, bot.Medium, random)
			}
		}
	}
	t.Logf("%d won, %d drawn and %d lost positions", wins, draws, losses)
	if min(wins, draws, losses) < 5 {
		t.Errorf("%d won, %d drawn and %d lost positions are too few of a kind to show anything", wins, draws, losses)
	}
}
