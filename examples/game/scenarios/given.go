package scenarios

import (
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Short names of what scenarios say again and again.
const (
	red    = rules.Red
	yellow = rules.Yellow
)

func joined(side rules.Side, name string) record.Fact { return record.Joined{Side: side, Name: name} }

func dropped(side rules.Side, column, row int) record.Fact {
	return record.Dropped{Side: side, Cell: rules.Cell{Column: column, Row: row}}
}

func won(side rules.Side, cells ...rules.Cell) record.Fact {
	return record.Finished{Ending: record.Four, Winner: side, Cells: cells}
}

// at is a cell by its column and row.
func at(column, row int) rules.Cell { return rules.Cell{Column: column, Row: row} }

// created is a game with these facts after its first one.
func created(first record.Created, rest ...record.Fact) []history {
	return ago(0, first, rest...)
}

// ago is a game in which everything happened so long ago.
func ago(d time.Duration, first record.Created, rest ...record.Fact) []history {
	return []history{{Ago: d, Events: append([]record.Fact{first}, rest...)}}
}

// seats are those of Ann, who plays Red, and Bob.
func seats() []record.Fact { return []record.Fact{joined(red, "ann"), joined(yellow, "bob")} }

// played is a game of Ann and Bob after moves, each the digit of a column.
func played(columns string) []history {
	return created(record.Created{}, append(seats(), moves(columns)...)...)
}

// moves are the facts that moves from the empty board make.
func moves(columns string) []record.Fact {
	var facts []record.Fact
	var board rules.Board
	for _, c := range columns {
		column := int(c - '0')
		facts = append(facts, record.Dropped{Side: board.Turn(), Cell: rules.Cell{Column: column, Row: board.Height(column)}})
		next, err := board.Drop(column)
		if err != nil {
			panic("scenarios: moves " + columns + ": " + err.Error())
		}
		board = next
	}
	if end, over := record.Outcome(board); over {
		facts = append(facts, end)
	}
	return facts
}

// named are games called A, B and so on.
func named(games ...[]history) []history {
	var all []history
	for i, g := range games {
		for _, h := range g {
			h.Subject = string(rune('A' + i))
			all = append(all, h)
		}
	}
	return all
}

// running is the game of Ann and Bob after moves that leave it open.
func running(columns string) Game {
	turn := red
	if len(columns)%2 == 1 {
		turn = yellow
	}
	return Game{State: record.Running, Red: "ann", Yellow: "bob", Moves: columns, Turn: turn}
}

// over is the game of Ann and Bob after its end.
func over(columns string, how record.Ending, winner rules.Side) Game {
	return Game{State: record.Over, Red: "ann", Yellow: "bob", Moves: columns, Ending: how, Winner: winner}
}

func happens(answer Answer, facts ...record.Fact) then { return then{Answer: answer, Events: facts} }

func answers(answer Answer) then { return then{Answer: answer} }

func fails(code int, facts ...record.Fact) then { return then{Failure: code, Events: facts} }
