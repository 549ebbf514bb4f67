package scenarios

import (
	"fmt"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// tell says in words what happened. Moves in a row are one phrase.
func tell(facts []record.Fact) []string {
	var phrases []string
	for len(facts) > 0 {
		n := 0
		for n < len(facts) {
			if _, move := facts[n].(record.Dropped); !move {
				break
			}
			n++
		}
		if n > 1 {
			phrases = append(phrases, tellMoves(facts[:n]))
		} else {
			n = 1
			phrases = append(phrases, tellOne(facts[0]))
		}
		facts = facts[n:]
	}
	return phrases
}

// tellMoves is moves as their columns.
func tellMoves(moves []record.Fact) string {
	columns, same := "", true
	for _, m := range moves {
		columns += fmt.Sprint(m.(record.Dropped).Cell.Column)
		same = same && columns[0] == columns[len(columns)-1]
	}
	if same {
		return fmt.Sprintf("%d moves in column %c", len(columns), columns[0])
	}
	return "moves in columns " + columns
}

func tellOne(f record.Fact) string {
	switch f := f.(type) {
	case record.Created:
		phrase := "a game was created"
		for _, seat := range []struct {
			side rules.Side
			bot  fmt.Stringer
			set  bool
		}{{rules.Red, f.Red, f.Red != 0}, {rules.Yellow, f.Yellow, f.Yellow != 0}} {
			if seat.set {
				phrase += fmt.Sprintf(" with a bot (%v) as %v", seat.bot, seat.side)
			}
		}
		if f.TurnLimit != 0 {
			phrase += " with a turn limit of " + scenario.Span(f.TurnLimit)
		}
		return phrase
	case record.Joined:
		return fmt.Sprintf("%s joined as %v", f.Name, f.Side)
	case record.Dropped:
		return fmt.Sprintf("%v dropped into column %d, row %d", f.Side, f.Cell.Column, f.Cell.Row)
	case record.Finished:
		return tellEnd(f)
	}
	return fmt.Sprintf("%+v", f)
}

func tellEnd(f record.Finished) string {
	loser := f.Winner.Opponent()
	switch f.Ending {
	case record.Four:
		return fmt.Sprintf("%v won with %s", f.Winner, tellCells(f.Cells))
	case record.Draw:
		return "the game ended in a draw"
	case record.Resigned:
		return fmt.Sprintf("%v resigned", loser)
	case record.Timeout:
		return fmt.Sprintf("%v ran out of time", loser)
	}
	return fmt.Sprintf("the game was %v", f.Ending)
}

// tellCells is cells as column and row.
func tellCells(cells []rules.Cell) string {
	var words []string
	for _, c := range cells {
		words = append(words, fmt.Sprintf("%d/%d", c.Column, c.Row))
	}
	return strings.Join(words, " ")
}
