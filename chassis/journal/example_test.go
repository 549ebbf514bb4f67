package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// Two players decide on the same version of a game; one of them has to look again.
func Example() {
	ctx := context.Background()
	var host journal.Local // a service hands in its *chassis.Service
	defer host.Close(ctx)
	games, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}

	created, err := games.Append(ctx, "game-1", journal.NoStream, journal.Event{Type: "created", Data: []byte("by ann")})
	if err != nil {
		log.Fatal(err)
	}
	for _, player := range []string{"bob", "cid"} {
		joined := journal.Event{ID: "join-" + player, Type: "joined", Data: []byte(player)}
		_, err := games.Append(ctx, "game-1", journal.At(created), joined)
		var conflict *journal.ConflictError
		if errors.As(err, &conflict) {
			fmt.Println(player, "is late:", conflict)
		}
	}
	for e, err := range games.Read(ctx, "game-1", 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s %s\n", e.Position, e.Type, e.Data)
	}
	// Output:
	// cid is late: stream "game-1": expected version 1, found version 2
	// 1 created by ann
	// 2 joined bob
}

// A watcher goes on from the last position it has seen.
func ExampleJournal_subscribe() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var host journal.Local
	defer host.Close(context.Background())
	games, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}
	drop := func(column string) journal.Position {
		p, err := games.Append(ctx, "game-1", journal.Any, journal.Event{Type: "dropped", Data: []byte(column)})
		if err != nil {
			log.Fatal(err)
		}
		return p
	}
	seen := drop("3")
	drop("4")
	for e, err := range games.Subscribe(ctx, seen, journal.Filter{Stream: "game-1"}) {
		if err != nil {
			fmt.Println("ended:", err)
			break
		}
		fmt.Printf("column %s\n", e.Data)
		if string(e.Data) == "4" {
			drop("5")
		} else {
			cancel()
		}
	}
	// Output:
	// column 4
	// column 5
	// ended: context canceled
}
