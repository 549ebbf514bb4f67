package rules

import (
	"errors"
	"fmt"
	"math/bits"
)

// The size of the grid.
const (
	Columns = 7
	Rows    = 6
	Cells   = Columns * Rows
)

// The reasons for which [Board.Drop] and [Parse] refuse a move. Test for them
// with errors.Is: what is returned wraps one of them and names the column.
var (
	ErrNoColumn   = errors.New("no such column, the columns are 0 to 6")
	ErrColumnFull = errors.New("the column is full")
	ErrGameOver   = errors.New("the game is over")
)

// Each column takes one bit more than it has rows. The spare bit on top is
// never set, so a shifted line cannot run over into the next column.
const stride = Rows + 1

// columnMask is column 0, all rows.
const columnMask uint64 = 1<<Rows - 1

// full is the set of all cells.
const full = columnMask * (1 | 1<<stride | 1<<(2*stride) | 1<<(3*stride) |
	1<<(4*stride) | 1<<(5*stride) | 1<<(6*stride))

// directions are the shifts that lead from a cell to its neighbour above, to
// the right, to the lower right and to the upper right.
var directions = [...]int{1, stride, stride - 1, stride + 1}

// Board is a position of Connect Four: which cells hold a red disc and which
// a yellow one. The zero value is the empty board with Red to move.
type Board struct {
	red, yellow uint64
}

// Drop returns the position after the side to move drops a disc into column,
// which must be 0 to 6. It refuses, in this order, a column that does not exist
// (ErrNoColumn), any move once the game is over (ErrGameOver) and a column that
// is full (ErrColumnFull); b is then returned unchanged.
func (b Board) Drop(column int) (Board, error) {
	if column < 0 || column >= Columns {
		return b, fmt.Errorf("drop a disc in column %d: %w", column, ErrNoColumn)
	}
	if outcome := b.Outcome(); outcome != Ongoing {
		return b, fmt.Errorf("drop a disc in column %d: %w (%v)", column, ErrGameOver, outcome)
	}
	disc := b.landing(column)
	if disc == 0 {
		return b, fmt.Errorf("drop a disc in column %d: %w", column, ErrColumnFull)
	}
	if b.mover() == Red {
		b.red |= disc
	} else {
		b.yellow |= disc
	}
	return b, nil
}

// Parse returns the position reached from the empty board by moves, one digit
// '0' to '6' for the column of each move. An error names the move that failed,
// counted from 1, and wraps what [Board.Drop] refuses moves with.
func Parse(moves string) (Board, error) {
	var b Board
	for i := range len(moves) {
		digit := moves[i]
		if digit < '0' || digit >= '0'+Columns {
			return Board{}, fmt.Errorf("move %d of %q: column %q: %w", i+1, moves, digit, ErrNoColumn)
		}
		next, err := b.Drop(int(digit - '0'))
		if err != nil {
			return Board{}, fmt.Errorf("move %d of %q: %w", i+1, moves, err)
		}
		b = next
	}
	return b, nil
}

// landing returns the cell in which a disc dropped into column comes to rest,
// or 0 if the column is full. Adding the column's lowest bit to its filled
// cells carries into the first free one.
func (b Board) landing(column int) uint64 {
	shift := column * stride
	return ((b.red|b.yellow)>>shift&columnMask + 1) & columnMask << shift
}

// mover returns the side whose disc is the next, whether or not the game is over.
func (b Board) mover() Side {
	if b.Ply()%2 == 0 {
		return Red
	}
	return Yellow
}

// Ply returns the number of moves made, 0 to 42.
func (b Board) Ply() int { return bits.OnesCount64(b.red | b.yellow) }

// Turn returns the side to move, or None if the game is over.
func (b Board) Turn() Side {
	if b.Outcome() != Ongoing {
		return None
	}
	return b.mover()
}

// Moves returns the columns the side to move may choose from, in ascending
// order. It is empty exactly if the game is over.
func (b Board) Moves() []int {
	if b.Outcome() != Ongoing {
		return nil
	}
	moves := make([]int, 0, Columns)
	for column := range Columns {
		if b.landing(column) != 0 {
			moves = append(moves, column)
		}
	}
	return moves
}

// Height returns the number of discs in column, which is also the row in which
// the next disc comes to rest. It is 0 for a column that does not exist.
func (b Board) Height(column int) int {
	if column < 0 || column >= Columns {
		return 0
	}
	return bits.OnesCount64((b.red | b.yellow) >> (column * stride) & columnMask)
}

// At returns the side whose disc is in the cell, or None if the cell is empty
// or lies outside the grid.
func (b Board) At(column, row int) Side {
	if column < 0 || column >= Columns || row < 0 || row >= Rows {
		return None
	}
	cell := uint64(1) << (column*stride + row)
	switch {
	case b.red&cell != 0:
		return Red
	case b.yellow&cell != 0:
		return Yellow
	}
	return None
}

// Discs returns the cells that side holds as a set of bits, for a search that
// looks at many positions: bit 7*column+row is set if side has a disc there, and
// bits 7*column+6 are always clear. It is 0 for None.
func (b Board) Discs(side Side) uint64 {
	switch side {
	case Red:
		return b.red
	case Yellow:
		return b.yellow
	}
	return 0
}

// String draws the board for logs and tests: a line for each row from top to
// bottom with R, Y or a dot for each cell, and the numbers of the columns below.
func (b Board) String() string {
	text := make([]byte, 0, (Rows+1)*2*Columns)
	for row := Rows - 1; row >= 0; row-- {
		for column := range Columns {
			text = append(text, ".RY"[b.At(column, row)], ' ')
		}
		text[len(text)-1] = '\n'
	}
	for column := range Columns {
		text = append(text, byte('0'+column), ' ')
	}
	return string(text[:len(text)-1])
}
