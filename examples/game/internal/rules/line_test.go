package rules_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// grid is a second implementation of the rules to compare with: a plain array
// of cells, looked at one by one.
type grid struct {
	cells [rules.Columns][rules.Rows]rules.Side
	ply   int
}

// allLines are the 69 places four in line can be, cell by cell.
var allLines = func() (lines [][4]rules.Cell) {
	for column := range rules.Columns {
		for row := range rules.Rows {
			for _, step := range []rules.Cell{{1, 0}, {0, 1}, {1, 1}, {1, -1}} {
				var line [4]rules.Cell
				for i := range line {
					line[i] = rules.Cell{Column: column + i*step.Column, Row: row + i*step.Row}
				}
				last := line[3]
				if last.Column < rules.Columns && last.Row < rules.Rows && last.Row >= 0 {
					lines = append(lines, line)
				}
			}
		}
	}
	return lines
}()

// wonLines returns the indexes in allLines of the lines one side has filled.
func (g *grid) wonLines() (won []int) {
	for i, line := range allLines {
		side := g.at(line[0])
		if side != rules.None && g.at(line[1]) == side && g.at(line[2]) == side && g.at(line[3]) == side {
			won = append(won, i)
		}
	}
	return won
}

func (g *grid) at(cell rules.Cell) rules.Side { return g.cells[cell.Column][cell.Row] }

func (g *grid) outcome() rules.Outcome {
	if won := g.wonLines(); len(won) > 0 {
		if g.at(allLines[won[0]][0]) == rules.Red {
			return rules.RedWins
		}
		return rules.YellowWins
	}
	if g.ply == rules.Cells {
		return rules.Draw
	}
	return rules.Ongoing
}

// winningCells returns the cells of all won lines in the order of WinningLine.
func (g *grid) winningCells() (cells []rules.Cell) {
	for _, i := range g.wonLines() {
		cells = append(cells, allLines[i][:]...)
	}
	slices.SortFunc(cells, func(a, b rules.Cell) int {
		return (a.Column-b.Column)*rules.Rows + a.Row - b.Row
	})
	return slices.Compact(cells)
}

// drop plays column and returns the error that Board.Drop must wrap.
func (g *grid) drop(column int) error {
	if column < 0 || column >= rules.Columns {
		return rules.ErrNoColumn
	}
	if g.outcome() != rules.Ongoing {
		return rules.ErrGameOver
	}
	if !g.place(column) {
		return rules.ErrColumnFull
	}
	return nil
}

// place puts the next disc on top of column and reports whether it fits.
func (g *grid) place(column int) bool {
	for row, side := range g.cells[column] {
		if side == rules.None {
			g.cells[column][row] = g.mover()
			g.ply++
			return true
		}
	}
	return false
}

func (g *grid) mover() rules.Side {
	if g.ply%2 == 0 {
		return rules.Red
	}
	return rules.Yellow
}

// compare reports every difference between what the board and the grid say.
func (g *grid) compare(t *testing.T, b rules.Board) {
	t.Helper()
	turn, winner := g.mover(), rules.None
	switch g.outcome() {
	case rules.RedWins:
		turn, winner = rules.None, rules.Red
	case rules.YellowWins:
		turn, winner = rules.None, rules.Yellow
	case rules.Draw:
		turn = rules.None
	}
	if b.Ply() != g.ply || b.Turn() != turn || b.Outcome() != g.outcome() || b.Winner() != winner {
		t.Errorf("ply %d, turn %v, %v, winner %v; want ply %d, turn %v, %v, winner %v:\n%v",
			b.Ply(), b.Turn(), b.Outcome(), b.Winner(), g.ply, turn, g.outcome(), winner, b)
	}
	if got, want := b.WinningLine(), g.winningCells(); !slices.Equal(got, want) {
		t.Errorf("the winning line is %v, want %v:\n%v", got, want, b)
	}
	var moves []int
	for column, cells := range g.cells {
		height := 0
		for row, side := range cells {
			if side != rules.None {
				height++
			}
			if got := b.At(column, row); got != side {
				t.Errorf("At(%d, %d) is %v, want %v:\n%v", column, row, got, side, b)
			}
		}
		if b.Height(column) != height {
			t.Errorf("the height of column %d is %d, want %d:\n%v", column, b.Height(column), height, b)
		}
		if height < rules.Rows && turn != rules.None {
			moves = append(moves, column)
		}
	}
	if !slices.Equal(b.Moves(), moves) {
		t.Errorf("the moves are %v, want %v:\n%v", b.Moves(), moves, b)
	}
}

func TestTheGridHas69Lines(t *testing.T) {
	if len(allLines) != 69 {
		t.Fatalf("there are %d lines, want 69", len(allLines))
	}
}

// playRandomly plays random moves to the end of a game on both a board and a
// grid, and calls each after every move.
func playRandomly(t *testing.T, random *rand.Rand, each func(*grid, rules.Board)) (*grid, rules.Board) {
	t.Helper()
	var b rules.Board
	var g grid
	for b.Outcome() == rules.Ongoing {
		column := random.IntN(rules.Columns)
		if b.Height(column) == rules.Rows {
			continue
		}
		next, err := b.Drop(column)
		if err != nil {
			t.Fatal(err)
		}
		b = next
		g.place(column)
		each(&g, b)
	}
	return &g, b
}

func TestEveryPositionOfRandomGamesAgreesWithAPlainGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		playRandomly(t, random, func(g *grid, b rules.Board) { g.compare(t, b) })
		if t.Failed() {
			return
		}
	}
}

// Random games are played until each of the 69 lines has been the only one
// that won, for either side.
func TestEveryLineWinsForEitherSide(t *testing.T) {
	type win struct {
		line int
		side rules.Side
	}
	random := rand.New(rand.NewPCG(69, 2))
	seen := map[win]bool{}
	games := 0
	for ; len(seen) < 2*len(allLines); games++ {
		if games == 200_000 {
			t.Fatalf("only %d of %d wins came up in %d games", len(seen), 2*len(allLines), games)
		}
		g, b := playRandomly(t, random, func(*grid, rules.Board) {})
		won := g.wonLines()
		if len(won) != 1 || seen[win{won[0], b.Winner()}] {
			continue
		}
		seen[win{won[0], b.Winner()}] = true
		g.compare(t, b)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d games", games)
}

func TestGameEnds(t *testing.T) {
	for _, test := range []struct {
		name, moves string
		want        rules.Outcome
		line        []rules.Cell
	}{
		{"across", "0011223", rules.RedWins, []rules.Cell{{0, 0}, {1, 0}, {2, 0}, {3, 0}}},
		{"up", "0101010", rules.RedWins, []rules.Cell{{0, 0}, {0, 1}, {0, 2}, {0, 3}}},
		{"rising", "01122323363", rules.RedWins, []rules.Cell{{0, 0}, {1, 1}, {2, 2}, {3, 3}}},
		{"falling", "65544343303", rules.RedWins, []rules.Cell{{3, 3}, {4, 2}, {5, 1}, {6, 0}}},
		{"yellow up", "60101010", rules.YellowWins, []rules.Cell{{0, 0}, {0, 1}, {0, 2}, {0, 3}}},
		{"six in a row", "552233123621241026565554", rules.YellowWins,
			[]rules.Cell{{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}}},
		{"two lines at once", "3561655264436", rules.RedWins,
			[]rules.Cell{{3, 0}, {4, 1}, {5, 2}, {6, 0}, {6, 1}, {6, 2}, {6, 3}}},
		{"four lines at once", "653454353156520245264026143", rules.RedWins,
			[]rules.Cell{{0, 0}, {1, 1}, {2, 2}, {2, 3}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {4, 2}, {4, 3}, {5, 1}, {5, 3}, {6, 0}}},
		{"a full grid without a line", drawnGame, rules.Draw, nil},
		{"a line made by the last disc that fits", lastDiscWin, rules.YellowWins,
			[]rules.Cell{{2, 5}, {3, 4}, {4, 3}, {5, 2}}},

		// What would be four in line if the grid were rolled up.
		{"no line from the top of a column into the next", "100003030", rules.Ongoing, nil},
		{"no line from the end of a row into the next", "4055660", rules.Ongoing, nil},
		{"no line over the sides in one row", "0011556", rules.Ongoing, nil},
		{"no line of three", "061626", rules.Ongoing, nil},
		{"no line with a gap", "0011334", rules.Ongoing, nil},
		{"no line of two colours", "0123", rules.Ongoing, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := play(t, test.moves)
			if got := b.Outcome(); got != test.want {
				t.Errorf("the outcome is %v, want %v:\n%v", got, test.want, b)
			}
			if got := b.WinningLine(); !slices.Equal(got, test.line) {
				t.Errorf("the line is %v, want %v:\n%v", got, test.line, b)
			}
		})
	}
}
