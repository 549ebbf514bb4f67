package gamefake_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
)

// TestAMoveMayBeMadeThoughItsAnswerIsLost is what a client of the game should know: the move is made,
// and what tells it from one that is not is the request id that is sent again.
func TestAMoveMayBeMadeThoughItsAnswerIsLost(t *testing.T) {
	for name, rule := range map[string]fake.Rule{
		"RST":               {Action: fake.RST},
		"FIN":               {Action: fake.FIN},
		"half of a frame":   {Action: fake.Truncate},
		"a failure":         {Failure: fake.HTTPStatus(503)},
		"journal uncertain": {Failure: fake.Code(1202)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMatch(t, 0)
			rule.Phase, rule.Count = fake.AfterCommit, 1
			m.Inject(rule, fake.On(dropDisc))
			move := &gamev1.DropDiscRequest{GameId: m.id, SeatToken: m.tokens[gamev1.Side_SIDE_RED], Column: new(int32(3)), RequestId: "move-1"}
			if _, err := m.client.DropDisc(t.Context(), move); status.Code(err) != codes.Unavailable {
				t.Errorf("the client sees %v", err)
			}
			if g := m.get(t); len(g.Moves) != 1 {
				t.Errorf("the game has %d moves", len(g.Moves))
			}
			resp, err := m.client.DropDisc(t.Context(), move)
			if err != nil || len(resp.Game.Moves) != 1 {
				t.Errorf("the same again: %v, %v", resp, err)
			}
			again := m.Duplicates()
			if len(again) != 1 || again[0].Route != dropDisc || !again[0].Committed {
				t.Errorf("duplicates: %+v", again)
			}
		})
	}
}

// TestTheGatewaysClientSeesWhatGRPCsDoes has JSON over HTTP meet faults by the gateway.
func TestTheGatewaysClientSeesWhatGRPCsDoes(t *testing.T) {
	m := newMatch(t, 0)
	post := func() (int, error) {
		body := fmt.Sprintf(`{"seatToken":%q,"column":3,"requestId":"move-1"}`, m.tokens[gamev1.Side_SIDE_RED])
		resp, err := http.Post(m.URL("http")+"/v1/games/"+m.id+"/drop", "application/json", strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	const route = "POST /v1/games/{game_id}/drop"
	m.Inject(fake.Rule{Phase: fake.AfterCommit, Failure: fake.Code(1201), Count: 1}, fake.On(route))
	m.Inject(fake.Rule{Phase: fake.AfterCommit, Action: fake.RST, Count: 1}, fake.On(route))
	if code, err := post(); code != 503 || err != nil {
		t.Errorf("a failure after commit: %d, %v", code, err)
	}
	if _, err := post(); err == nil || !strings.Contains(err.Error(), "reset by peer") {
		t.Errorf("RST: %v", err)
	}
	if code, err := post(); code != 200 || err != nil {
		t.Errorf("then: %d, %v", code, err)
	}
	if g := m.get(t); len(g.Moves) != 1 {
		t.Errorf("the game has %d moves", len(g.Moves))
	}
	if again := m.Duplicates(); len(again) != 2 || again[0].Duplicate != again[1].Duplicate {
		t.Errorf("duplicates: %+v", again)
	}
}

// TestABotThinksUntilTheFakeIsQuiescent has the service's own queue counted as work.
func TestABotThinksUntilTheFakeIsQuiescent(t *testing.T) {
	m := newMatch(t, 0)
	created, err := m.client.CreateGame(t.Context(), &gamev1.CreateGameRequest{YellowBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}})
	if err != nil {
		t.Fatal(err)
	}
	id := created.Game.Id
	joined, err := m.client.JoinGame(t.Context(), &gamev1.JoinGameRequest{GameId: id, Name: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.DropDisc(t.Context(), &gamev1.DropDiscRequest{GameId: id, SeatToken: joined.SeatToken, Column: new(int32(3))}); err != nil {
		t.Fatal(err)
	}
	if err := m.WaitQuiescent(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := m.client.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: id})
	if err != nil || len(got.Game.Moves) != 2 {
		t.Errorf("after a move and the bot's: %v, %v", got, err)
	}
}
