package arcade

import (
	"net/http"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// How soon a browser without JavaScript looks again, in seconds: while the other side is to
// move, and while a clock runs against the viewer.
const (
	refreshWaiting = 3
	refreshClock   = 20
)

// game shows a game to its players and to those who watch.
func (s *site) game(w http.ResponseWriter, r *http.Request) error {
	g, err := s.gameByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := s.view(r, g)
	p := page{Title: v.Heading, Body: v}
	switch {
	case v.Finished || len(v.Join) > 0: // a form would lose what was typed
	case v.Board.Drop == "":
		p.Refresh = refreshWaiting
	case v.Clock:
		p.Refresh = refreshClock
	}
	return s.show(w, http.StatusOK, "game", p)
}

// join takes a seat.
func (s *site) join(w http.ResponseWriter, r *http.Request) error {
	side, err := sideField(r)
	if err != nil {
		return err
	}
	return s.take(w, r, r.PathValue("id"), side, r.PostForm.Get("request_id"))
}

// take joins a game and shows it.
func (s *site) take(w http.ResponseWriter, r *http.Request, id string, side gamev1.Side, requestID string) error {
	name := strings.TrimSpace(r.PostForm.Get("name"))
	resp, err := call(r.Context(), s, s.games.JoinGame, &gamev1.JoinGameRequest{GameId: id, Side: side, Name: name, RequestId: requestID})
	if err != nil {
		return err
	}
	id = resp.GetGame().GetId()
	s.keepSeat(w, r, id, seat{resp.GetSide(), resp.GetSeatToken()})
	s.keepName(w, r, name)
	http.Redirect(w, r, gamePath(id), http.StatusSeeOther)
	return nil
}

// drop makes a move.
func (s *site) drop(w http.ResponseWriter, r *http.Request) error {
	column, err := columnField(r)
	if err != nil {
		return err
	}
	st, err := seatTaken(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	_, err = call(r.Context(), s, s.games.DropDisc, &gamev1.DropDiscRequest{
		GameId: id, SeatToken: st.token, Column: new(column), RequestId: r.PostForm.Get("request_id"),
	})
	if err != nil {
		return err
	}
	http.Redirect(w, r, gamePath(id), http.StatusSeeOther)
	return nil
}

// resignView is the question whether to give up.
type resignView struct {
	Path, Heading, RequestID string
}

// askResign asks before it is too late.
func (s *site) askResign(w http.ResponseWriter, r *http.Request) error {
	if _, err := seatTaken(r); err != nil {
		return err
	}
	g, err := s.gameByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if finished(g) {
		return errEnded
	}
	v := resignView{Path: gamePath(g.GetId()), Heading: heading(g), RequestID: s.newRequestID()}
	return s.show(w, http.StatusOK, "resign", page{Title: "Resign?", Body: v})
}

// resign gives up.
func (s *site) resign(w http.ResponseWriter, r *http.Request) error {
	st, err := seatTaken(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	_, err = call(r.Context(), s, s.games.Resign, &gamev1.ResignRequest{
		GameId: id, SeatToken: st.token, RequestId: r.PostForm.Get("request_id"),
	})
	if err != nil {
		return err
	}
	http.Redirect(w, r, gamePath(id), http.StatusSeeOther)
	return nil
}

func seatTaken(r *http.Request) (seat, error) {
	st := seatOf(r)
	if !st.taken() {
		return st, errNoSeat.With("game", failure.Safe(r.PathValue("id")))
	}
	return st, nil
}
