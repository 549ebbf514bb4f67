package arena

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Create is the wish for a new game.
type Create struct {
	Red, Yellow bot.Strength   // 0: a human's seat
	TurnLimit   *time.Duration // nil: none
	RequestID   string
}

// Create makes a game.
func (a *Arena) Create(ctx context.Context, w Create) (*record.Game, error) {
	for _, s := range []bot.Strength{w.Red, w.Yellow} {
		if s > bot.Hard {
			return nil, errBadStrength.New()
		}
	}
	fact := record.Created{Red: w.Red, Yellow: w.Yellow}
	if w.TurnLimit != nil {
		fact.TurnLimit = *w.TurnLimit
		if fact.TurnLimit < time.Second || fact.TurnLimit > 7*24*time.Hour {
			return nil, errBadTurnLimit.With("turn_limit", failure.Safe(fact.TurnLimit))
		}
	}
	if err := checkRequestID(w.RequestID); err != nil {
		return nil, err
	}
	id, err := a.gameID(w.RequestID)
	if err != nil {
		return nil, err
	}
	if w.RequestID != "" {
		g, err := a.read(ctx, record.New(id))
		if err != nil || g.State() != record.Missing {
			return created(g, fact, err)
		}
	}
	if a.openGames() >= a.Limits.OpenGames {
		return nil, errTooManyGames.With("limit", failure.Safe(a.Limits.OpenGames))
	}
	stored := a.append(ctx, record.New(id), "created", []record.Fact{fact})
	if stored != nil && !overtaken(stored) {
		return nil, trouble(stored)
	}
	t, err := a.table(ctx, id)
	switch {
	case err != nil && mayBeStored(stored):
		return nil, unseen(err)
	case err != nil:
		return nil, err
	}
	return created(t.now(), fact, nil)
}

// created answers the wish for a game that exists now.
func created(g *record.Game, fact record.Created, err error) (*record.Game, error) {
	if err != nil {
		return nil, err
	}
	if g.Events[0].Fact != record.Fact(fact) {
		return nil, reused(g.ID)
	}
	return g.Prefix(1), nil
}

// Join is the wish for a seat.
type Join struct {
	Game      string
	Side      rules.Side // None: whichever is open
	Name      string
	RequestID string
}

// Join takes a seat. It returns the game, whose last event is a record.Joined with the side that
// was taken, and the token that moves of that side need.
func (a *Arena) Join(ctx context.Context, w Join) (g *record.Game, token string, err error) {
	if w.Side > rules.Yellow {
		return nil, "", errBadSide.New()
	}
	if !validName(w.Name) {
		return nil, "", errBadName.With("name", failure.Safe(w.Name))
	}
	id, err := a.eventID(w.RequestID)
	if err != nil {
		return nil, "", err
	}
	g, err = a.apply(ctx, change{
		game:  w.Game,
		id:    id,
		admit: anybody,
		repeats: func(f record.Fact) bool {
			j, ok := f.(record.Joined)
			return ok && j.Name == w.Name && (w.Side == rules.None || w.Side == j.Side)
		},
		decide: func(g *record.Game) ([]record.Fact, error) {
			if err := stillOn(g); err != nil {
				return nil, err
			}
			side := w.Side
			if side == rules.None {
				side = rules.Red
				if g.Red.Taken() {
					side = rules.Yellow
				}
			}
			if g.Seat(side).Taken() {
				return nil, errSeatTaken.With("side", failure.Safe(side))
			}
			return []record.Fact{record.Joined{Side: side, Name: w.Name}}, nil
		},
	})
	if err != nil {
		return nil, "", err
	}
	joined := g.Events[len(g.Events)-1].Fact.(record.Joined)
	return g, a.key.token(g.ID, joined.Side), nil
}

// NoColumn is the column of a wish that names none.
const NoColumn = math.MinInt32 - 1

// Drop is the wish for a move.
type Drop struct {
	Game      string
	Token     string
	Column    int // NoColumn when the wish names none
	RequestID string
}

// Drop makes a move. It returns the game and where the disc came to rest.
func (a *Arena) Drop(ctx context.Context, w Drop) (*record.Game, rules.Cell, error) {
	if w.Column < 0 || w.Column >= rules.Columns {
		column := failure.Safe(w.Column)
		if w.Column == NoColumn {
			column = failure.Safe("missing")
		}
		return nil, rules.Cell{}, errNoColumn.With("column", column)
	}
	id, err := a.eventID(w.RequestID)
	if err != nil {
		return nil, rules.Cell{}, err
	}
	var side rules.Side
	g, err := a.apply(ctx, change{
		game:  w.Game,
		id:    id,
		admit: func(g *record.Game) (err error) { side, err = a.seat(g, w.Token); return err },
		repeats: func(f record.Fact) bool {
			d, ok := f.(record.Dropped)
			return ok && d.Side == side && d.Cell.Column == w.Column
		},
		decide: func(g *record.Game) ([]record.Fact, error) {
			if err := begun(g); err != nil {
				return nil, err
			}
			if g.Turn() != side {
				return nil, errNotYou.With("turn", failure.Safe(g.Turn()))
			}
			return move(g, w.Column)
		},
	})
	if err != nil {
		return nil, rules.Cell{}, err
	}
	return g, g.Events[g.Find(id)].Fact.(record.Dropped).Cell, nil
}

// move is the facts that a disc in a column makes; it is side's turn.
func move(g *record.Game, column int) ([]record.Fact, error) {
	board, err := g.Board.Drop(column)
	if errors.Is(err, rules.ErrColumnFull) {
		return nil, errColumnFull.With("column", failure.Safe(column))
	}
	if err != nil {
		return nil, err
	}
	cell := rules.Cell{Column: column, Row: g.Board.Height(column)}
	facts := []record.Fact{record.Dropped{Side: g.Turn(), Cell: cell}}
	if end, over := record.Outcome(board); over {
		facts = append(facts, end)
	}
	return facts, nil
}

// Resign is the wish to give up.
type Resign struct {
	Game      string
	Token     string
	RequestID string
}

// Resign ends the game in favour of the other side.
func (a *Arena) Resign(ctx context.Context, w Resign) (*record.Game, error) {
	id, err := a.eventID(w.RequestID)
	if err != nil {
		return nil, err
	}
	var side rules.Side
	return a.apply(ctx, change{
		game:  w.Game,
		id:    id,
		admit: func(g *record.Game) (err error) { side, err = a.seat(g, w.Token); return err },
		repeats: func(f record.Fact) bool {
			end, ok := f.(record.Finished)
			return ok && end.Ending == record.Resigned && end.Winner == side.Opponent()
		},
		decide: func(g *record.Game) ([]record.Fact, error) {
			if err := begun(g); err != nil {
				return nil, err
			}
			return []record.Fact{record.Finished{Ending: record.Resigned, Winner: side.Opponent()}}, nil
		},
	})
}

// Game is a game as it stands.
func (a *Arena) Game(ctx context.Context, id string) (*record.Game, error) {
	t, err := a.table(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.refresh(ctx, t)
}

func anybody(*record.Game) error { return nil }

// stillOn refuses games that are over.
func stillOn(g *record.Game) error {
	if g.State() == record.Over {
		return errOver.With("ending", failure.Safe(g.End.Ending))
	}
	return nil
}

// begun refuses games that do not run.
func begun(g *record.Game) error {
	if g.State() == record.Waiting {
		return errWaiting.New()
	}
	return stillOn(g)
}

// validName reports whether others can be shown a name.
func validName(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= 40 && printable(s) && strings.TrimSpace(s) == s
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func checkRequestID(id string) error {
	if utf8.RuneCountInString(id) > 64 || !printable(id) {
		return errBadRequestID.New()
	}
	return nil
}
