package scenarios

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// An Answer is what the service answers, without what is different each time: ids, tokens, positions
// and points in time. It is a [Game], a [Seat], a [Move], a [Page] or [News]; nil is none.
type Answer interface{ fmt.Stringer }

// Game is a game as it stands.
type Game struct {
	State       record.State
	Red, Yellow string // who sits there: a name, or a bot's strength in brackets; empty when the seat is open
	Moves       string // the columns
	Turn        rules.Side
	Ending      record.Ending
	Winner      rules.Side
}

// Seat is what whoever joins is given.
type Seat struct {
	Side rules.Side
	Game Game
}

// Move is what a player is told of a move.
type Move struct {
	Cell rules.Cell
	Game Game
}

// Page is the games of a scenario that are in a list, in its order and by their subjects. Others' games
// are left out.
type Page struct{ Games string }

// News is what a watcher is sent.
type News struct{ What string }

// String says how the game stands.
func (g Game) String() string {
	seat := func(side rules.Side, who string) string {
		if who == "" {
			return fmt.Sprintf("%v's seat is open", side)
		}
		return fmt.Sprintf("%s is %v", who, side)
	}
	words := []string{seat(rules.Red, g.Red), seat(rules.Yellow, g.Yellow)}
	if g.Moves != "" {
		words = append(words, "moves "+g.Moves)
	}
	switch g.State {
	case record.Running:
		words = append(words, fmt.Sprintf("it is %v's turn", g.Turn))
	case record.Over:
		end := tellEnd(record.Finished{Ending: g.Ending, Winner: g.Winner})
		if g.Ending == record.Four {
			end = fmt.Sprintf("%v has won", g.Winner)
		}
		words = append(words, end)
	}
	return strings.Join(words, ", ")
}

// String says which seat it is.
func (s Seat) String() string { return fmt.Sprintf("a seat as %v: %v", s.Side, s.Game) }

// String says where the disc came to rest.
func (m Move) String() string {
	return fmt.Sprintf("the disc rests in column %d, row %d: %v", m.Cell.Column, m.Cell.Row, m.Game)
}

// String lists the games.
func (p Page) String() string {
	if p.Games == "" {
		return "a list without these games"
	}
	return "a list with " + p.Games
}

// String lists what happened.
func (n News) String() string {
	if n.What == "" {
		return "no news"
	}
	return "news: " + n.What
}

func gameOf(g *gamev1.Game) Game {
	out := Game{State: record.State(g.State), Red: playerOf(g.Red), Yellow: playerOf(g.Yellow),
		Turn: rules.Side(g.Turn), Ending: record.Ending(g.Ending), Winner: rules.Side(g.Winner)}
	for _, column := range g.Moves {
		out.Moves += fmt.Sprint(column)
	}
	return out
}

func playerOf(p *gamev1.Player) string {
	switch {
	case p.GetBot() != nil:
		return fmt.Sprintf("[%v]", bot.Strength(p.GetBot().Strength))
	case p.GetTaken():
		return p.GetHuman().GetName()
	}
	return ""
}

// factOf is an event of the contract as it is kept.
func factOf(e *gamev1.Event) (record.Fact, error) {
	switch w := e.What.(type) {
	case *gamev1.Event_Created_:
		return record.Created{Red: bot.Strength(w.Created.Red.GetBot().GetStrength()), Yellow: bot.Strength(w.Created.Yellow.GetBot().GetStrength()),
			TurnLimit: w.Created.TurnLimit.AsDuration()}, nil
	case *gamev1.Event_Joined_:
		return record.Joined{Side: rules.Side(w.Joined.Side), Name: w.Joined.Name}, nil
	case *gamev1.Event_Dropped_:
		return record.Dropped{Side: rules.Side(w.Dropped.Side), Cell: cellOf(w.Dropped.Cell)}, nil
	case *gamev1.Event_Finished_:
		end := record.Finished{Ending: record.Ending(w.Finished.Ending), Winner: rules.Side(w.Finished.Winner)}
		for _, c := range w.Finished.WinningCells {
			end.Cells = append(end.Cells, cellOf(c))
		}
		return end, nil
	}
	return nil, errors.New("the event says nothing that is known")
}

func cellOf(c *gamev1.Cell) rules.Cell {
	return rules.Cell{Column: int(c.GetColumn()), Row: int(c.GetRow())}
}
