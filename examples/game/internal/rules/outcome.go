package rules

// Cell is a place in the grid: column 0 to 6 from the left, row 0 to 5 from
// the bottom.
type Cell struct {
	Column, Row int
}

// Winner returns the side that has four discs in line, or None.
func (b Board) Winner() Side {
	switch {
	case lines(b.red) != 0:
		return Red
	case lines(b.yellow) != 0:
		return Yellow
	}
	return None
}

// Outcome returns how the game stands. A line completed by the last disc that
// fits is a win, not a draw.
func (b Board) Outcome() Outcome {
	switch b.Winner() {
	case Red:
		return RedWins
	case Yellow:
		return YellowWins
	}
	if b.red|b.yellow == full {
		return Draw
	}
	return Ongoing
}

// WinningLine returns the cells of the line that won, ordered by column and
// within a column by row, or nil if nobody has won. One disc can complete
// several lines, and one line can be longer than four; then the cells of all of
// them are returned, each once.
func (b Board) WinningLine() []Cell {
	won := lines(b.red) | lines(b.yellow)
	if won == 0 {
		return nil
	}
	cells := make([]Cell, 0, 4)
	for column := range Columns {
		for row := range Rows {
			if won>>(column*stride+row)&1 != 0 {
				cells = append(cells, Cell{column, row})
			}
		}
	}
	return cells
}

// lines returns those of the discs that are part of four or more in line.
func lines(discs uint64) uint64 {
	var found uint64
	for _, step := range directions {
		// A bit of start is the first of four set bits, step apart.
		pairs := discs & (discs >> step)
		start := pairs & (pairs >> (2 * step))
		found |= start | start<<step | start<<(2*step) | start<<(3*step)
	}
	return found
}
