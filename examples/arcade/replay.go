package arcade

import (
	"fmt"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// replayView is a game after some of its moves.
type replayView struct {
	Path, Heading string
	Ply, Plies    int
	What          string // the move, or where it stands
	Board         boardView
	Finished      bool
	Steps         []stepView
}

// stepView is a link to another move.
type stepView struct {
	Key   string // what the script knows it by
	Name  string
	Ply   int
	Works bool // there is such a move
}

// replay shows a game as it was after ply moves.
func (s *site) replay(w http.ResponseWriter, r *http.Request) error {
	g, err := s.gameByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	moves := g.GetMoves()
	n := len(moves)
	ply, ok := number(r, "ply", 0)
	if !ok || ply < 0 || ply > n {
		return errPly.With("reason", failure.Safe(fmt.Sprintf("want a number from 0, the empty board, to %d, the last move", n)))
	}
	v := replayView{
		Path: gamePath(g.GetId()), Heading: heading(g), Ply: ply, Plies: n, Finished: finished(g),
		Steps: []stepView{
			{"Home", "First", 0, ply > 0}, {"ArrowLeft", "Previous", max(ply-1, 0), ply > 0},
			{"ArrowRight", "Next", min(ply+1, n), ply < n}, {"End", "Last", n, ply < n},
		},
	}
	switch {
	case ply == n && v.Finished:
		v.Board = newBoard(moves, g.GetWinningCells())
		v.What = ending(g, seat{})
	case ply == 0:
		v.Board = newBoard(nil, nil)
		v.What = "The empty board. Red moves first."
	default:
		v.Board = newBoard(moves[:ply], nil)
		side := sideOfMove(ply - 1)
		v.What = fmt.Sprintf("%s (%s) dropped in column %d.", playerName(g, side), sideName(side), moves[ply-1]+1)
	}
	return s.show(w, http.StatusOK, "replay", page{Title: "Replay: " + v.Heading, Body: v})
}
