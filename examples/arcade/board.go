package arcade

import (
	"fmt"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// The board's size, as the contract says.
const (
	columns = 7
	rows    = 6
)

// boardView is a board to show.
type boardView struct {
	Columns []columnView
	Rows    [][]cellView // the top row first
	// Drop is where the form of the columns' buttons is posted to; empty: there are no buttons.
	Drop      string
	RequestID string
	// Turn is the side whose discs the buttons drop.
	Turn string
}

type columnView struct {
	Number int // from 1
	Open   bool
}

// cellView is one place on the board.
type cellView struct {
	Side string // red, yellow, or empty
	Fall int    // how many rows a disc fell to get here
	Last bool   // the latest move
	Won  bool   // in a winning line
}

// Class is the cell's disc for the style sheet.
func (c cellView) Class() string {
	class := "disc"
	if c.Side != "" {
		class += " " + c.Side
	}
	if c.Won {
		class += " won"
	}
	if c.Last {
		class += fmt.Sprintf(" last fall-%d", c.Fall)
	}
	return class
}

// Text is the cell in words.
func (c cellView) Text() string {
	text := "empty"
	switch c.Side {
	case "red":
		text = "Red"
	case "yellow":
		text = "Yellow"
	}
	if c.Won {
		text += ", winning"
	}
	if c.Last {
		text += ", last move"
	}
	return text
}

// newBoard lays the discs of moves, the columns in the order of play. Moves that no board can
// hold are left out: the game service would not have taken them.
func newBoard(moves []int32, winning []*gamev1.Cell) boardView {
	var b boardView
	for range rows {
		b.Rows = append(b.Rows, make([]cellView, columns))
	}
	var height [columns]int
	for i, column := range moves {
		if column < 0 || column >= columns || height[column] >= rows {
			continue
		}
		row := rows - 1 - height[column]
		height[column]++
		b.Rows[row][column] = cellView{Side: sideWord(sideOfMove(i)), Fall: row + 1, Last: i == len(moves)-1}
	}
	for _, c := range winning {
		if x, y := c.GetColumn(), rows-1-c.GetRow(); x >= 0 && x < columns && y >= 0 && y < rows {
			b.Rows[y][x].Won = true
		}
	}
	for i := range columns {
		b.Columns = append(b.Columns, columnView{Number: i + 1, Open: height[i] < rows})
	}
	return b
}

// sideOfMove is who made the move that i others came before.
func sideOfMove(i int) gamev1.Side {
	if i%2 == 0 {
		return gamev1.Side_SIDE_RED
	}
	return gamev1.Side_SIDE_YELLOW
}
