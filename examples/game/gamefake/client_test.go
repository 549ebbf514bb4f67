package gamefake_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
)

// TestWhatAClientsTestLooksLike stands in the README: the shortest test of a client that shows
// a declared failure and the clock.
func TestWhatAClientsTestLooksLike(t *testing.T) {
	f := gamefake.Start(t) // the service itself, on a free port of this machine
	games := dial(t, f.Addr("grpc"))
	created, err := games.CreateGame(t.Context(), &gamev1.CreateGameRequest{TurnLimit: durationpb.New(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	id := created.Game.Id

	// A failure, exactly as the service answers it.
	f.FailNext(1, fake.Code(1042), fake.On("/game.v1.GameService/DropDisc"))
	_, err = games.DropDisc(t.Context(), &gamev1.DropDiscRequest{GameId: id, Column: new(int32(3))})
	if failure, _ := grpcclient.FailureOf(err); failure.Code != 1042 {
		t.Errorf("got %v, want 1042: column is full", err)
	}

	// A minute that takes no time.
	for _, name := range []string{"Ann", "Bob"} {
		if _, err := games.JoinGame(t.Context(), &gamev1.JoinGameRequest{GameId: id, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	f.Advance(time.Minute)
	got, err := games.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: id})
	if err != nil || got.Game.Ending != gamev1.Ending_ENDING_TIMEOUT {
		t.Errorf("after a minute: %v, %v", got, err)
	}
}
