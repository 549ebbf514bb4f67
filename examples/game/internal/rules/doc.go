// Package rules holds the rules of Connect Four and nothing else: no time, no
// randomness, no players, no storage.
//
// The game is played on an upright grid of seven columns and six rows. Red
// moves first; the sides take turns dropping one disc into a column that is
// not full, and the disc falls to the lowest free cell. Who first has four
// discs in an unbroken line (across, up or along either diagonal) wins; a full
// grid without such a line is a draw.
//
// Columns are numbered 0 to 6 from left to right and rows 0 to 5 from bottom
// to top. The position is a [Board], a value of 16 bytes whose zero value is
// the empty board. [Board.Drop] returns the next position and leaves the one
// it is called on as it was, so a game is a fold over its moves and any
// earlier position can be kept for free:
//
//	var board rules.Board
//	for _, column := range moves {
//		if board, err = board.Drop(column); err != nil {
//			return err
//		}
//	}
//
// A Board can only be made by playing, hence every Board is a position that
// can arise in a game. Two boards are equal (==) exactly if every cell is, so a
// Board serves as a map key. All methods are pure and safe for concurrent use.
package rules
