package game_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// The service runs in any process that has its Spec; here two people play in it.
func Example() {
	ctx := context.Background()
	service, err := chassis.Start(ctx, game.Spec, func(settings *chassis.Settings, cfg *game.Config) {
		settings.AccessLog.Path = "off"
		cfg.Journal, cfg.HTTP.Addr, cfg.GRPC.Addr = "mem:", "127.0.0.1:0", "127.0.0.1:0"
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		log.Fatal(err)
	}
	defer service.Stop(ctx)
	conn, err := grpc.NewClient(service.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	games := gamev1.NewGameServiceClient(conn)

	created, err := games.CreateGame(ctx, &gamev1.CreateGameRequest{})
	if err != nil {
		log.Fatal(err)
	}
	id := created.Game.Id
	var tokens []string
	for _, name := range []string{"Ann", "Bob"} {
		joined, err := games.JoinGame(ctx, &gamev1.JoinGameRequest{GameId: id, Name: name})
		if err != nil {
			log.Fatal(err)
		}
		tokens = append(tokens, joined.SeatToken)
	}
	for i, column := range []int32{3, 2, 3, 2, 3, 2, 3} {
		dropped, err := games.DropDisc(ctx, &gamev1.DropDiscRequest{GameId: id, SeatToken: tokens[i%2], Column: new(column)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(dropped.Game.Moves, dropped.Game.State, dropped.Game.Winner)
	}
	// Output:
	// [3] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2 3] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2 3 2] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2 3 2 3] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2 3 2 3 2] STATE_RUNNING SIDE_UNSPECIFIED
	// [3 2 3 2 3 2 3] STATE_FINISHED SIDE_RED
}
