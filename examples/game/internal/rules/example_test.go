package rules_test

import (
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func Example() {
	var board rules.Board
	for _, column := range []int{3, 3, 2, 4, 1, 0} {
		next, err := board.Drop(column)
		if err != nil {
			fmt.Println(err)
			return
		}
		board = next
	}
	fmt.Println(board)
	fmt.Println("to move:", board.Turn(), "may choose from", board.Moves())
	// Output:
	// . . . . . . .
	// . . . . . . .
	// . . . . . . .
	// . . . . . . .
	// . . . Y . . .
	// Y R R R Y . .
	// 0 1 2 3 4 5 6
	// to move: red may choose from [0 1 2 3 4 5 6]
}

func ExampleBoard_Drop() {
	var board rules.Board
	_, err := board.Drop(7)
	fmt.Println(err)
	fmt.Println(errors.Is(err, rules.ErrNoColumn))
	// Output:
	// drop a disc in column 7: no such column, the columns are 0 to 6
	// true
}

func ExampleBoard_WinningLine() {
	board, err := rules.Parse("0011223")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(board.Outcome(), board.WinningLine())
	// Output:
	// red wins [{0 0} {1 0} {2 0} {3 0}]
}

func ExampleParse() {
	_, err := rules.Parse("3333333")
	fmt.Println(err)
	// Output:
	// move 7 of "3333333": drop a disc in column 3: the column is full
}
