package arcade

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// tableSize is how many games of a kind the lobby shows at a time.
const tableSize = 12

// lobbyView is the lobby.
type lobbyView struct {
	Down      *failureView // why there is nothing else, nil when there is
	Tables    []tableView
	Paged     bool // older games are shown
	Limits    []limitView
	Name      string
	RequestID string
}

// tableView is the games of one kind.
type tableView struct {
	ID, Title, Empty, Action string
	Games                    []rowView
	More                     string // the address of the older ones; empty: these are all
}

type rowView struct {
	Path, Heading, Note, When string
	Sides                     []string // whose discs stand before the row
}

type limitView struct {
	Seconds int
	Text    string
}

// kinds are the tables of the lobby.
var kinds = []struct {
	state                    gamev1.State
	id, title, empty, action string
}{
	{gamev1.State_STATE_WAITING, "open", "Open games", "Nobody is waiting. Start a game and share its link.", "Join"},
	{gamev1.State_STATE_RUNNING, "running", "Being played", "No game is being played right now.", "Watch"},
	{gamev1.State_STATE_FINISHED, "finished", "Finished", "No game has been finished yet.", "Replay"},
}

// lobby shows which games there are and offers a new one.
func (s *site) lobby(w http.ResponseWriter, r *http.Request) error {
	v := s.newLobby(r)
	errs := make([]error, len(kinds))
	v.Tables = make([]tableView, len(kinds))
	var wg sync.WaitGroup
	for i := range kinds {
		wg.Go(func() { v.Tables[i], errs[i] = s.table(r, i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return s.show(w, http.StatusOK, "lobby", page{Title: "Lobby", Body: v})
}

// emptyLobby shows the lobby without games, and why.
func (s *site) emptyLobby(w http.ResponseWriter, r *http.Request, status int, why failureView) error {
	v := s.newLobby(r)
	v.Down = &why
	return s.show(w, status, "lobby", page{Title: why.What, Body: v})
}

func (s *site) newLobby(r *http.Request) *lobbyView {
	v := &lobbyView{Name: nameOf(r), RequestID: s.newRequestID()}
	for _, limit := range limits {
		text := "None"
		if limit > 0 {
			text = span(limit)
		}
		v.Limits = append(v.Limits, limitView{int(limit.Seconds()), text})
	}
	for _, kind := range kinds {
		v.Paged = v.Paged || r.URL.Query().Get(kind.id) != ""
	}
	return v
}

// table asks for the games of one kind, from the page that the address names.
func (s *site) table(r *http.Request, kind int) (tableView, error) {
	k := kinds[kind]
	t := tableView{ID: k.id, Title: k.title, Empty: k.empty, Action: k.action}
	token := r.URL.Query().Get(k.id)
	if !utf8.ValidString(token) {
		return t, wrong(k.id, "it is no page of this list")
	}
	resp, err := call(r.Context(), s, s.games.ListGames, &gamev1.ListGamesRequest{
		State: k.state, PageSize: tableSize, PageToken: token,
	})
	if err != nil {
		return t, err
	}
	now := s.clock.Now()
	for _, g := range resp.GetGames() {
		row := rowView{Path: gamePath(g.GetId()), Heading: heading(g), When: ago(now, g.GetCreatedAt().AsTime())}
		switch k.state {
		case gamev1.State_STATE_WAITING:
			row.Note = "No turn limit"
			if limit := g.GetTurnLimit(); limit != nil {
				row.Note = span(limit.AsDuration()) + " a turn"
			}
			for _, side := range []gamev1.Side{gamev1.Side_SIDE_RED, gamev1.Side_SIDE_YELLOW} {
				if !playerOf(g, side).GetTaken() {
					row.Sides = append(row.Sides, sideWord(side))
				}
			}
		case gamev1.State_STATE_RUNNING:
			row.Note = plural(len(g.GetMoves()), "move")
			row.Sides = append(row.Sides, sideWord(g.GetTurn()))
		default:
			row.Note = strings.TrimSuffix(ending(g, seat{}), ".")
			row.Path += "/replay"
			if side := sideWord(g.GetWinner()); side != "" {
				row.Sides = append(row.Sides, side)
			}
		}
		t.Games = append(t.Games, row)
	}
	if next := resp.GetNextPageToken(); next != "" {
		t.More = "/?" + url.Values{k.id: {next}}.Encode() + "#" + k.id
	}
	return t, nil
}

// create makes a game and takes a seat in it. Both calls carry ids made of the form's, so the
// form sent twice gives one game, and the same seat.
func (s *site) create(w http.ResponseWriter, r *http.Request) error {
	side, err := sideField(r)
	if err != nil {
		return err
	}
	bot, err := opponentField(r)
	if err != nil {
		return err
	}
	limit, err := limitField(r)
	if err != nil {
		return err
	}
	id := r.PostForm.Get("request_id")
	req := &gamev1.CreateGameRequest{RequestId: id + "-c"}
	if limit > 0 {
		req.TurnLimit = durationpb.New(limit)
	}
	if side == gamev1.Side_SIDE_RED {
		req.YellowBot = bot
	} else {
		req.RedBot = bot
	}
	resp, err := call(r.Context(), s, s.games.CreateGame, req)
	if err != nil {
		return err
	}
	return s.take(w, r, resp.GetGame().GetId(), side, id+"-j")
}

// number reads a whole number of an address; missing is the value when there is none.
func number(r *http.Request, key string, missing int) (int, bool) {
	text := r.URL.Query().Get(key)
	if text == "" {
		return missing, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
