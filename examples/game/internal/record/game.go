package record

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// An Event is a fact and when it became one.
type Event struct {
	ID       string // tells a repeated wish from a new one; see Game.Find
	Position journal.Position
	Time     time.Time
	Fact     Fact
}

// State is where a game stands. The zero value is a game that does not exist.
type State uint8

// The states.
const (
	Missing State = iota // nothing has happened
	Waiting              // a human's seat is open
	Running              // both seats are taken and the game is not over
	Over                 // the game is over
)

// A Seat is one side's place in a game.
type Seat struct {
	Bot  bot.Strength // 0: a human's
	Name string       // of the human who took it
}

// Taken reports whether somebody sits there; bots always do.
func (s Seat) Taken() bool { return s.Bot != 0 || s.Name != "" }

// A Game is a game as its events leave it. It never changes and may be shared between
// goroutines, its slices included; they must not be written to.
type Game struct {
	ID        string
	Events    []Event // all that happened, in order
	Red       Seat
	Yellow    Seat
	TurnLimit time.Duration // 0: none
	Board     rules.Board
	Moves     []int    // the columns of the moves
	End       Finished // zero unless the game is over
}

// New is a game in which nothing has happened.
func New(id string) *Game { return &Game{ID: id} }

// State is where the game stands.
func (g *Game) State() State {
	switch {
	case len(g.Events) == 0:
		return Missing
	case g.End.Ending != NotEnded:
		return Over
	case g.Red.Taken() && g.Yellow.Taken():
		return Running
	}
	return Waiting
}

// Seat is the seat of a side.
func (g *Game) Seat(side rules.Side) Seat {
	if side == rules.Red {
		return g.Red
	}
	return g.Yellow
}

// Turn is the side to move, None unless the game runs.
func (g *Game) Turn() rules.Side {
	if g.State() != Running {
		return rules.None
	}
	return g.Board.Turn()
}

// Position is that of the last event, 0 when nothing has happened.
func (g *Game) Position() journal.Position {
	if len(g.Events) == 0 {
		return 0
	}
	return g.Events[len(g.Events)-1].Position
}

// Created is when the game was created.
func (g *Game) Created() time.Time {
	if len(g.Events) == 0 {
		return time.Time{}
	}
	return g.Events[0].Time
}

// Touched is when something last happened.
func (g *Game) Touched() time.Time {
	if len(g.Events) == 0 {
		return time.Time{}
	}
	return g.Events[len(g.Events)-1].Time
}

// TurnDeadline is when the side to move loses by timeout, and false when it may take its time.
func (g *Game) TurnDeadline() (time.Time, bool) {
	if g.TurnLimit == 0 || g.State() != Running {
		return time.Time{}, false
	}
	return g.Touched().Add(g.TurnLimit), true
}

// Find is the place in Events of the event with an id, -1 when there is none.
func (g *Game) Find(id string) int {
	return slices.IndexFunc(g.Events, func(e Event) bool { return e.ID == id })
}

// After are the events after a position.
func (g *Game) After(position journal.Position) []Event {
	i, _ := slices.BinarySearchFunc(g.Events, position, func(e Event, p journal.Position) int {
		if e.Position <= p {
			return -1
		}
		return 1
	})
	return g.Events[i:]
}

// Prefix is the game after its first n events.
func (g *Game) Prefix(n int) *Game {
	if n == len(g.Events) {
		return g
	}
	p := New(g.ID)
	for _, e := range g.Events[:n] {
		p = p.with(e)
	}
	return p
}

// With is the game after e happened as well. It refuses an event that cannot have happened then.
func (g *Game) With(e Event) (*Game, error) {
	if err := g.follows(e); err != nil {
		return nil, fmt.Errorf("game %s: event at position %d: %w", g.ID, e.Position, err)
	}
	return g.with(e), nil
}

// follows says why e cannot come next.
func (g *Game) follows(e Event) error {
	state := g.State()
	if e.Position <= g.Position() {
		return fmt.Errorf("it does not come after position %d", g.Position())
	}
	switch f := e.Fact.(type) {
	case Created:
		if state != Missing {
			return fmt.Errorf("the game is created a second time")
		}
		return nil
	case Joined:
		if state != Waiting || g.Seat(f.Side).Taken() || f.Name == "" {
			return fmt.Errorf("%q joins as %v, a seat that is not open", f.Name, f.Side)
		}
		return nil
	case Dropped:
		if state != Running || g.Turn() != f.Side || g.Board.Height(f.Cell.Column) != f.Cell.Row {
			return fmt.Errorf("%v drops into %+v, which is not possible", f.Side, f.Cell)
		}
		_, err := g.Board.Drop(f.Cell.Column)
		return err
	}
	if state != Waiting && state != Running {
		return fmt.Errorf("it is no game that could end")
	}
	return nil
}

// with is With for an event that follows.
func (g *Game) with(e Event) *Game {
	next := *g
	// Clipped, so that two games made from one never share what comes after.
	next.Events = append(slices.Clip(g.Events), e)
	switch f := e.Fact.(type) {
	case Created:
		next.Red.Bot, next.Yellow.Bot, next.TurnLimit = f.Red, f.Yellow, f.TurnLimit
	case Joined:
		if f.Side == rules.Red {
			next.Red.Name = f.Name
		} else {
			next.Yellow.Name = f.Name
		}
	case Dropped:
		next.Board, _ = g.Board.Drop(f.Cell.Column)
		next.Moves = append(slices.Clip(g.Moves), f.Cell.Column)
	case Finished:
		next.End = f
	}
	return &next
}

// Outcome is the fact that ends the game after a move has been made on a board, and false when
// it goes on.
func Outcome(b rules.Board) (Finished, bool) {
	switch b.Outcome() {
	case rules.Ongoing:
		return Finished{}, false
	case rules.Draw:
		return Finished{Ending: Draw}, true
	}
	return Finished{Ending: Four, Winner: b.Winner(), Cells: b.WinningLine()}, true
}
