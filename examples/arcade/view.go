package arcade

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// gameView is a game as one viewer sees it.
type gameView struct {
	Path     string
	Position uint64
	Heading  string // who plays
	Status   string // what is going on, in one sentence
	Tone     string // turn, wait or over, for the style sheet
	Players  []playerView
	Board    boardView
	Moves    int
	Last     string // the latest move in words; empty before the first
	Limit    string // how long a turn may take, in words
	// Clock says that the side to move has LeftMS milliseconds left, which is Left in words.
	Clock  bool
	LeftMS int64
	Left   string

	Seated   bool
	Join     []joinView // the seats the viewer may take
	Share    string     // the address to invite others by; empty when nobody is missing
	Running  bool
	Finished bool
	// Name is the name of the viewer's player, RequestID the id of the form to join by.
	Name      string
	RequestID string
}

type playerView struct {
	Side  string // Red or Yellow
	Class string // red or yellow
	Name  string
	Note  string // You, Bot, or empty
	Open  bool
	Turn  bool
	Won   bool
}

type joinView struct{ Value, Side string }

// view is g as the browser that asks sees it.
func (s *site) view(r *http.Request, g *gamev1.Game) *gameView {
	st := seatOf(r)
	v := &gameView{
		Path: gamePath(g.GetId()), Position: g.GetPosition(), Moves: len(g.GetMoves()),
		Board: newBoard(g.GetMoves(), g.GetWinningCells()), Seated: st.taken(),
		Running: g.GetState() == gamev1.State_STATE_RUNNING, Finished: finished(g),
		Heading: heading(g), Name: nameOf(r),
	}
	for _, side := range []gamev1.Side{gamev1.Side_SIDE_RED, gamev1.Side_SIDE_YELLOW} {
		p := playerOf(g, side)
		pv := playerView{
			Side: sideName(side), Class: sideWord(side), Name: nameOfPlayer(p), Open: !p.GetTaken(),
			Turn: v.Running && g.GetTurn() == side, Won: v.Finished && g.GetWinner() == side,
		}
		switch {
		case st.taken() && st.side == side:
			pv.Note = "you"
		case p.GetBot() != nil:
			pv.Note = "bot"
		}
		v.Players = append(v.Players, pv)
		if pv.Open && !v.Finished && !st.taken() {
			v.Join = append(v.Join, joinView{sideWord(side), sideName(side)})
		}
	}
	if limit := g.GetTurnLimit(); limit != nil {
		v.Limit = span(limit.AsDuration())
	}
	if v.Running && g.GetTurnDeadline() != nil {
		left := max(g.GetTurnDeadline().AsTime().Sub(s.clock.Now()), 0)
		v.Clock, v.LeftMS, v.Left = true, left.Milliseconds(), countdown(left)
	}
	if n := len(g.GetMoves()); n > 0 {
		side := sideOfMove(n - 1)
		v.Last = fmt.Sprintf("%s dropped in column %d", playerName(g, side), g.GetMoves()[n-1]+1)
	}
	v.Status, v.Tone = statusOf(g, st)
	v.Board.Turn = sideWord(g.GetTurn())
	if v.Running && st.taken() && st.side == g.GetTurn() {
		v.Board.Drop = v.Path + "/drop"
		v.Board.RequestID = s.newRequestID()
	}
	if g.GetState() == gamev1.State_STATE_WAITING {
		v.Share = s.linkTo(r, g.GetId())
	}
	if len(v.Join) > 0 {
		v.RequestID = s.newRequestID()
	}
	return v
}

// statusOf says what is going on, and in which tone.
func statusOf(g *gamev1.Game, st seat) (text, tone string) {
	switch g.GetState() {
	case gamev1.State_STATE_WAITING:
		if st.taken() {
			return "Waiting for somebody to play against: share the link.", "wait"
		}
		return "A seat is free: take it and play.", "turn"
	case gamev1.State_STATE_RUNNING:
		if st.taken() && st.side == g.GetTurn() {
			return fmt.Sprintf("Your turn: you play %s.", sideName(st.side)), "turn"
		}
		verb := "to move"
		if playerOf(g, g.GetTurn()).GetBot() != nil {
			verb = "is thinking"
		}
		return fmt.Sprintf("%s (%s) %s.", playerName(g, g.GetTurn()), sideName(g.GetTurn()), verb), "wait"
	}
	return ending(g, st), "over"
}

// ending says how a game ended.
func ending(g *gamev1.Game, st seat) string {
	winner := g.GetWinner()
	loser := other(winner)
	won := fmt.Sprintf("%s (%s) won", playerName(g, winner), sideName(winner))
	lost := playerName(g, loser)
	if st.taken() && st.side == winner {
		won = "You won"
	}
	mine := st.taken() && st.side == loser
	switch g.GetEnding() {
	case gamev1.Ending_ENDING_FOUR:
		return won + " with four in a row."
	case gamev1.Ending_ENDING_DRAW:
		return "A draw: the board is full."
	case gamev1.Ending_ENDING_RESIGNED:
		if mine {
			return won + ": you resigned."
		}
		return won + ": " + lost + " resigned."
	case gamev1.Ending_ENDING_TIMEOUT:
		if mine {
			return won + ": you ran out of time."
		}
		return won + ": " + lost + " ran out of time."
	}
	return "Nobody won: the game was left for too long."
}

// heading names the players.
func heading(g *gamev1.Game) string {
	red, yellow := g.GetRed().GetTaken(), g.GetYellow().GetTaken()
	switch {
	case red && !yellow:
		return playerName(g, gamev1.Side_SIDE_RED) + " waits for an opponent"
	case yellow && !red:
		return playerName(g, gamev1.Side_SIDE_YELLOW) + " waits for an opponent"
	case !red:
		return "A game without players"
	}
	return playerName(g, gamev1.Side_SIDE_RED) + " against " + playerName(g, gamev1.Side_SIDE_YELLOW)
}

func playerOf(g *gamev1.Game, side gamev1.Side) *gamev1.Player {
	if side == gamev1.Side_SIDE_YELLOW {
		return g.GetYellow()
	}
	return g.GetRed()
}

func playerName(g *gamev1.Game, side gamev1.Side) string { return nameOfPlayer(playerOf(g, side)) }

func nameOfPlayer(p *gamev1.Player) string {
	if b := p.GetBot(); b != nil {
		return strengthName(b.GetStrength()) + " bot"
	}
	if !p.GetTaken() {
		return "Open seat"
	}
	return p.GetHuman().GetName()
}

func strengthName(s gamev1.Strength) string {
	word := strings.ToLower(strings.TrimPrefix(s.String(), "STRENGTH_"))
	return strings.ToUpper(word[:1]) + word[1:]
}

func sideName(s gamev1.Side) string {
	if s == gamev1.Side_SIDE_YELLOW {
		return "Yellow"
	}
	return "Red"
}

func other(s gamev1.Side) gamev1.Side {
	if s == gamev1.Side_SIDE_RED {
		return gamev1.Side_SIDE_YELLOW
	}
	return gamev1.Side_SIDE_RED
}

// countdown is d as a clock shows it: 0:07, 4:59, 23:59:59.
func countdown(d time.Duration) string {
	s := int((d + time.Second - 1) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
